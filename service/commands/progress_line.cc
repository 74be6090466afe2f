#include "service/commands/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace millrace {
namespace {

constexpr std::chrono::milliseconds kInterval{250};

std::string rounded(double number, int digits) {
  std::array<char, 40> text;
  std::snprintf(text.data(), text.size(), "%.*f", digits, number);
  return text.data();
}

// Of the whole; nothing where the whole is not known.
double share_of(const ProgressCounts& counts) {
  if (counts.total_bytes > 0) {
    return static_cast<double>(counts.bytes) / static_cast<double>(counts.total_bytes);
  }
  if (counts.total_rows > 0) {
    return static_cast<double>(counts.rows) / static_cast<double>(counts.total_rows);
  }
  return 0;
}

}  // namespace

std::string short_number(double number) {
  constexpr std::array<const char*, 5> kUnits{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (number >= 999.95 && unit + 1 < kUnits.size()) {
    number /= 1000;
    ++unit;
  }
  return rounded(number, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string progress_text(const ProgressCounts& counts, std::chrono::duration<double> elapsed) {
  const auto bytes = static_cast<double>(counts.bytes);
  const double seconds = std::max(elapsed.count(), 0.001);
  std::string text;
  if (counts.rows > 0) {
    std::string number = short_number(static_cast<double>(counts.rows));
    if (number.ends_with(' ')) number.pop_back();
    text += number + " rows, ";
  }
  text += short_number(bytes) + "B, " + short_number(bytes / seconds) + "B/s";
  const double share = std::min(share_of(counts), 1.0);
  if (share > 0) {
    text += ", " + rounded(std::floor(share * 100), 0) + " %";
    if (seconds >= 1 && share < 1) {
      text += ", " + rounded(std::ceil(seconds / share * (1 - share)), 0) + " s left";
    }
  }
  return text;
}

ProgressLine::ProgressLine(bool wanted)
    : visible_(wanted && ::isatty(STDERR_FILENO) == 1),
      started_(std::chrono::steady_clock::now()),
      next_(started_ + kInterval) {}

void ProgressLine::show(const ProgressCounts& counts, SteadyTime now) {
  if (!visible_ || now < next_) return;
  next_ = now + kInterval;
  written_ = true;
  const std::string line = "\r" + progress_text(counts, now - started_) + "\x1b[K";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

void ProgressLine::clear() {
  if (!written_) return;
  written_ = false;
  constexpr std::string_view kClear = "\r\x1b[K";
  (void)!::write(STDERR_FILENO, kClear.data(), kClear.size());
}

}  // namespace millrace
