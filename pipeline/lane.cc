#include "pipeline/lane.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// A single failure passes unseen; after so many in a row a lane reads no more.
constexpr unsigned kBlockedAfterFailures = 3;

bool blocks(const LaneWait& wait) {
  return wait.disposition != Disposition::kRetry || wait.attempts >= kBlockedAfterFailures;
}

}  // namespace

std::string LaneId::to_string() const { return topic + "/" + std::to_string(partition); }

LaneProgress::LaneProgress(LaneId id, std::string table, std::string incarnation,
                           std::int64_t position)
    : id_(std::move(id)),
      table_(std::move(table)),
      incarnation_(std::move(incarnation)),
      read_(position),
      acks_(position) {}

std::string LaneProgress::token(Cut cut) const {
  return id_.group + "/" + id_.to_string() + "/" + incarnation_ + "/" + std::to_string(cut.first) +
         "-" + std::to_string(cut.end);
}

void LaneProgress::open(Cut cut, std::size_t records) {
  const MutexLock lock(mutex_);
  acks_.open(cut);
  records_read_ += records;
  if (records > 0) in_flight_.emplace(cut.first, records);
}

std::optional<LaneWait> LaneProgress::finish(Cut cut, RowCounts done) {
  const MutexLock lock(mutex_);
  acks_.finish(cut);
  in_flight_.erase(cut.first);
  done_.inserted += done.inserted;
  done_.dead_lettered += done.dead_lettered;
  const auto failed = failed_.extract(cut.first);
  update_blocked();
  if (failed.empty() || !failed_.empty()) return std::nullopt;
  return std::move(failed.mapped());
}

std::int64_t LaneProgress::position() const {
  const MutexLock lock(mutex_);
  return acks_.position();
}

std::size_t LaneProgress::unfinished() const {
  const MutexLock lock(mutex_);
  return acks_.unfinished();
}

std::size_t LaneProgress::planned() const {
  const MutexLock lock(mutex_);
  return acks_.planned();
}

Checkpoint LaneProgress::checkpoint() const {
  const MutexLock lock(mutex_);
  return {.position = acks_.position(), .ends = acks_.planned_ends(), .incarnation = incarnation_};
}

void LaneProgress::forget_from(std::int64_t first) {
  const MutexLock lock(mutex_);
  acks_.forget_from(first);
  for (auto cut = in_flight_.lower_bound(first); cut != in_flight_.end();) {
    records_read_ -= cut->second;
    cut = in_flight_.erase(cut);
  }
}

void LaneProgress::set_failed(Cut cut, LaneWait wait) {
  const MutexLock lock(mutex_);
  const auto known = failed_.find(cut.first);
  wait.since = known != failed_.end() ? known->second.since : std::chrono::system_clock::now();
  failed_.insert_or_assign(cut.first, std::move(wait));
  update_blocked();
}

void LaneProgress::set_source_wait(std::optional<LaneWait> wait) {
  const MutexLock lock(mutex_);
  if (wait) wait->since = source_wait_ ? source_wait_->since : std::chrono::system_clock::now();
  source_wait_ = std::move(wait);
}

void LaneProgress::update_blocked() {
  blocked_.store(std::any_of(failed_.begin(), failed_.end(),
                             [](const auto& failed) { return blocks(failed.second); }),
                 std::memory_order_relaxed);
}

LaneStatus LaneProgress::status() const {
  LaneStatus status;
  status.id = id_;
  status.table = table_;
  status.committed = committed_.load();
  status.read = read_.load();
  status.high_watermark = high_watermark_.load();
  status.paused = paused_.load();
  const MutexLock lock(mutex_);
  status.position = acks_.position();
  status.unfinished_blocks = acks_.unfinished();
  status.ledger = {.read = records_read_, .skipped = skipped_.load(), .done = done_};
  for (const auto& [first, records] : in_flight_) status.ledger.in_flight += records;
  status.waiting = !failed_.empty() || source_wait_;
  if (!failed_.empty()) {
    status.wait = failed_.begin()->second;
  } else if (source_wait_) {
    status.wait = *source_wait_;
  }
  return status;
}

}  // namespace millrace
