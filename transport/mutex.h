// A mutex whose use the compiler checks.
//
// std::mutex carries no annotations under libstdc++, so clang's -Wthread-safety sees nothing of it.
// These thin wrappers name what guards what: declare a field `GUARDED_BY(mutex_)`, take the lock
// with MutexLock, and reading the field without it does not compile under clang (clang-tidy runs
// that check in ./tests/run). With g++ the annotations vanish.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MILLRACE_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MILLRACE_THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(x) MILLRACE_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY MILLRACE_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) MILLRACE_THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES(...) MILLRACE_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) MILLRACE_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) MILLRACE_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define EXCLUDES(...) MILLRACE_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace millrace {

// Thread-safe.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds the mutex for a scope; unlock() and lock() let go of it in between. Owned by one thread.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  void unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void lock() ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Waits are on the Mutex that the caller holds; as with std::condition_variable they can wake for
// no reason, so they stand in a loop over the condition. Thread-safe.
class CondVar {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) { cv_.wait(mutex); }
  // False when `deadline` passed.
  bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point deadline) REQUIRES(mutex) {
    return cv_.wait_until(mutex, deadline) == std::cv_status::no_timeout;
  }
  void notify_one() noexcept { cv_.notify_one(); }
  void notify_all() noexcept { cv_.notify_all(); }

 private:
  std::condition_variable_any cv_;
};

}  // namespace millrace
