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

// Why a text is not taken: the code that ClickHouse has for it, which operators have dispositions
// for. The differential test compares them.
enum class Refused : int {
  kEscape = 25,
  kString = 26,
  kSyntax = 27,  // something else is expected here
  kEnd = 33,
  kDate = 38,
  kTime = 41,
  kRange = 69,
  kNumber = 72,
  kData = 117,
  kArray = 130,
  kLongString = 131,
  kNestedSizes = 190,
  kDepth = 306,
  kUuid = 376,
  kOverflow = 407,
  kBool = 467,
  kMap = 563,
  kBehindValue = 632,
  kIpv4 = 675,
  kIpv6 = 676,
  kEnum = 691,
};

// What stands at `at` is not what its column takes. `what` is for people.
struct JsonRefusal {
  const char* at;
  std::string what;
  Refused code;
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
  void expect(char c, Refused code = Refused::kSyntax) {
    if (!take(c)) refuse_expected(c, code);
  }
  void expect(std::string_view word) {
    if (left() < word.size() || std::memcmp(at, word.data(), word.size()) != 0) {
      refuse(std::string("'").append(word).append("' is expected"), Refused::kSyntax);
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

  [[noreturn]] void refuse(std::string what, Refused code) const;
  [[noreturn]] void refuse_expected(char c, Refused code) const;

 private:
  void skip_more_space();
  void skip_string();
  void skip_value(unsigned depth);
  void skip_members(unsigned depth);
  void skip_elements(unsigned depth);
  void read_escape(ColumnBytes& out);
  unsigned read_hex4();
  [[noreturn]] void refuse_surrogate(const char* what) const;
};

}  // namespace millrace
