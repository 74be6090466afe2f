#include "transport/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "transport/mutex.h"

namespace millrace {
namespace {

// Taken at once: larger ones leave the processor's cache before they are written, and then cost
// twice as much.
constexpr std::size_t kMaxSlice = 256u << 10;

// One piece of memory, used round and round: allocating for each piece that is read costs more
// than copying it. Of one writer and one reader; what each was given is its own until it says how
// much of it is done.
class Ring {
 public:
  explicit Ring(std::size_t size)
      : memory_(std::make_unique_for_overwrite<char[]>(size)), size_(size) {}

  // Where to write; nothing when nobody takes any more.
  std::span<char> room() {
    MutexLock lock(mutex_);
    while (filled_ == size_ && !abandoned_) changed_.wait(mutex_);
    if (abandoned_) return {};
    const std::size_t at = (first_ + filled_) % size_;
    return {memory_.get() + at, std::min(size_ - filled_, size_ - at)};
  }

  void written(std::size_t bytes) {
    MutexLock lock(mutex_);
    filled_ += bytes;
    changed_.notify_one();
  }

  // What to read; nothing at the end. Throws what the writer met.
  std::string_view contents() {
    MutexLock lock(mutex_);
    while (filled_ == 0 && !ended_) changed_.wait(mutex_);
    if (filled_ == 0 && error_) std::rethrow_exception(error_);
    return {memory_.get() + first_, std::min({filled_, size_ - first_, kMaxSlice})};
  }

  void read(std::size_t bytes) {
    MutexLock lock(mutex_);
    filled_ -= bytes;
    first_ = (first_ + bytes) % size_;
    changed_.notify_one();
  }

  void end(std::exception_ptr error) {
    MutexLock lock(mutex_);
    ended_ = true;
    error_ = std::move(error);
    changed_.notify_one();
  }

  void abandon() {
    MutexLock lock(mutex_);
    abandoned_ = true;
    changed_.notify_one();
  }

 private:
  const std::unique_ptr<char[]> memory_;
  const std::size_t size_;
  Mutex mutex_;
  CondVar changed_;  // only one of both can be waiting
  std::size_t first_ GUARDED_BY(mutex_) = 0, filled_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  bool abandoned_ GUARDED_BY(mutex_) = false;
  std::exception_ptr error_ GUARDED_BY(mutex_);
};

// False when nobody takes any more.
bool put(Ring& ring, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> room = ring.room();
    if (room.empty()) return false;
    const std::size_t size = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), size);
    ring.written(size);
    bytes.remove_prefix(size);
  }
  return true;
}

}  // namespace

void read_ahead(std::size_t max_bytes, const std::function<std::string_view()>& next,
                const std::function<void(std::string_view)>& consume,
                const std::function<void()>& wake_reader) {
  Ring ring(max_bytes);
  std::thread reader([&] {
    try {
      for (std::string_view piece = next(); !piece.empty(); piece = next()) {
        if (!put(ring, piece)) break;
      }
      ring.end(nullptr);
    } catch (...) {
      ring.end(std::current_exception());
    }
  });
  try {
    for (auto piece = ring.contents(); !piece.empty(); piece = ring.contents()) {
      consume(piece);
      ring.read(piece.size());
    }
  } catch (...) {
    ring.abandon();
    wake_reader();
    reader.join();
    throw;
  }
  reader.join();
}

}  // namespace millrace
