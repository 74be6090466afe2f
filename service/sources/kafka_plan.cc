// KafkaSession's part in exactly once: the plan beside each committed offset
// (pipeline/checkpoint.h).
#include "pipeline/checkpoint.h"
#include "pipeline/stop_hook.h"
#include "service/sources/kafka_session.h"

namespace millrace {
namespace {

// How often a lane that waits for its answers is committed again although nothing changed, so that
// its workers know that it is still ours; in parts of the session time-out.
constexpr int kConfirmations = 4;

// Without the time, which changes always.
std::string without_time(Checkpoint checkpoint) {
  checkpoint.written = {};
  return plan_text(checkpoint);
}

// Of a block that was named before ClickHouse had said its time to us. Nothing can have been
// inserted before that, and it gets its time with the next commit after it.
constexpr std::chrono::sys_seconds kUnknownTime{};

// When the oldest of the planned blocks was first named, by ClickHouse's clock: a new owner takes
// that for the time of the first try of each. `now` is kUnknownTime before ClickHouse has said it.
std::chrono::sys_seconds first_named(std::map<std::int64_t, std::chrono::sys_seconds>& named,
                                     const std::vector<std::int64_t>& ends,
                                     std::chrono::sys_seconds now) {
  named.erase(named.begin(), ends.empty() ? named.end() : named.lower_bound(ends.front()));
  for (const std::int64_t end : ends) named.try_emplace(end, now);
  return ends.empty() ? now : named.begin()->second;
}

}  // namespace

std::string KafkaSession::config_hash(const TableTarget& target) const {
  const bool skip = options_.source.tombstones == Tombstones::kSkip;
  const bool row = tombstone_row(target.format) == "{}";  // of other formats it was so before
  return hash_text({target.config_hash(), skip ? "skip" : row ? "row" : "empty"});
}

// A plan that was made under another configuration can't be carried out: then the lane stands.
void KafkaSession::open_planned_lane(Partition& partition, const KafkaPartition& from,
                                     std::shared_ptr<const TableTarget> target) {
  const std::string config = config_hash(*target);
  Checkpoint checkpoint =
      parse_plan(from.offset, from.metadata).value_or(Checkpoint{.position = from.offset});
  if (!checkpoint.ends.empty() && checkpoint.written == kUnknownTime) {
    // Its owner ended before ClickHouse answered, or in the moment after that.
    checkpoint.written =
        options_.server_clock->at(std::chrono::steady_clock::now())
            .value_or(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  }
  take_marks(partition, from);
  const LaneId id{options_.source.group, partition.topic, partition.number};
  Lane& lane = producer_.open_planned_lane(id, std::move(target), checkpoint);
  partition.lane = &lane;
  partition.plan.clear();
  partition.plan_in_air.clear();
  partition.plan_end = -1;
  partition.named.clear();
  partition.unknown_since.reset();
  for (const std::int64_t end : checkpoint.ends) partition.named.emplace(end, checkpoint.written);
  if (!from.metadata.empty()) {
    partition.committed = from.offset;
    partition.plan = without_time(checkpoint);
  }
  partition.confirmed = std::chrono::steady_clock::now();
  lane.progress().set_owned_until(partition.confirmed + consumer_.session_timeout());
  if (checkpoint.ends.empty() || checkpoint.config == config) return;
  LaneWait wait;
  wait.disposition = Disposition::kWait;
  wait.reason = "PLAN_OF_ANOTHER_CONFIGURATION";
  wait.message = partition.name() + " has " + std::to_string(checkpoint.ends.size()) +
                 " blocks from offset " + std::to_string(from.offset) +
                 " on that were planned with another table, format, columns or tombstones: start "
                 "the former configuration until they are in, then this one";
  wait.attempts = 1;
  log(LogLevel::kError, "other_plan/" + partition.name(), wait.message);
  lane.progress().set_failed({from.offset, checkpoint.ends.front()}, std::move(wait));
  partition.stuck = partition.keeps_plan = true;
}

// True when ClickHouse has said its time since blocks were named without it: they get theirs.
bool KafkaSession::learn_times(Partition& partition) const {
  if (!partition.unknown_since) return false;
  const auto time = options_.server_clock->at(*partition.unknown_since);
  if (!time) return false;
  for (auto& [end, named] : partition.named) {
    if (named == kUnknownTime) named = *time;
  }
  partition.unknown_since.reset();
  return true;
}

// What is to be committed of a partition, if anything.
std::optional<KafkaPartition> KafkaSession::plan_to_commit(Partition& partition,
                                                           SteadyTime now) const {
  Checkpoint checkpoint = producer_.checkpoint(*partition.lane);
  checkpoint.config = config_hash(partition.lane->target());
  checkpoint.source = marks_text(partition.marks, checkpoint.position);
  std::string plan = without_time(checkpoint);
  const bool changed = learn_times(partition) || checkpoint.position != partition.committed ||
                       plan != partition.plan;
  const bool quiet = now - partition.confirmed < consumer_.session_timeout() / kConfirmations;
  if (partition.keeps_plan) return std::nullopt;
  if (!changed && (checkpoint.ends.empty() || quiet)) return std::nullopt;
  const auto time = options_.server_clock->at(now);
  if (!time && !checkpoint.ends.empty() && !partition.unknown_since) partition.unknown_since = now;
  checkpoint.written = first_named(partition.named, checkpoint.ends, time.value_or(kUnknownTime));
  if (partition.committed >= 0 && checkpoint.position > partition.committed) {
    stop_at(StopPoint::kPosition);
  }
  partition.plan_in_air = std::move(plan);
  partition.plan_end = checkpoint.ends.empty() ? checkpoint.position : checkpoint.ends.back();
  KafkaPartition committed = partition.at(checkpoint.position);
  committed.metadata = plan_text(checkpoint);
  return committed;
}

// The broker has the plan: the blocks that it names may be sent.
void KafkaSession::note_committed(Partition& partition) {
  partition.plan = partition.plan_in_air;
  partition.confirmed = commit_sent_;
  partition.lane->progress().set_owned_until(commit_sent_ + consumer_.session_timeout());
  producer_.planned(*partition.lane, partition.plan_end);
}

// Before lanes are given back: a commit in the air is waited for, because what it names is planned;
// all else is the next owner's to cut. True when that is done.
bool KafkaSession::forget_unplanned(SteadyTime now) {
  if (!plans() || forgotten_) return true;
  const bool lost = rebalance_->kind == KafkaRebalance::Kind::kLost;
  if (!lost && consumer_.commit_in_flight() && now < rebalance_due_) return false;
  for (const KafkaPartition& each : rebalance_->partitions) {
    const auto found = partitions_.find({each.topic, each.partition});
    if (found != partitions_.end()) producer_.forget_unplanned(*found->second.lane);
  }
  forgotten_ = true;
  return true;
}

}  // namespace millrace
