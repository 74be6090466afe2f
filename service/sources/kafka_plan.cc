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

// When the oldest of the planned blocks was first named: a new owner takes that for the time of the
// first try of each. `now` is ClickHouse's time; nothing when that is needed and not known.
std::optional<std::chrono::sys_seconds> first_named(
    std::map<std::int64_t, std::chrono::sys_seconds>& named, const std::vector<std::int64_t>& ends,
    std::optional<std::chrono::sys_seconds> now) {
  named.erase(named.begin(), ends.empty() ? named.end() : named.lower_bound(ends.front()));
  if (ends.empty()) return now.value_or(std::chrono::sys_seconds{});
  if (!now && !named.contains(ends.back())) return std::nullopt;
  for (const std::int64_t end : ends) {
    if (now) named.try_emplace(end, *now);
  }
  return named.begin()->second;
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
  const Checkpoint checkpoint =
      parse_plan(from.offset, from.metadata).value_or(Checkpoint{.position = from.offset});
  take_marks(partition, from);
  const LaneId id{options_.source.group, partition.topic, partition.number};
  Lane& lane = producer_.open_planned_lane(id, std::move(target), checkpoint);
  partition.lane = &lane;
  partition.plan.clear();
  partition.plan_in_air.clear();
  partition.plan_end = -1;
  partition.named.clear();
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

// What is to be committed of a partition, if anything.
std::optional<KafkaPartition> KafkaSession::plan_to_commit(Partition& partition,
                                                           SteadyTime now) const {
  Checkpoint checkpoint = producer_.checkpoint(*partition.lane);
  checkpoint.config = config_hash(partition.lane->target());
  checkpoint.source = marks_text(partition.marks, checkpoint.position);
  std::string plan = without_time(checkpoint);
  const bool changed = checkpoint.position != partition.committed || plan != partition.plan;
  const bool quiet = now - partition.confirmed < consumer_.session_timeout() / kConfirmations;
  if (partition.keeps_plan) return std::nullopt;
  if (!changed && (checkpoint.ends.empty() || quiet)) return std::nullopt;
  const auto written =
      first_named(partition.named, checkpoint.ends, options_.server_clock->at(now));
  if (!written) return std::nullopt;  // ClickHouse has not answered yet: nothing can be sent either
  checkpoint.written = *written;
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
