// The last resort at the end: every wait of ours has a bound, but a file system that does not
// answer, or a host name that is being resolved, can hold a thread for ever, and what waits for
// it.
#pragma once

#include <functional>
#include <thread>

#include "pipeline/batcher.h"  // SteadyTime
#include "transport/mutex.h"

namespace millrace {

// Thread-safe, but for the destructor. It is to be made before, and so destroyed after, all that
// may hold the process up.
class ExitWatch {
 public:
  // `give_up` is called on a thread of its own, at most once, and does not come back.
  explicit ExitWatch(std::function<void()> give_up) : give_up_(std::move(give_up)) {}
  ~ExitWatch();
  ExitWatch(const ExitWatch&) = delete;

  // From now on the process has until then to end by itself; the earliest time counts.
  void expect_end_by(SteadyTime time);

 private:
  void run();

  const std::function<void()> give_up_;
  Mutex mutex_;
  CondVar changed_;
  SteadyTime end_ GUARDED_BY(mutex_) = SteadyTime::max();
  bool over_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace millrace
