// The plain texts of what a Value (value.h) holds: without quotes, and the two ways of escaping.
// Pure functions; a year that needs more than four digits is a UsageError.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "transport/value.h"

namespace millrace::scalar {

// `\`, `'`, backtick, TAB and LF with a backslash before them: right in quotes and in a bare
// parameter, for the server takes a backslash and an unknown character as that character.
std::string escape(std::string_view text);
std::string quote(std::string_view text);     // escaped, in '…'
std::string hex_escapes(const Bytes& bytes);  // \x00\xff

// The shortest text that reads back as the same number; nan, inf, -inf.
std::string number(double value);

// A point in time, split so that neither years nor nanoseconds are lost.
struct Instant {
  std::chrono::sys_seconds second;
  std::chrono::nanoseconds fraction;  // 0 ≤ fraction < 1 s

  explicit Instant(std::chrono::sys_seconds time) : second(time), fraction(0) {}
  explicit Instant(DateTime64 time);
};

std::string date(std::chrono::sys_days day);                     // 2026-01-02
std::string date_time(const Instant& time, std::size_t digits);  // 2026-01-02 03:04:05.123, UTC
// Seconds since 1970 in ten digits at least: of fewer than five the server makes a date, and an
// error.
std::string timestamp(const Instant& time, std::size_t digits);
std::string time_of_day(std::chrono::nanoseconds time, std::size_t digits);  // -100:00:05.250
// How many digits such a time needs: none, six or nine.
std::size_t digits_of(std::chrono::nanoseconds time);

// As JSON, without spaces. Points in time become strings, what is not finite null.
std::string json(const Value& value);

}  // namespace millrace::scalar
