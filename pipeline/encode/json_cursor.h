// A position in JSON text, and the reading of what ClickHouse takes for JSON: a grammar of its own,
// more lenient than the standard's (bytes that are not UTF-8, control characters, numbers such as
// "+1.") and in places stricter. What is accepted here is what its JSONEachRow reader accepts.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "pipeline/encode/column_bytes.h"

namespace millrace {

// What stands at `at` is not what its column takes. `what` is for people.
struct JsonRefusal {
  const char* at;
  std::string what;
};

// Readers look at whole vectors: this many bytes behind the end of a text must be readable.
constexpr std::size_t kReadAhead = 64;

// As in ClickHouse: what is no digit counts as 0xff.
unsigned hex_digit(char c);

// Owned by one thread. All of its functions throw JsonRefusal.
class JsonCursor {
 public:
  // REQUIRES: kReadAhead readable bytes behind `text`; their values do not matter.
  explicit JsonCursor(std::string_view text) : at(text.data()), end(text.data() + text.size()) {}

  const char* at;
  const char* end;

  bool done() const { return at >= end; }
  // The character here; 0 at the end, which no rule takes for anything.
  char peek() const { return at < end ? *at : '\0'; }
  std::size_t left() const { return static_cast<std::size_t>(end - at); }
  void skip_space() {
    if (at < end && static_cast<unsigned char>(*at) <= ' ') skip_more_space();
  }
  void skip_byte_order_mark() {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    if (left() >= kMark.size() && std::memcmp(at, kMark.data(), kMark.size()) == 0) {
      at += kMark.size();
    }
  }
  bool take(char c) {
    if (at >= end || *at != c) return false;
    ++at;
    return true;
  }
  // A word in letters of either case; `lower` is in small ones.
  bool take_word(std::string_view lower) {
    if (left() < lower.size()) return false;
    for (std::size_t i = 0; i < lower.size(); ++i) {
      const bool capital = at[i] >= 'A' && at[i] <= 'Z';
      if ((capital ? at[i] | 0x20 : at[i]) != lower[i]) return false;
    }
    at += lower.size();
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse_expected(c);
  }
  void expect(std::string_view word) {
    if (left() < word.size() || std::memcmp(at, word.data(), word.size()) != 0) {
      refuse(std::string("'").append(word).append("' is expected"));
    }
    at += word.size();
  }

  // The string that opens here, unescaped, behind what is in `out`.
  void read_string(ColumnBytes& out);
  // Behind the value, which must be right in all its parts.
  void skip_value() { skip_value(0); }
  // Behind the object or array that opens here. Only its own brackets and strings are looked at.
  void skip_balanced();
  // Behind a number; false, anywhere, if there is none.
  bool skip_number();

  [[noreturn]] void refuse(std::string what) const;
  [[noreturn]] void refuse_expected(char c) const;

 private:
  void skip_more_space();
  void skip_string();
  void skip_value(unsigned depth);
  void skip_members(unsigned depth);
  void skip_elements(unsigned depth);
  void read_escape(ColumnBytes& out);
  unsigned read_hex4();
};

}  // namespace millrace
