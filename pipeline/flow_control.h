// What can be changed of a pipeline while it runs: when blocks are cut, how many may be in flight,
// and whether it reads at all. Set by whoever steers the process, obeyed by its producers.
#pragma once

#include <atomic>
#include <cstddef>

#include "pipeline/batcher.h"
#include "pipeline/live_value.h"

namespace millrace {

struct LaneLimits {
  std::size_t max_blocks_in_flight = 8;  // of one lane; above it the lane is paused
};

// Thread-safe.
class FlowControl {
 public:
  explicit FlowControl(BatchLimits batch = {}, LaneLimits lanes = {})
      : batch_(batch), lanes_(lanes) {}

  void set_limits(BatchLimits batch, LaneLimits lanes) {
    batch_.set(batch);
    lanes_.set(lanes);
  }
  BatchLimits batch() const { return batch_.get(); }
  LaneLimits lanes() const { return lanes_.get(); }

  // Paused, nothing more is read; what was read is sent and committed, and lanes are kept.
  void set_paused(bool paused) noexcept { paused_.store(paused, std::memory_order_relaxed); }
  bool paused() const noexcept { return paused_.load(std::memory_order_relaxed); }

 private:
  LiveValue<BatchLimits> batch_;
  LiveValue<LaneLimits> lanes_;
  std::atomic<bool> paused_{false};
};

}  // namespace millrace
