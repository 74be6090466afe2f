// A lane and how far it has got.
//
// A lane is an ordered stream of records with growing offsets (a Kafka partition …), owned by one
// producer thread at a time. LaneProgress is the part that others see: the producer opens cuts,
// workers finish them, the source commits `position()`, the admin server shows it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "pipeline/ack_tracker.h"
#include "pipeline/checkpoint.h"
#include "transport/error.h"
#include "transport/mutex.h"

namespace millrace {

struct LaneId {
  std::string group;  // whose progress it is: the Kafka consumer group
  std::string topic;
  std::int32_t partition = 0;
  std::string to_string() const;  // "topic/partition", for people
  bool operator==(const LaneId&) const = default;
};

// Why a lane stands still.
struct LaneWait {
  Disposition disposition = Disposition::kRetry;
  int code = 0;          // ClickHouse's, or 0
  std::string reason;    // label: "UNKNOWN_TABLE", "timeout" …
  std::string message;   // for people
  std::string advice{};  // what to do, where it is not what failure.h says of the reason
  std::chrono::system_clock::time_point since{};
  unsigned attempts = 0;
};

// What became of a lane's records.
struct RowCounts {
  std::uint64_t inserted = 0, dead_lettered = 0;
};

// Of all its records since this process has the lane. Nothing may be missing in it: what was read
// and is not in flight was inserted, or is a dead letter.
struct LaneLedger {
  std::uint64_t read = 0, skipped = 0;  // skipped: tombstones
  RowCounts done;
  std::uint64_t in_flight = 0;
  std::int64_t difference() const noexcept {
    return static_cast<std::int64_t>(read - done.inserted - done.dead_lettered - in_flight);
  }
};

struct LaneStatus {
  LaneId id;
  std::string table;
  std::int64_t position = 0;         // everything below is in ClickHouse
  std::int64_t committed = -1;       // what the source has stored of it; -1: nothing yet
  std::int64_t read = 0;             // next offset to be read
  std::int64_t high_watermark = -1;  // the source's end; -1: unknown
  std::size_t unfinished_blocks = 0;
  LaneLedger ledger;
  bool paused = false;
  bool waiting = false;
  LaneWait wait;
};

// Thread-safe.
class LaneProgress {
 public:
  LaneProgress(LaneId id, std::string table, std::string incarnation, std::int64_t position);

  const LaneId& id() const noexcept { return id_; }
  const std::string& table() const noexcept { return table_; }
  // `<group>/<topic>/<partition>/<incarnation>/<first>-<end>`: what ClickHouse knows a block by.
  // The incarnation is drawn when a lane is taken without a plan, because offsets are not
  // identities for ever: a topic can be deleted and made again.
  std::string token(Cut cut) const;

  // A cut with so many records.
  void open(Cut cut, std::size_t records = 0);
  // Returns what the lane waited for if this was the last block that failed.
  std::optional<LaneWait> finish(Cut cut, RowCounts done = {});
  void add_skipped() noexcept { skipped_.fetch_add(1, std::memory_order_relaxed); }
  std::int64_t position() const;
  std::size_t unfinished() const;
  std::size_t planned() const;  // unfinished, and finished behind a hole
  // What is to be made durable now; `written` and `config` are left to the caller.
  Checkpoint checkpoint() const;
  void forget_from(std::int64_t first);  // see AckTracker

  // A block of this lane failed and is kept for another try. `wait.since` is set here.
  void set_failed(Cut cut, LaneWait wait);
  // True while a block needs somebody to act, or has failed several times: read no more.
  bool blocked() const noexcept { return blocked_.load(std::memory_order_relaxed); }

  // The lane went to another owner: blocks not sent yet must not be sent any more.
  void abandon() noexcept { abandoned_.store(true, std::memory_order_release); }
  bool abandoned() const noexcept { return abandoned_.load(std::memory_order_acquire); }
  // Until when nobody else can own the lane: the source's last good commit, and the time within
  // which the group would have noticed our absence. A process that slept must not send after it.
  void set_owned_until(std::chrono::steady_clock::time_point time) noexcept {
    owned_until_.store(time.time_since_epoch().count(), std::memory_order_release);
  }
  bool owned(std::chrono::steady_clock::time_point now) const noexcept {
    return now.time_since_epoch().count() < owned_until_.load(std::memory_order_acquire);
  }

  // Set by the source for the status.
  void set_read(std::int64_t next_offset) noexcept { read_.store(next_offset); }
  void set_committed(std::int64_t offset) noexcept { committed_.store(offset); }
  void set_high_watermark(std::int64_t offset) noexcept { high_watermark_.store(offset); }
  void set_paused(bool paused) noexcept { paused_.store(paused); }
  // Why the source has records and does not hand them over; nothing: it does. Shown while no block
  // has failed; the lane goes on to be read.
  void set_source_wait(std::optional<LaneWait> wait);
  LaneStatus status() const;

 private:
  void update_blocked() REQUIRES(mutex_);

  const LaneId id_;
  const std::string table_;
  const std::string incarnation_;
  std::atomic<bool> abandoned_{false}, blocked_{false}, paused_{false};
  std::atomic<std::chrono::steady_clock::rep> owned_until_{
      std::numeric_limits<std::chrono::steady_clock::rep>::max()};
  std::atomic<std::int64_t> read_, committed_{-1}, high_watermark_{-1};
  mutable Mutex mutex_;
  AckTracker acks_ GUARDED_BY(mutex_);
  std::map<std::int64_t, std::size_t> in_flight_ GUARDED_BY(mutex_);  // records, by first offset
  std::uint64_t records_read_ GUARDED_BY(mutex_) = 0;
  RowCounts done_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> skipped_{0};
  // By the first offset of its cut: the lane waits until each of them is in. The status shows the
  // lowest, which is the one that holds the position.
  std::map<std::int64_t, LaneWait> failed_ GUARDED_BY(mutex_);
  std::optional<LaneWait> source_wait_ GUARDED_BY(mutex_);
};

}  // namespace millrace
