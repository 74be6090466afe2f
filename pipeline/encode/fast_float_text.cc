// Floats as ClickHouse reads them with precise_float_parsing=0, the default of older servers:
// faster there, and at times the neighbour of the nearest value. Its results are the
// same here only if each step is the same: parts of 19 digits, powers of ten in 80 bits.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <string>

#include "pipeline/encode/number_text.h"

namespace millrace {
namespace {

constexpr int kLeast = -323, kMost = 308;

// Some of the powers in ClickHouse's table have 64 bits only.
bool is_short(int exponent) {
  return exponent == -10 || exponent == -30 || exponent == -50 || exponent == -70 ||
         (exponent >= 10 && exponent < 300 && exponent % 20 == 10);
}

using Powers = std::array<long double, kMost - kLeast + 1>;
const Powers& powers() {
  static const Powers table = [] {
    Powers made{};
    for (int exponent = kLeast; exponent <= kMost; ++exponent) {
      const std::string text = "1e" + std::to_string(exponent);
      made[static_cast<std::size_t>(exponent - kLeast)] = is_short(exponent)
                                                              ? std::strtod(text.c_str(), nullptr)
                                                              : std::strtold(text.c_str(), nullptr);
    }
    return made;
  }();
  return table;
}

template <class T>
T shifted(T x, int exponent) {
  if (exponent < kLeast) return x * 0;
  if (exponent > kMost) return x * std::numeric_limits<T>::infinity();
  return x * static_cast<T>(powers()[static_cast<std::size_t>(exponent - kLeast)]);
}

// Returns how many digits there are; the first `most` make the number.
int read_first_digits(JsonCursor& in, int most, std::uint64_t& number) {
  int count = 0;
  number = 0;
  for (char c = in.peek(); c >= '0' && c <= '9'; c = in.peek(), ++count) {
    if (count < most) number = number * 10 + static_cast<unsigned>(c - '0');
    ++in.at;
  }
  return count;
}

constexpr int kDigits = 19;

template <class T>
T fraction_of(JsonCursor& in) {
  int zeros = 0;
  for (; in.peek() == '0'; ++in.at) ++zeros;
  std::uint64_t digits;
  const int count = read_first_digits(in, kDigits, digits);
  if (digits == 0) return 0;
  return static_cast<T>(
      shifted(static_cast<long double>(digits), -std::min(count, kDigits) - zeros));
}

bool read_exponent(JsonCursor& in, int& exponent, bool field) {
  if (!in.take('e') && !in.take('E')) return true;
  if (in.done()) return field;
  const bool negative = in.take('-');
  if (!negative) in.take('+');
  std::uint64_t digits;
  read_first_digits(in, 4, digits);
  exponent = static_cast<int>(digits) * (negative ? -1 : 1);
  return true;
}

template <class T>
bool read_fast(JsonCursor& in, T& value, bool field) {
  const bool negative = in.take('-');
  if (!negative) in.take('+');
  const char* start = in.at;
  std::uint64_t whole;
  const int count = read_first_digits(in, kDigits, whole);
  T x = count > kDigits ? static_cast<T>(shifted(static_cast<long double>(whole), count - kDigits))
                        : static_cast<T>(whole);
  const T fraction = in.take('.') ? fraction_of<T>(in) : T{};
  int exponent = 0;
  if (!read_exponent(in, exponent, field)) return false;
  x += fraction;
  if (exponent != 0) x = shifted(x, exponent);
  if (in.at == start) {
    if ((in.done() && !field) || (in.peek() == '+' && negative)) return false;
    in.take('+');
    const char lower = static_cast<char>(in.peek() | 0x20);
    if ((lower == 'i' || lower == 'n') && !read_float(in, x)) return false;
  }
  value = negative ? -x : x;
  return true;
}

}  // namespace

bool read_float_fast(JsonCursor& in, double& value, bool field) {
  return read_fast(in, value, field);
}
bool read_float_fast(JsonCursor& in, float& value, bool field) {
  return read_fast(in, value, field);
}

}  // namespace millrace
