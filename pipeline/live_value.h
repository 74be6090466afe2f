// A value that can be replaced while others use it: a setting that changes without a restart.
#pragma once

#include <utility>

#include "transport/mutex.h"

namespace millrace {

// Thread-safe. Who uses it takes a copy each time, so that it never sees half of a change.
template <class T>
class LiveValue {
 public:
  explicit LiveValue(T value = {}) : value_(std::move(value)) {}

  T get() const {
    const MutexLock lock(mutex_);
    return value_;
  }
  void set(T value) {
    const MutexLock lock(mutex_);
    value_ = std::move(value);
  }

 private:
  mutable Mutex mutex_;
  T value_ GUARDED_BY(mutex_);
};

}  // namespace millrace
