// A producer thread's side of the pipeline: records in, sealed blocks into the queue.
//
//   at least once:  open_lane -> append, append … -> cut_due -> commit position()
//   exactly once:   open_planned_lane -> append … -> commit checkpoint() -> planned()
//
// A planned lane first cuts what its checkpoint names, border by border, and these blocks go into
// the queue at once. What it cuts after that is held until the source has made its end durable:
// then planned() lets it go.
//
// A lane with Boundary::kStride is cut at its borders and nowhere else, so that its last rows stay
// where they are, for whoever reads on. Only when memory is short, and no block is under way that
// would free some, the first of them is cut where it is.
//
// What a source must do with it: call append for each record in the order of offsets; when append
// says kBudgetSpent keep the record, stop reading, and try again; call cut_due() often enough
// (next_due()); pause lanes for which wants_pause() holds; commit position() of each lane on its
// own thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/block_queue.h"
#include "pipeline/flow_control.h"
#include "pipeline/worker.h"  // LogSink

namespace millrace {

// Owned by one producer thread; only progress() of a lane is shared.
class Lane {
 public:
  bool replaying() const noexcept { return !replay_.empty(); }  // the former owner's plan
  const LaneProgress& progress() const noexcept { return *progress_; }
  LaneProgress& progress() noexcept { return *progress_; }
  const TableTarget& target() const noexcept { return *target_; }
  std::int64_t next_offset() const noexcept { return next_offset_; }
  // Whether a record's `traceparent` is of use: the open block has none so far.
  bool wants_traceparent() const noexcept {
    return target_->trace_context == TraceContext::kFirst && traceparent_.empty();
  }

 private:
  friend class Producer;
  Lane(std::shared_ptr<LaneProgress> progress, std::shared_ptr<const TableTarget> target,
       BatchLimits limits, std::int64_t start);
  std::int64_t border_above(std::int64_t offset) const;
  // Throws std::logic_error if it was there already, or the lane takes no more.
  void expect_next(std::int64_t offset) const;

  std::shared_ptr<LaneProgress> progress_;
  std::shared_ptr<const TableTarget> target_;
  BufferLayout layout_;
  Batcher batcher_;
  std::unique_ptr<BlockBuffer> open_;  // null: nothing since the last cut
  std::string traceparent_;            // of the open block
  std::int64_t cut_start_;             // first offset that belongs to the open block
  std::int64_t next_offset_;           // everything below has been appended or skipped
  bool plans_ = false;
  bool leaving_ = false;
  const std::int64_t stride_;              // Boundary::kStride: the distance of its borders; else 0
  std::deque<std::int64_t> replay_;        // ends of planned blocks that are not cut yet
  std::chrono::sys_seconds planned_at_{};  // when a former owner may first have sent them
  std::deque<InsertBlockPtr> held_;        // cut, and named by no durable checkpoint yet
};

enum class AppendResult {
  kAppended,
  kBudgetSpent,  // nothing was taken: memory gets free as blocks end; try again
  kTooLarge,     // the record does not fit into the whole budget; it can never be taken
};

// The lanes of one pipeline, for the status. Thread-safe.
class LaneRegistry {
 public:
  void add(std::shared_ptr<LaneProgress> lane);
  void remove(const LaneProgress& lane);
  std::vector<LaneStatus> status() const;

 private:
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<LaneProgress>> lanes_ GUARDED_BY(mutex_);
};

// Owned by one thread.
class Producer {
 public:
  // All of them must outlive it.
  Producer(ByteBudget& budget, BlockQueue& queue, const FlowControl& flow, LaneRegistry& registry);
  ~Producer();  // closes all lanes without cutting
  Producer(const Producer&) = delete;

  // The lane starts at `offset`, the source's committed position. Valid until close_lane.
  Lane& open_lane(LaneId id, std::shared_ptr<const TableTarget> target, std::int64_t offset);
  // The same with exactly once. `from` is what the source has stored; without an incarnation (the
  // source had no plan) one is drawn, but with Boundary::kStride, whose tokens have all the same.
  Lane& open_planned_lane(LaneId id, std::shared_ptr<const TableTarget> target,
                          const Checkpoint& from);
  // Throws std::logic_error for an offset below lane.next_offset(): a fault in the source.
  [[nodiscard]] AppendResult append(Lane& lane, const Record& record, SteadyTime now);
  // A record that carries no rows (a tombstone, a control record): its offset counts as read.
  void skip(Lane& lane, std::int64_t offset);
  // The source has nothing more below `offset` (control records are passed and never delivered).
  void advance(Lane& lane, std::int64_t offset);

  // What the source is to make durable: with it the held blocks have been named. `written` and
  // `config` are the source's to fill in.
  Checkpoint checkpoint(const Lane& lane) const;
  // A checkpoint whose last end was `end` is durable, and the lane is still ours.
  void planned(Lane& lane, std::int64_t end);
  // The lane is about to go: what no checkpoint names is the next owner's to cut. Nothing can be
  // appended any more; what is on its way may finish.
  void forget_unplanned(Lane& lane);

  // The source has nothing more of what a former owner planned: what was read of it is cut as it
  // is.
  void give_plan_up(Lane& lane);

  // Those whose age is over, or that are full by limits that have changed.
  void cut_due(SteadyTime now);
  void cut(Lane& lane, CutReason reason);  // also moves the position over skipped records
  void cut_all(CutReason reason);
  // Memory is short: each worker that waits gets the largest open block.
  void make_room();
  // When cut_due has something to do next; nothing while all blocks are empty.
  std::optional<SteadyTime> next_due() const;

  // Too many blocks in flight, a block that waits for somebody to act, or a pipeline that is paused
  // (what a former owner planned is still read to its end).
  bool wants_pause(const Lane& lane) const;
  bool idle(const Lane& lane) const;  // nothing open, nothing unfinished
  bool all_idle() const;
  bool nothing_in_flight() const;  // of all lanes; what is open is not
  // The lane goes. What is open is forgotten; what is queued is not sent any more.
  void close_lane(Lane& lane);
  const std::vector<std::unique_ptr<Lane>>& lanes() const noexcept { return lanes_; }

 private:
  Lane& add_lane(std::shared_ptr<LaneProgress> progress, std::shared_ptr<const TableTarget> target,
                 std::int64_t offset);
  bool must_take(const Lane& lane) const;
  std::optional<CutReason> full(const Lane& lane) const;
  bool may_grow() const;
  std::size_t workers_wanting() const;
  void cut_borders_below(Lane& lane, std::int64_t offset);
  void cut_stride(Lane& lane, CutReason reason);
  void forget_open(Lane& lane);
  void take_limits();
  void seal(Lane& lane, CutReason reason);
  ByteBudget& budget_;
  BlockQueue& queue_;
  BlockQueue::Inlet inlet_;
  const FlowControl& flow_;
  BatchLimits batch_;  // as they were at the last look
  LaneRegistry& registry_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::size_t held_blocks_ = 0;  // of all lanes
};

}  // namespace millrace
