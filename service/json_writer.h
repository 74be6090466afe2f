// Writes JSON, piece by piece, into a string. Commas and escapes are its business; that keys and
// values alternate is the caller's.
//
//   JsonWriter json;
//   json.begin_object();
//   json.member("table", name).member("rows", rows);
//   json.key("lanes").begin_array().value("a").value("b").end_array();
//   json.end_object();
//   send(json.text());
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

// `text` with every byte that is no UTF-8 replaced by U+FFFD: one bad byte in a table's name must
// not make a whole page unreadable to a strict reader.
std::string to_valid_utf8(std::string_view text);

// Owned by one thread.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth);
  JsonWriter& value(double number);  // null when it is not finite
  JsonWriter& value(std::signed_integral auto number) { return raw(std::to_string(number)); }
  JsonWriter& value(std::unsigned_integral auto number) { return raw(std::to_string(number)); }
  JsonWriter& null() { return raw("null"); }

  template <class T>
  JsonWriter& member(std::string_view name, const T& what) {
    return key(name).value(what);
  }

  const std::string& text() const noexcept { return text_; }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view literal);
  void separate();

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace millrace
