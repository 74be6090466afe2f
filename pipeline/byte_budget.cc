#include "pipeline/byte_budget.h"

#include <cassert>
#include <utility>

namespace millrace {

ByteReservation::ByteReservation(ByteReservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ByteReservation& ByteReservation::operator=(ByteReservation&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

ByteReservation::~ByteReservation() { release(); }

void ByteReservation::merge(ByteReservation&& other) noexcept {
  assert(budget_ == nullptr || other.budget_ == nullptr || budget_ == other.budget_);
  if (budget_ == nullptr) budget_ = other.budget_;
  bytes_ += std::exchange(other.bytes_, 0);
  other.budget_ = nullptr;
}

void ByteReservation::release() noexcept {
  if (budget_ != nullptr) budget_->used_.fetch_sub(bytes_, std::memory_order_relaxed);
  budget_ = nullptr;
  bytes_ = 0;
}

// Relaxed throughout: the counter guards no data, it only has to add up.
std::optional<ByteReservation> ByteBudget::try_reserve(std::size_t bytes) noexcept {
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (used > limit_ || bytes > limit_ - used) return std::nullopt;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return ByteReservation(this, bytes);
}

ByteReservation ByteBudget::reserve_anyway(std::size_t bytes) noexcept {
  used_.fetch_add(bytes, std::memory_order_relaxed);
  return ByteReservation(this, bytes);
}

}  // namespace millrace
