// When to cut a lane's open block. Pure: the time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace millrace {

using SteadyTime = std::chrono::steady_clock::time_point;

struct BatchLimits {
  std::size_t max_rows = 100'000;
  std::size_t max_bytes = 16u << 20;
  std::chrono::milliseconds max_age{1'000};  // counted from the block's first record
  bool operator==(const BatchLimits&) const = default;
};

// Why a block was cut; on every block, in the metrics and in /status.
enum class CutReason {
  kRows,
  kBytes,
  kAge,
  kBudget,   // the byte budget is spent: send what there is, so that it gets free
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
  // Whether the block is full. Age is asked with due(), which need not happen for each record.
  std::optional<CutReason> full() const noexcept;
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
