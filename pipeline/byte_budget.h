// The one limit on memory.
//
// Everything in flight is paid for here: the broker client's prefetch, open blocks, queued blocks,
// encoded bodies, requests. A ByteReservation is an RAII value that moves with the data and gives
// its bytes back when the data is freed, that is, when its block is acknowledged. Back-pressure is
// this and nothing else: a producer that gets no reservation stops reading.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>

namespace millrace {

class ByteBudget;

// Owned by one thread at a time; moves with what it paid for. Must not outlive its budget.
class ByteReservation {
 public:
  ByteReservation() = default;
  ByteReservation(ByteReservation&& other) noexcept;
  ByteReservation& operator=(ByteReservation&& other) noexcept;
  ~ByteReservation();

  std::size_t bytes() const noexcept { return bytes_; }
  // Takes over another reservation of the same budget.
  void merge(ByteReservation&& other) noexcept;
  void release() noexcept;

 private:
  friend class ByteBudget;
  ByteReservation(ByteBudget* budget, std::size_t bytes) : budget_(budget), bytes_(bytes) {}
  ByteBudget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

// Thread-safe, lock-free.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t limit_bytes) : limit_(limit_bytes) {}

  // Nothing when less than `bytes` are free.
  std::optional<ByteReservation> try_reserve(std::size_t bytes) noexcept;
  // Never refuses, so `used` may pass the limit: for what must go on so that memory gets free at
  // all (a worker's encoded body that came out larger than was reserved for it).
  ByteReservation reserve_anyway(std::size_t bytes) noexcept;

  std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_; }

 private:
  friend class ByteReservation;
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace millrace
