// A few threads that do jobs, in the order in which these come.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "transport/mutex.h"

namespace millrace {

// Thread-safe.
class AdminWorkers {
 public:
  explicit AdminWorkers(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  // Returns when the running jobs have ended; those that were not begun are dropped.
  ~AdminWorkers() {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      jobs_.clear();
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }
  AdminWorkers(const AdminWorkers&) = delete;
  AdminWorkers& operator=(const AdminWorkers&) = delete;

  void add(std::function<void()> job) {
    MutexLock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }

 private:
  void run() {
    MutexLock lock(mutex_);
    while (true) {
      while (jobs_.empty() && !stopping_) changed_.wait(mutex_);
      if (stopping_) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> jobs_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace millrace
