#include "service/exit_watch.h"

#include <algorithm>

namespace millrace {

ExitWatch::~ExitWatch() {
  MutexLock lock(mutex_);
  over_ = true;
  std::thread thread = std::move(thread_);
  lock.unlock();
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

void ExitWatch::expect_end_by(SteadyTime time) {
  MutexLock lock(mutex_);
  end_ = std::min(end_, time);
  if (!thread_.joinable() && !over_) thread_ = std::thread([this] { run(); });
  lock.unlock();
  changed_.notify_all();
}

void ExitWatch::run() {
  MutexLock lock(mutex_);
  while (!over_ && std::chrono::steady_clock::now() < end_) (void)changed_.wait_until(mutex_, end_);
  if (over_) return;
  lock.unlock();
  give_up_();
}

}  // namespace millrace
