#include "pipeline/producer.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "pipeline/stop_hook.h"

namespace millrace {
namespace {

constexpr char kIncarnationOfStrides[] = "stride";

}  // namespace

void LaneRegistry::add(std::shared_ptr<LaneProgress> lane) {
  const MutexLock lock(mutex_);
  lanes_.push_back(std::move(lane));
}

void LaneRegistry::remove(const LaneProgress& lane) {
  const MutexLock lock(mutex_);
  std::erase_if(lanes_, [&](const auto& known) { return known.get() == &lane; });
}

std::vector<LaneStatus> LaneRegistry::status() const {
  const MutexLock lock(mutex_);
  std::vector<LaneStatus> result;
  for (const auto& lane : lanes_) result.push_back(lane->status());
  return result;
}

Lane::Lane(std::shared_ptr<LaneProgress> progress, std::shared_ptr<const TableTarget> target,
           BatchLimits limits, std::int64_t start)
    : progress_(std::move(progress)),
      target_(std::move(target)),
      layout_(target_->layout()),
      batcher_(limits),
      cut_start_(start),
      next_offset_(start),
      stride_(target_->boundary == Boundary::kStride
                  ? static_cast<std::int64_t>(limits.enough_rows())
                  : 0) {}

Producer::Producer(ByteBudget& budget, BlockQueue& queue, const FlowControl& flow,
                   LaneRegistry& registry)
    : budget_(budget),
      queue_(queue),
      inlet_(queue.make_inlet()),
      flow_(flow),
      batch_(flow.batch()),
      registry_(registry) {}

Producer::~Producer() {
  while (!lanes_.empty()) close_lane(*lanes_.back());
}

Lane& Producer::open_lane(LaneId id, std::shared_ptr<const TableTarget> target,
                          std::int64_t offset) {
  auto progress =
      std::make_shared<LaneProgress>(std::move(id), target->table, draw_incarnation(), offset);
  return add_lane(std::move(progress), std::move(target), offset);
}

Lane& Producer::open_planned_lane(LaneId id, std::shared_ptr<const TableTarget> target,
                                  const Checkpoint& from) {
  std::string incarnation = from.incarnation;
  if (incarnation.empty()) {
    incarnation =
        target->boundary == Boundary::kStride ? kIncarnationOfStrides : draw_incarnation();
  }
  auto progress = std::make_shared<LaneProgress>(std::move(id), target->table,
                                                 std::move(incarnation), from.position);
  Lane& lane = add_lane(std::move(progress), std::move(target), from.position);
  lane.plans_ = true;
  lane.replay_.assign(from.ends.begin(), from.ends.end());
  lane.planned_at_ = from.written;
  return lane;
}

Lane& Producer::add_lane(std::shared_ptr<LaneProgress> progress,
                         std::shared_ptr<const TableTarget> target, std::int64_t offset) {
  lanes_.push_back(std::unique_ptr<Lane>(new Lane(progress, std::move(target), batch_, offset)));
  registry_.add(std::move(progress));
  return *lanes_.back();
}

AppendResult Producer::append(Lane& lane, const Record& record, SteadyTime now) {
  lane.expect_next(record.offset);
  cut_borders_below(lane, record.offset);
  if (lane.open_ == nullptr) lane.open_ = std::make_unique<BlockBuffer>(budget_, lane.layout_);
  const std::size_t used_before = lane.open_->used_bytes();
  if (!lane.open_->try_append(record)) {
    // Asked of a fresh block: what is open now is cut before the next try.
    const std::size_t needed = BlockBuffer::bytes_needed(record, lane.layout_);
    if (needed > budget_.limit()) return AppendResult::kTooLarge;
    if (!must_take(lane)) {
      make_room();
      return AppendResult::kBudgetSpent;
    }
    lane.open_->append_anyway(record);
  }
  if (lane.wants_traceparent() && is_traceparent(record.traceparent))
    lane.traceparent_ = record.traceparent;
  lane.next_offset_ = record.offset + 1;
  lane.batcher_.add(1, lane.open_->used_bytes() - used_before, now);
  if (lane.replaying() || lane.stride_ > 0) {
    cut_borders_below(lane, lane.next_offset_);
  } else if (const auto reason = full(lane)) {
    cut(lane, *reason);
  }
  return AppendResult::kAppended;
}

std::optional<CutReason> Producer::full(const Lane& lane) const {
  if (const auto reason = lane.batcher_.full()) return reason;
  const std::size_t most = lane.target_->stats->body_limit.block_bytes();
  if (most != 0 && lane.open_ != nullptr && lane.open_->used_bytes() >= most)
    return CutReason::kBytes;
  const auto reason = lane.batcher_.enough();
  return reason && may_grow() ? std::nullopt : reason;
}

// Those that wait and that no held block is meant for.
std::size_t Producer::workers_wanting() const {
  const std::size_t waiting = queue_.wanted();
  return waiting - std::min(waiting, held_blocks_);
}

// What is cut now would wait for a worker. Only while the budget has room for what comes meanwhile.
bool Producer::may_grow() const {
  return workers_wanting() == 0 && budget_.used() / 3 < budget_.limit() / 4;
}

// A planned block has the borders that it has: it can't be cut to make room. When nothing is in
// flight whose end would make room, it goes over the budget.
bool Producer::must_take(const Lane& lane) const {
  return lane.replaying() && nothing_in_flight() &&
         std::all_of(lanes_.begin(), lanes_.end(),
                     [](const auto& each) { return each->open_ == nullptr || each->replaying(); });
}

// Memory gets free when blocks end. While all workers are busy with some nothing need be cut for
// it, and what is open can become large; a worker that waits gets the largest.
void Producer::make_room() {
  std::size_t wanted = nothing_in_flight() ? 1 : 0;
  wanted = std::max(wanted, workers_wanting());
  std::vector<Lane*> open;
  for (const auto& lane : lanes_) {
    if (lane->open_ != nullptr) open.push_back(lane.get());
  }
  std::sort(open.begin(), open.end(), [](const Lane* a, const Lane* b) {
    return a->open_->used_bytes() > b->open_->used_bytes();
  });
  for (Lane* lane : open) {
    if (wanted == 0) return;
    cut(*lane, CutReason::kBudget);
    if (lane->open_ == nullptr) --wanted;
  }
}

// Cuts at the planned ends, then at the strides' borders, that are `offset` or below: the source
// has passed them.
void Producer::cut_borders_below(Lane& lane, std::int64_t offset) {
  while (lane.replaying() && lane.replay_.front() <= offset) {
    lane.next_offset_ = lane.replay_.front();
    seal(lane, CutReason::kPlanned);
    lane.replay_.pop_front();
  }
  if (lane.replaying() || lane.stride_ == 0 || lane.border_above(lane.cut_start_) > offset) return;
  lane.next_offset_ = lane.border_above(lane.cut_start_);
  seal(lane, CutReason::kStride);
  // Strides without a record are one cut, however many.
  if (lane.border_above(lane.cut_start_) > offset) return;
  lane.next_offset_ = offset - offset % lane.stride_;
  seal(lane, CutReason::kStride);
}

std::int64_t Lane::border_above(std::int64_t offset) const {
  return (offset / stride_ + 1) * stride_;
}

void Producer::skip(Lane& lane, std::int64_t offset) {
  lane.expect_next(offset);
  lane.progress_->add_skipped();
  advance(lane, offset + 1);
}

void Producer::advance(Lane& lane, std::int64_t offset) {
  if (lane.leaving_) return;
  cut_borders_below(lane, offset);
  lane.next_offset_ = std::max(lane.next_offset_, offset);
}

void Lane::expect_next(std::int64_t offset) const {
  if (leaving_) throw std::logic_error("lane " + progress_->id().to_string() + " takes no more");
  if (offset >= next_offset_) return;
  throw std::logic_error("lane " + progress_->id().to_string() + ": offset " +
                         std::to_string(offset) + " came after " +
                         std::to_string(next_offset_ - 1));
}

void Producer::take_limits() {
  const BatchLimits now = flow_.batch();
  if (now == batch_) return;
  batch_ = now;
  for (const auto& lane : lanes_) lane->batcher_.set_limits(batch_);
}

void Producer::cut_due(SteadyTime now) {
  take_limits();
  for (const auto& lane : lanes_) {
    if (lane->replaying() || lane->stride_ > 0) continue;
    const auto reason = full(*lane);
    if (const auto why = reason ? reason : lane->batcher_.due(now)) {
      cut(*lane, *why);
    } else if (lane->batcher_.empty() && lane->progress_->unfinished() == 0) {
      cut(*lane, CutReason::kAge);  // only skipped records: the position moves over them
    }
  }
}

void Producer::cut(Lane& lane, CutReason reason) {
  if (lane.replaying() || lane.next_offset_ == lane.cut_start_) return;
  if (lane.stride_ > 0) return cut_stride(lane, reason);
  seal(lane, reason);
}

// Between its borders.
void Producer::cut_stride(Lane& lane, CutReason reason) {
  if (reason == CutReason::kLeaving) {
    forget_open(lane);
  } else if (reason == CutReason::kBudget && lane.open_ != nullptr && nothing_in_flight()) {
    seal(lane, reason);
  }
}

void Producer::forget_open(Lane& lane) {
  lane.open_.reset();
  lane.traceparent_.clear();
  lane.batcher_.reset();
  lane.next_offset_ = lane.cut_start_;
}

void Producer::seal(Lane& lane, CutReason reason) {
  const Cut range{lane.cut_start_, lane.next_offset_};
  lane.progress_->set_read(lane.next_offset_);
  lane.progress_->open(range, lane.open_ == nullptr ? 0 : lane.open_->records());
  lane.cut_start_ = lane.next_offset_;
  const SteadyTime opened = lane.batcher_.opened();
  lane.batcher_.reset();
  const std::unique_ptr<BlockBuffer> rows = std::move(lane.open_);
  std::string traceparent = std::exchange(lane.traceparent_, {});
  if (rows == nullptr || rows->records() == 0) {
    lane.progress_->finish(range);
    return;
  }
  TableStats& stats = *lane.target_->stats;
  stats.rows_read.add(rows->records());
  stats.bytes_read.add(rows->payload_bytes());
  stats.cuts[static_cast<std::size_t>(reason)].add();
  auto block =
      std::make_unique<InsertBlock>(lane.progress_, lane.target_, range, std::move(*rows), reason);
  block->opened_at = opened;
  block->traceparent = std::move(traceparent);
  // Whoever planned it may have sent it, and nobody knows what came of it.
  if (reason == CutReason::kPlanned) block->unknown_since = lane.planned_at_;
  if (lane.plans_ && !lane.replaying()) {
    lane.held_.push_back(std::move(block));
    ++held_blocks_;
    stop_at(StopPoint::kCut);
  } else {
    inlet_.push(std::move(block));
  }
}

Checkpoint Producer::checkpoint(const Lane& lane) const {
  Checkpoint checkpoint = lane.progress_->checkpoint();
  checkpoint.ends.insert(checkpoint.ends.end(), lane.replay_.begin(), lane.replay_.end());
  return checkpoint;
}

void Producer::planned(Lane& lane, std::int64_t end) {
  while (!lane.held_.empty() && lane.held_.front()->cut.end <= end) {
    stop_at(StopPoint::kPlanned);
    inlet_.push(std::move(lane.held_.front()));
    lane.held_.pop_front();
    --held_blocks_;
  }
}

void Producer::forget_unplanned(Lane& lane) {
  if (!lane.held_.empty()) {
    lane.cut_start_ = lane.held_.front()->cut.first;
    lane.progress_->forget_from(lane.cut_start_);
    held_blocks_ -= lane.held_.size();
    lane.held_.clear();
  }
  forget_open(lane);
  lane.leaving_ = true;
}

void Producer::give_plan_up(Lane& lane) {
  lane.replay_.clear();
  if (lane.next_offset_ != lane.cut_start_) seal(lane, CutReason::kLeaving);
}

void Producer::cut_all(CutReason reason) {
  for (const auto& lane : lanes_) cut(*lane, reason);
}

std::optional<SteadyTime> Producer::next_due() const {
  std::optional<SteadyTime> earliest;
  for (const auto& lane : lanes_) {
    if (lane->replaying() || lane->stride_ > 0) continue;
    const auto due = lane->batcher_.deadline();
    if (due && (!earliest || *due < *earliest)) earliest = due;
  }
  return earliest;
}

bool Producer::wants_pause(const Lane& lane) const {
  const LaneProgress& progress = *lane.progress_;
  return progress.blocked() || progress.unfinished() >= flow_.lanes().max_blocks_in_flight ||
         (!lane.replaying() && (flow_.paused() || progress.planned() >= kMaxPlannedBlocks));
}

bool Producer::idle(const Lane& lane) const {
  return lane.next_offset_ == lane.cut_start_ && lane.progress_->unfinished() == 0;
}

bool Producer::all_idle() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) { return idle(*lane); });
}

bool Producer::nothing_in_flight() const {
  return std::all_of(lanes_.begin(), lanes_.end(),
                     [](const auto& lane) { return lane->progress_->unfinished() == 0; });
}

void Producer::close_lane(Lane& lane) {
  const std::shared_ptr<LaneProgress> progress = lane.progress_;
  progress->abandon();
  registry_.remove(*progress);
  held_blocks_ -= lane.held_.size();
  std::erase_if(lanes_, [&](const auto& known) { return known.get() == &lane; });
  queue_.unpark(*progress);
}

}  // namespace millrace
