#include "pipeline/batcher.h"

namespace millrace {
namespace {

// Which of both is reached; nothing of an empty block.
std::optional<CutReason> reached(std::size_t rows, std::size_t wanted_rows, std::size_t bytes,
                                 std::size_t wanted_bytes) {
  if (rows == 0) return std::nullopt;
  if (rows >= wanted_rows) return CutReason::kRows;
  if (bytes >= wanted_bytes) return CutReason::kBytes;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(CutReason reason) {
  switch (reason) {
    case CutReason::kRows:
      return "rows";
    case CutReason::kBytes:
      return "bytes";
    case CutReason::kAge:
      return "age";
    case CutReason::kBudget:
      return "budget";
    case CutReason::kLeaving:
      return "leaving";
    case CutReason::kPlanned:
      return "planned";
    case CutReason::kStride:
      return "stride";
  }
  return "unknown";
}

void Batcher::add(std::size_t rows, std::size_t bytes, SteadyTime now) {
  if (rows_ == 0) opened_ = now;
  rows_ += rows;
  bytes_ += bytes;
}

std::optional<CutReason> Batcher::full() const noexcept {
  return reached(rows_, limits_.max_rows, bytes_, limits_.max_bytes);
}

std::optional<CutReason> Batcher::enough() const noexcept {
  return reached(rows_, limits_.enough_rows(), bytes_, limits_.enough_bytes());
}

std::optional<CutReason> Batcher::due(SteadyTime now) const noexcept {
  const auto when = deadline();
  if (when && now >= *when) return CutReason::kAge;
  return std::nullopt;
}

std::optional<SteadyTime> Batcher::deadline() const noexcept {
  if (rows_ == 0) return std::nullopt;
  return opened_ + limits_.max_age;
}

void Batcher::reset() noexcept {
  rows_ = 0;
  bytes_ = 0;
}

void Batcher::set_limits(BatchLimits limits) { limits_ = limits; }

}  // namespace millrace
