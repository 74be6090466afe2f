// What is known of the largest body that a proxy before ClickHouse takes, by those that it refused
// (413).
//
// Of one table of one pipeline: the proxy counts a body's bytes, blocks are cut by the bytes of
// their records, and what one makes of the other is the table's. Endpoints are not told apart: a
// block is made before it is known which of them it goes to. Kept while the process lives.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>

#include "transport/mutex.h"

namespace millrace {

class BodyLimit {
 public:
  // A body of so many bytes, made of `held` bytes of a block's buffer, was refused. True when the
  // limit is another one now. Half of it is tried next: the limits of proxies are found in a few
  // steps, and blocks stay above half of what is taken.
  bool refused(std::size_t body, std::size_t held);
  // Bodies are kept below it; 0: none was refused.
  std::size_t body_bytes() const noexcept { return body_.load(std::memory_order_relaxed); }
  // Bytes in a block's buffer at which it is cut, so that its body stays below; 0: no limit.
  std::size_t block_bytes() const noexcept { return block_.load(std::memory_order_relaxed); }

 private:
  Mutex mutex_;
  std::size_t smallest_refused_ GUARDED_BY(mutex_) = 0;
  std::atomic<std::size_t> body_{0}, block_{0};
};

}  // namespace millrace
