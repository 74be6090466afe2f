#include "pipeline/encode/number_text.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

namespace millrace {
namespace {

bool of_float(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

// Too large or too small for the type: from_chars says no more than that.
double beyond(std::string_view text, double) { return std::strtod(std::string(text).c_str(), {}); }
float beyond(std::string_view text, float) { return std::strtof(std::string(text).c_str(), {}); }

constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

// Up to 15 digits with at most one point: both parts of the quotient are exact, so it is the
// nearest double. False, with nothing read, for all else. Only for double: a float would be rounded
// twice.
bool read_short_decimal(JsonCursor& in, double& value) {
  const char* at = in.at;
  std::uint64_t digits = 0;
  unsigned count = 0, decimals = 0;
  for (; at < in.end && *at >= '0' && *at <= '9'; ++at, ++count) {
    digits = digits * 10 + static_cast<unsigned>(*at - '0');
    if (count >= 15) return false;
  }
  if (count == 0) return false;
  if (at < in.end && *at == '.') {
    for (++at; at < in.end && *at >= '0' && *at <= '9'; ++at, ++decimals) {
      digits = digits * 10 + static_cast<unsigned>(*at - '0');
      if (count + decimals >= 15) return false;
    }
  }
  if (at < in.end && of_float(*at)) return false;
  in.at = at;
  value = static_cast<double>(digits) / kPowers[decimals];
  return true;
}
bool read_short_decimal(JsonCursor&, float&) { return false; }

template <class T>
bool read(JsonCursor& in, T& value) {
  bool negative = false;
  for (; in.peek() == '+' || in.peek() == '-'; ++in.at) negative |= *in.at == '-';
  const auto signed_value = [&](T magnitude) {
    value = negative ? -magnitude : magnitude;
    return true;
  };
  T magnitude{};
  if (read_short_decimal(in, magnitude)) return signed_value(magnitude);
  const char c = in.peek();
  if (c == 'i' || c == 'I') {
    if (!in.take_word("inf")) return false;
    if ((in.peek() | 0x20) == 'i' && !in.take_word("inity")) return false;
    return signed_value(std::numeric_limits<T>::infinity());
  }
  if (c == 'n' || c == 'N') {
    return in.take_word("nan") && signed_value(std::numeric_limits<T>::quiet_NaN());
  }
  const char* stop = in.at;
  while (stop < in.end && of_float(*stop)) ++stop;
  const auto [end, error] = std::from_chars(in.at, stop, magnitude);
  if (end != stop || error == std::errc::invalid_argument) return false;
  if (error == std::errc::result_out_of_range) {
    magnitude = beyond({in.at, static_cast<std::size_t>(stop - in.at)}, T{});
  }
  in.at = stop;
  return signed_value(magnitude);
}

}  // namespace

bool read_float(JsonCursor& in, double& value) { return read(in, value); }
bool read_float(JsonCursor& in, float& value) { return read(in, value); }

}  // namespace millrace
