#include "pipeline/source.h"

namespace millrace {

void StopSignal::drain_until(SteadyTime deadline) noexcept {
  // Only ever earlier: a drain that comes after an abort must not prolong it.
  const SteadyTime::rep wanted = deadline.time_since_epoch().count();
  SteadyTime::rep known = deadline_.load(std::memory_order_relaxed);
  while (wanted < known && !deadline_.compare_exchange_weak(known, wanted)) {
  }
  requested_.store(true, std::memory_order_release);
}

SteadyTime StopSignal::deadline() const noexcept {
  return SteadyTime(SteadyTime::duration(deadline_.load(std::memory_order_acquire)));
}

}  // namespace millrace
