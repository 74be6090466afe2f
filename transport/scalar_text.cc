#include "transport/scalar_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <type_traits>

#include "transport/error.h"

namespace millrace::scalar {
namespace {

using std::chrono::floor, std::chrono::nanoseconds, std::chrono::seconds;

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::size_t kNanosecondDigits = 9;

std::string padded(std::uint64_t value, std::size_t width) {
  const std::string digits = std::to_string(value);
  return std::string(width - std::min(width, digits.size()), '0') + digits;
}

std::string clock(std::uint64_t seconds_of_day) {
  return padded(seconds_of_day / 3600, 2) + ":" + padded(seconds_of_day / 60 % 60, 2) + ":" +
         padded(seconds_of_day % 60, 2);
}

std::string fraction_text(nanoseconds fraction, std::size_t digits) {
  if (digits == 0) return {};
  const std::string all = padded(static_cast<std::uint64_t>(fraction.count()), kNanosecondDigits);
  return "." + all.substr(0, digits);
}

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (u < ' ') {
      result += "\\u00";
      result += {kHex[u >> 4], kHex[u & 0x0f]};
    } else {
      result += c;
    }
  }
  return result + "\"";
}

// What a Value holds as JSON. A key of a map must be a string: `json_key` puts the rest in quotes.
struct JsonText {
  std::string operator()(Null) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(std::uint64_t value) const { return std::to_string(value); }
  std::string operator()(const Number& value) const { return value.text(); }
  std::string operator()(double value) const {
    return std::isfinite(value) ? number(value) : "null";
  }
  std::string operator()(const std::string& text) const { return json_string(text); }
  std::string operator()(const Bytes&) const { throw UsageError("JSON cannot hold bytes"); }
  std::string operator()(std::chrono::sys_days day) const { return json_string(date(day)); }
  std::string operator()(std::chrono::sys_seconds time) const {
    return json_string(date_time(Instant(time), 0));
  }
  std::string operator()(DateTime64 time) const {
    const Instant instant(time);
    return json_string(date_time(instant, digits_of(instant.fraction)));
  }
  std::string operator()(nanoseconds time) const {
    return json_string(time_of_day(time, digits_of(time)));
  }
  std::string operator()(const Uuid& uuid) const { return json_string(uuid.text); }
  std::string operator()(const Array& items) const {
    std::string result = "[";
    for (const Value& item : items) result += (result.size() > 1 ? "," : "") + json(item);
    return result + "]";
  }
  std::string operator()(const Tuple& tuple) const { return (*this)(tuple.items); }
  std::string operator()(const Map& pairs) const {
    std::string result = "{";
    for (const auto& [key, value] : pairs) {
      const std::string name = json(key);
      result += result.size() > 1 ? "," : "";
      result += (name.starts_with('"') ? name : json_string(name)) + ":" + json(value);
    }
    return result + "}";
  }
};

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c == '\\' || c == '\'' || c == '`' || c == '\t' || c == '\n') result += '\\';
    result += c;
  }
  return result;
}

std::string quote(std::string_view text) { return "'" + escape(text) + "'"; }

std::string hex_escapes(const Bytes& bytes) {
  std::string result;
  result.reserve(4 * bytes.size());
  for (const std::byte byte : bytes) {
    const auto u = std::to_integer<unsigned>(byte);
    result += {'\\', 'x', kHex[u >> 4], kHex[u & 0x0f]};
  }
  return result;
}

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.begin(), text.end(), value);
  return {text.begin(), end};
}

Instant::Instant(DateTime64 time)
    : second(floor<seconds>(time.t)), fraction(time.t - floor<seconds>(time.t)) {}

std::string date(std::chrono::sys_days day) {
  // Far enough from the ends of year_month_day, which wraps silently at its own.
  constexpr std::chrono::sys_days kFirst = std::chrono::year(0) / 1 / 1;
  constexpr std::chrono::sys_days kLast = std::chrono::year(9999) / 12 / 31;
  if (day < kFirst || day > kLast) throw UsageError("a date outside the years 0 to 9999");
  const std::chrono::year_month_day date(day);
  return padded(static_cast<std::uint64_t>(static_cast<int>(date.year())), 4) + "-" +
         padded(static_cast<unsigned>(date.month()), 2) + "-" +
         padded(static_cast<unsigned>(date.day()), 2);
}

std::string date_time(const Instant& time, std::size_t digits) {
  const auto day = floor<std::chrono::days>(time.second);
  return date(day) + " " + clock(static_cast<std::uint64_t>((time.second - day).count())) +
         fraction_text(time.fraction, digits);
}

std::string timestamp(const Instant& time, std::size_t digits) {
  std::uint64_t count = static_cast<std::uint64_t>(time.second.time_since_epoch().count());
  nanoseconds fraction = time.fraction;
  const bool negative = time.second.time_since_epoch().count() < 0;
  if (negative) {
    // Cut to the digits asked for before the sign goes: both ends round down, as the text does.
    nanoseconds unit(1);
    for (std::size_t i = digits; i < kNanosecondDigits; ++i) unit *= 10;
    fraction -= fraction % unit;
    count = 0 - count;
    if (fraction > nanoseconds(0)) {
      --count;
      fraction = seconds(1) - fraction;
    }
  }
  return (negative ? "-" : "") + padded(count, 10) + fraction_text(fraction, digits);
}

std::string time_of_day(nanoseconds time, std::size_t digits) {
  const bool negative = time < nanoseconds(0);
  const auto count = static_cast<std::uint64_t>(time.count());
  const std::uint64_t magnitude = negative ? 0 - count : count;
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const nanoseconds fraction(static_cast<std::int64_t>(magnitude % kSecond));
  return (negative ? "-" : "") + clock(magnitude / kSecond) + fraction_text(fraction, digits);
}

std::size_t digits_of(nanoseconds time) {
  if (time % seconds(1) == nanoseconds(0)) return 0;
  return time % std::chrono::microseconds(1) == nanoseconds(0) ? 6 : 9;
}

std::string json(const Value& value) { return std::visit(JsonText(), value.data()); }

}  // namespace millrace::scalar
