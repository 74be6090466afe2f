#include "pipeline/body_limit.h"

#include <algorithm>

namespace millrace {

bool BodyLimit::refused(std::size_t body, std::size_t held) {
  const MutexLock lock(mutex_);
  const bool smaller = smallest_refused_ == 0 || body < smallest_refused_;
  if (smaller) {
    smallest_refused_ = std::max<std::size_t>(body, 2);
    body_.store(smallest_refused_ / 2, std::memory_order_relaxed);
  }
  // So much of the buffer would have made a body at the limit; below that of other blocks, as rows
  // differ.
  const double share =
      static_cast<double>(body_bytes()) / static_cast<double>(std::max<std::size_t>(body, 1));
  const auto fits =
      std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(held) * share));
  const std::size_t known = block_bytes();
  block_.store(known == 0 ? fits : std::min(known, fits), std::memory_order_relaxed);
  return smaller;
}

}  // namespace millrace
