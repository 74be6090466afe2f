// The line on a terminal that says how far a query or an insert is.
//
//   12.3 M rows, 1.2 GB, 45.6 MB/s, 34 %, 12 s left
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "pipeline/batcher.h"  // SteadyTime

namespace millrace {

// What is known; 0 where it is not.
struct ProgressCounts {
  std::uint64_t rows = 0, bytes = 0;
  std::uint64_t total_rows = 0, total_bytes = 0;
};

// The text, without a line end. Pure.
std::string progress_text(const ProgressCounts& counts, std::chrono::duration<double> elapsed);
// "12.3 k", "1.2 M"; bytes with "B" behind.
std::string short_number(double number);

// Writes it on standard error over itself, four times a second at most; nothing at all if that is
// no terminal. Owned by one thread.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  void show(const ProgressCounts& counts, SteadyTime now);
  void clear();

 private:
  const bool visible_;
  const SteadyTime started_;
  SteadyTime next_;
  bool written_ = false;
};

}  // namespace millrace
