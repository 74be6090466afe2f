// When to cut a lane's open block. Pure: the time is an argument.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace millrace {

using SteadyTime = std::chrono::steady_clock::time_point;

// A block that reaches a target is cut, unless all workers are busy: then it would only wait, and
// grows on instead, to the maximum. So blocks are small while ClickHouse keeps up, and few and
// large, which cost it less a row, when it does not.
struct BatchLimits {
  std::size_t max_rows = 1'000'000;
  std::size_t max_bytes = 64u << 20;
  std::chrono::milliseconds max_age{1'000};  // counted from the block's first record
  std::size_t target_rows = 100'000;         // above the maximum, the maximum counts
  std::size_t target_bytes = 16u << 20;
  std::size_t enough_rows() const { return std::min(target_rows, max_rows); }
  std::size_t enough_bytes() const { return std::min(target_bytes, max_bytes); }
  bool operator==(const BatchLimits&) const = default;
};

// Why a block was cut; on every block, in the metrics and in /status.
enum class CutReason {
  kRows,
  kBytes,
  kAge,
  kBudget,   // the byte budget is spent, and a worker waits: send it, so that it gets free
  kLeaving,  // the lane goes to another owner, or the process drains
  kPlanned,  // a former owner's plan has a border here
  kStride,   // Boundary::kStride has one
};
inline constexpr std::size_t kCutReasons = 7;
std::string_view to_string(CutReason reason);

// Owned by one thread.
class Batcher {
 public:
  explicit Batcher(BatchLimits limits) : limits_(limits) {}

  void add(std::size_t rows, std::size_t bytes, SteadyTime now);
  // Age is asked with due(), which need not happen for each record.
  std::optional<CutReason> full() const noexcept;    // at a maximum
  std::optional<CutReason> enough() const noexcept;  // at a target
  std::optional<CutReason> due(SteadyTime now) const noexcept;
  // When age will cut it; nothing while the block is empty.
  std::optional<SteadyTime> deadline() const noexcept;
  bool empty() const noexcept { return rows_ == 0; }
  SteadyTime opened() const noexcept { return opened_; }  // of the first record; unless empty
  void reset() noexcept;                                  // after a cut
  void set_limits(BatchLimits limits);  // holds from now on, for the open block too

 private:
  BatchLimits limits_;
  std::size_t rows_ = 0, bytes_ = 0;
  SteadyTime opened_{};
};

}  // namespace millrace
