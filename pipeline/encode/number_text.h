// Numbers as ClickHouse reads them in JSON. Integers wrap at their width, as there.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "pipeline/encode/json_cursor.h"

namespace millrace {

// The text of a float: signs in any number, then digits, or inf, infinity, nan in letters of either
// case. The nearest value of the type. False if there is no number, with the cursor anywhere.
bool read_float(JsonCursor& in, double& value);
bool read_float(JsonCursor& in, float& value);
// The same with precise_float_parsing=0; see fast_float_text.cc. `field`: a text that ends is
// not one that breaks off.
bool read_float_fast(JsonCursor& in, double& value, bool field);
bool read_float_fast(JsonCursor& in, float& value, bool field);

inline std::uint64_t load8(const char* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// How many of eight characters, from the first one, are digits.
inline unsigned leading_digits(std::uint64_t word) {
  const std::uint64_t t = word ^ 0x3030303030303030u;
  const std::uint64_t others = ((t + 0x7676767676767676u) | t) & 0x8080808080808080u;
  return others == 0 ? 8 : static_cast<unsigned>(std::countr_zero(others)) / 8;
}

// The number that eight digits are.
inline std::uint32_t eight_digits(std::uint64_t word) {
  word -= 0x3030303030303030u;
  word = word * 10 + (word >> 8);
  return static_cast<std::uint32_t>(
      (((word & 0x000000ff000000ffu) * 0x000f424000000064u) +
       (((word >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u)) >>
      32);
}

// Digits as they come, modulo 2^64; their number is added to `count`.
[[gnu::always_inline]] inline std::uint64_t read_digits(JsonCursor& in, unsigned& count) {
  const char* at = in.at;
  std::uint64_t value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    const std::uint64_t word = load8(at);
    const unsigned digits = leading_digits(word);
    if (digits < 8 && at + digits <= in.end) {  // what is most often
      in.at = at + digits;
      count += digits;
      if (digits == 0) return 0;
      // The digits move up; below them zeros come in, as '0' ^ '0'.
      const unsigned shift = (8 - digits) * 8;
      return eight_digits((word << shift) | (0x3030303030303030u >> (digits * 8)));
    }
  }
  for (; at < in.end && *at >= '0' && *at <= '9'; ++at) {
    value = value * 10 + static_cast<unsigned>(*at - '0');
  }
  count += static_cast<unsigned>(at - in.at);
  in.at = at;
  return value;
}

// No digit at all is 0: the caller finds that something else stands there.
template <class T>
T read_integer(JsonCursor& in) {
  bool negative = false, sign = false;
  for (char c = in.peek(); c == '+' || c == '-'; c = in.peek()) {
    if (c == '-' && std::is_unsigned_v<T>)
      in.refuse("a negative number for an unsigned column", Refused::kNumber);
    if (sign) in.refuse("a number with two signs", Refused::kNumber);
    sign = true;
    negative = c == '-';
    ++in.at;
  }
  unsigned digits = 0;
  const std::uint64_t value = read_digits(in, digits);
  if (sign && digits == 0) in.refuse("a sign without a number", Refused::kNumber);
  return static_cast<T>(negative ? 0 - value : value);
}

// The value of a numeric column: quotes around it and words for it are taken for every number.
template <class T, class ReadPlain>
T read_number(JsonCursor& in, ReadPlain read_plain) {
  const bool quoted = in.take('"');
  T value{};
  const char c = in.peek();
  if (c == 't' || c == 'f') {
    in.expect(c == 't' ? std::string_view("true") : std::string_view("false"));
    if (c == 't') value = read_plain.one();
  } else {
    value = read_plain(in);
  }
  if (quoted) in.expect('"');
  return value;
}

template <class T>
struct Integer {
  T one() const { return 1; }
  T operator()(JsonCursor& in) const { return read_integer<T>(in); }
};

}  // namespace millrace
