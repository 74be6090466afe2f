// The decisions of a Kafka reader, without Kafka. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/batcher.h"  // SteadyTime

namespace millrace {

// How librdkafka is to be set so that all it holds stays inside `prefetch_bytes`.
struct PrefetchPlan {
  std::size_t queue_kbytes;    // queued.max.messages.kbytes
  std::size_t queue_messages;  // queued.min.messages: it stops to fetch above that
  std::size_t fetch_bytes;     // fetch.max.bytes: of one answer of one broker
};
PrefetchPlan plan_prefetch(std::size_t prefetch_bytes);

// Why librdkafka of this version (rd_kafka_version()) may not share partitions out by `assignment`;
// empty when it may.
std::string assignment_refusal(const std::string& assignment, int library_version);

// Where a partition is read from when its group has not committed anything for it (`latest` has,
// see below). Nothing: start_offset says that this is an error.
std::optional<std::int64_t> first_offset(const std::string& start_offset, std::int64_t low);

// `start_offset: latest`: who commits where the group begins.
struct SubscribedPartition {
  bool committed = false;  // the group has an offset of it
  bool was_there = false;  // when this process began
  bool assigned = false;   // to this member
};
enum class LatestStart {
  kBegun,  // the group has begun: what has no offset came later
  kBegin,  // by this member, for all that was there
  kWait,   // by another member
};
// All partitions of the subscription, in an order that all members share: the first that was there
// decides whose affair it is.
LatestStart latest_start(const std::vector<SubscribedPartition>& partitions);

// The broker does not have the offset that we want to read next.
struct OutOfRange {
  std::int64_t go_on_at;
  std::int64_t lost;  // offsets that were never read: the broker has deleted them
  bool new_lane;      // offsets began anew (the topic was made again, or its log was cut off), so
                      // they are not those that the lane has counted up to now
};
OutOfRange after_out_of_range(std::int64_t next_offset, std::int64_t low, std::int64_t high);

// Whether a record can be taken at all while `reserved` bytes of the budget are not coming back.
bool fits_budget(std::size_t needed_bytes, std::size_t reserved_bytes, std::size_t limit_bytes);

// A paused lane goes on when its reason is over and half of what was in flight is done: each pause
// makes librdkafka fetch its prefetched messages a second time, so they must not come often.
bool may_resume_lane(bool wants_pause, std::size_t unfinished, std::size_t unfinished_at_pause);

// Back-pressure of the byte budget. Short waits cost nothing; after a second all partitions are
// paused, so that the consumer can be polled for rebalances without being handed messages.
// Owned by one thread.
class BudgetGate {
 public:
  static constexpr std::chrono::milliseconds kPatience{1'000};

  enum class Step { kNone, kPauseAll, kResumeAll };
  // A record found no room.
  Step refused(SteadyTime now);
  // All records in hand were taken. After a pause a quarter of the budget must be free before it
  // goes on, or nothing of ours be in flight (`idle`), so that nothing more would get free by us.
  Step admitted(std::size_t used_bytes, std::size_t limit_bytes, bool idle);
  bool waiting() const noexcept { return since_.has_value(); }
  bool paused() const noexcept { return paused_; }

 private:
  std::optional<SteadyTime> since_;
  bool paused_ = false;
};

// When to wake librdkafka's fetchers. Once its queue is full it stops to fetch, and up to
// version 2.1 it looks only once a second whether there is room again unless something wakes it
// (rdkafka_broker.c, rd_kafka_max_block_ms; later versions have fetch.queue.backoff.ms instead): a
// reader that drains the queue in 50 ms would wait for the rest of that second.
// Owned by one thread.
class RefillPolicy {
 public:
  static constexpr std::chrono::milliseconds kLeastInterval{10};

  // `queued`: messages that librdkafka holds ready. True when half of the most it held since it was
  // last woken is gone.
  bool due(std::size_t queued, SteadyTime now);

 private:
  std::size_t most_ = 0;
  SteadyTime woken_{};
};

// What became of a commit that failed.
enum class CommitFailure {
  kRefused,     // not applied: commit again
  kFenced,      // another generation owns the partitions: this consumer may do nothing more
  kUnresolved,  // it may be applied yet, even behind a later one
};
CommitFailure commit_failure(const std::string& error_name);

// How long leaving lanes may take to have their blocks acknowledged, when the group wants them.
std::chrono::milliseconds revoke_patience(std::chrono::milliseconds session_timeout);

}  // namespace millrace
