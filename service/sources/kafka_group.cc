// KafkaSession's part in the group: rebalances, commits, leaving.
#include <algorithm>

#include "service/sources/kafka_advice.h"
#include "service/sources/kafka_session.h"

namespace millrace {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kAssignRetry{500};
constexpr milliseconds kRevokeCommitTimeout{5'000};
constexpr milliseconds kLastCommitTimeout{2'000};
constexpr milliseconds kAbortTimeout{1'000};
constexpr milliseconds kCloseTimeout{3'000};
constexpr milliseconds kCoordinatorTry{500};
constexpr milliseconds kLastMarks{1'000};  // the grace must have so much for them
constexpr milliseconds kDrainWait{10};
// Between two commits of plans: what is cut meanwhile goes with the next one.
constexpr milliseconds kPlanInterval{5};
constexpr milliseconds kCommitRetry{200};

}  // namespace

void KafkaSession::serve_group(SteadyTime now) {
  if (!rebalance_) {
    rebalance_ = consumer_.take_rebalance();
    if (!rebalance_) return;
    begin_rebalance(now);
  }
  const bool done =
      rebalance_->kind == KafkaRebalance::Kind::kAssign ? try_assign(now) : try_revoke(now);
  if (done) rebalance_.reset();
}

void KafkaSession::begin_rebalance(SteadyTime now) {
  if (rebalance_->kind == KafkaRebalance::Kind::kAssign) {
    stats_.rebalances.add("assign");
    rebalance_due_ = now;
    return;
  }
  const bool lost = rebalance_->kind == KafkaRebalance::Kind::kLost;
  stats_.rebalances.add(lost ? "lost" : "revoke");
  rebalance_due_ = lost ? now : now + revoke_patience(consumer_.session_timeout());
  forgotten_ = false;
  for (const KafkaPartition& each : rebalance_->partitions) {
    const auto found = partitions_.find({each.topic, each.partition});
    if (found == partitions_.end()) continue;
    found->second.leaving = true;
    if (!lost && !plans()) producer_.cut(*found->second.lane, CutReason::kLeaving);
  }
  std::erase_if(hand_, [this](const KafkaMessage& message) {
    const Partition* partition = message.is_error() ? nullptr : find(message);
    return partition != nullptr && partition->leaving;
  });
}

// True when the group's assignment has been answered.
bool KafkaSession::try_assign(SteadyTime now) {
  if (now < rebalance_due_) return false;
  KafkaPartitions added = rebalance_->partitions;
  if (!find_start_offsets(added)) {
    rebalance_due_ = std::chrono::steady_clock::now() + kAssignRetry;
    return false;
  }
  open_lanes(added);
  clear_access_faults();
  KafkaPartitions all;
  for (const auto& [key, partition] : partitions_) {
    all.push_back(partition.at(partition.lane->next_offset()));
  }
  if (const KafkaError error = consumer_.assign(all, added)) {
    log(LogLevel::kError, "kafka/assign", "consumer is replaced, cannot assign: " + error.text);
    broken_ = true;
    return true;
  }
  update_pauses();  // before anything of them is read
  faults_.clear("offsets");
  faults_.clear("assignment");
  faults_.clear("advertised");
  faults_.clear("group");
  faults_.clear("consumer");
  log(LogLevel::kInfo, "kafka/assign", "assigned " + std::to_string(added.size()) + " partitions");
  return true;
}

void KafkaSession::open_lanes(const KafkaPartitions& partitions) {
  for (const KafkaPartition& each : partitions) {
    auto target = options_.targets(each.topic);
    Partition& partition = partitions_[{each.topic, each.partition}];
    partition.topic = each.topic;
    partition.number = each.partition;
    partition.wants = {.key = !target->columns.key.empty(),
                       .timestamp = !target->columns.timestamp.empty(),
                       .headers = !target->columns.headers.empty()};
    partition.last_read = each.offset;
    if (plans()) {
      open_planned_lane(partition, each, std::move(target));
    } else {
      partition.lane = &producer_.open_lane({options_.source.group, each.topic, each.partition},
                                            std::move(target), each.offset);
      take_marks(partition, each);
    }
    faults_.clear("topic/" + each.topic);
    faults_.clear("start/" + partition.name());
  }
  cached_ = nullptr;
  stats_.partitions.set(static_cast<std::int64_t>(partitions_.size()));
}

void KafkaSession::close_lanes(const KafkaPartitions& partitions) {
  for (const KafkaPartition& each : partitions) {
    const auto found = partitions_.find({each.topic, each.partition});
    if (found == partitions_.end()) continue;
    producer_.close_lane(*found->second.lane);
    partitions_.erase(found);
  }
  cached_ = nullptr;
  stats_.partitions.set(static_cast<std::int64_t>(partitions_.size()));
}

// Those of topics of which nothing is ours any more. Of the others librdkafka reports a fault once,
// so it stands until something is read.
void KafkaSession::clear_access_faults() {
  for (const std::string& topic : faults_.subjects("access/")) {
    const bool ours = std::any_of(partitions_.begin(), partitions_.end(),
                                  [&](const auto& each) { return each.first.first == topic; });
    if (!ours) faults_.clear("access/" + topic);
  }
}

// Until when to wait for an answer of the broker that may take so long: no longer than the grace
// period, if it has begun, and a second.
SteadyTime KafkaSession::under_grace(milliseconds most) const {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!stop_.requested()) return now + most;
  return std::min(now + most, std::max(stop_.deadline(), now + kAbortTimeout));
}

// True when the partitions have been given back.
bool KafkaSession::try_revoke(SteadyTime now) {
  const KafkaPartitions& leaving = rebalance_->partitions;
  const bool lost = rebalance_->kind == KafkaRebalance::Kind::kLost;
  if (!forget_unplanned(now)) return false;
  // A lane that waits for somebody to act is not waited for.
  const bool settled = std::all_of(leaving.begin(), leaving.end(), [this](const auto& each) {
    const auto found = partitions_.find({each.topic, each.partition});
    return found == partitions_.end() || producer_.idle(*found->second.lane) ||
           found->second.lane->progress().blocked();
  });
  if (!settled && now < rebalance_due_) return false;
  // A commit in the air that leaves later would go out under the next generation: then the handle,
  // and that commit with it, is thrown away.
  if (lost ? consumer_.commit_in_flight() : !commit_and_wait(under_grace(kRevokeCommitTimeout))) {
    log(LogLevel::kWarning, "kafka/revoke", "consumer is replaced: a commit did not resolve");
    // Not answered: it would join again, and what is to be thrown away could go out after that.
    broken_ = true;
    return true;
  }
  KafkaPartitions assigned = leaving;  // not those without an offset to start at
  std::erase_if(assigned, [this](const KafkaPartition& each) {
    return !partitions_.contains({each.topic, each.partition});
  });
  close_lanes(leaving);
  for (const KafkaPartition& each : leaving) {
    faults_.clear("start/" + each.topic + "/" + std::to_string(each.partition));
  }
  if (const KafkaError error = consumer_.unassign(assigned)) {
    log(LogLevel::kError, "kafka/revoke", "consumer is replaced, cannot unassign: " + error.text);
    broken_ = true;
  }
  log(lost ? LogLevel::kWarning : LogLevel::kInfo, "kafka/revoke",
      std::string(lost ? "lost " : "gave back ") + std::to_string(leaving.size()) + " partitions" +
          (settled ? "" : "; blocks that were not acknowledged are read again by their new owner"));
  return true;
}

// What the broker does not know yet of what is done.
KafkaPartitions KafkaSession::to_commit(SteadyTime now) {
  KafkaPartitions moved;
  for (auto& [key, partition] : partitions_) {
    if (plans()) {
      if (auto planned = plan_to_commit(partition, now)) moved.push_back(std::move(*planned));
      continue;
    }
    KafkaPartition done = partition.at(partition.lane->progress().position());
    done.metadata = partition.marks_in_air = marks_metadata(partition, done.offset);
    if (done.offset != partition.committed || done.metadata != partition.marks_committed) {
      moved.push_back(std::move(done));
    }
  }
  return moved;
}

// Not while partitions are changing hands: librdkafka 2.0.2 can lose a cooperative assignment then.
void KafkaSession::commit_when_due(SteadyTime now) {
  if (now < next_commit_ || rebalance_ || consumer_.commit_in_flight()) return;
  const KafkaPartitions moved = to_commit(now);
  if (moved.empty()) return;
  next_commit_ = now + (plans() ? kPlanInterval : options_.source.commit_interval);
  begin_commit(moved);
}

void KafkaSession::begin_commit(const KafkaPartitions& partitions) {
  if (const KafkaError error = consumer_.start_commit(partitions)) {
    stats_.commit_errors.add(error.name);
    log(LogLevel::kWarning, "kafka/commit/" + error.name, "commit failed: " + error.text);
    return;
  }
  commit_sent_ = std::chrono::steady_clock::now();
  stats_.commits_in_flight.add(1);
}

void KafkaSession::end_commit(milliseconds timeout) {
  if (!consumer_.commit_in_flight()) return;
  const auto result = consumer_.take_commit_result(timeout);
  if (!result) return;
  stats_.commits_in_flight.add(-1);
  KafkaError error = result->error;
  for (const KafkaPartition& each : result->partitions) {
    if (each.error) error = each.error;
    if (each.error || result->error) continue;
    const auto found = partitions_.find({each.topic, each.partition});
    if (found == partitions_.end()) continue;
    found->second.committed = each.offset;
    found->second.lane->progress().set_committed(each.offset);
    if (plans()) {
      note_committed(found->second);
    } else {
      found->second.marks_committed = found->second.marks_in_air;
    }
  }
  if (!error) {
    stats_.commits.add();
    faults_.clear("group");
    return;
  }
  on_commit_error(error);
}

// Nothing is lost by it: the next interval commits again, or a new owner reads again.
void KafkaSession::on_commit_error(const KafkaError& error) {
  stats_.commit_errors.add(error.name);
  const CommitFailure failure = commit_failure(error.name);
  if (plans() && failure != CommitFailure::kRefused) {
    log(LogLevel::kWarning, "kafka/commit/" + error.name,
        "consumer is replaced: " +
            std::string(failure == CommitFailure::kFenced
                            ? "its partitions have another owner: "
                            : "a commit has no answer and must not come after a later one: ") +
            error.text);
    broken_ = true;
    return;
  }
  next_commit_ = std::max(next_commit_, std::chrono::steady_clock::now() + kCommitRetry);
  const std::string hint = kafka_hint(error.name);
  log(LogLevel::kWarning, "kafka/commit/" + error.name,
      "commit failed, will be repeated: " + error.text + (hint.empty() ? "" : ": " + hint));
}

// Commits what is done and waits for the answer. False when one did not come in time.
bool KafkaSession::commit_and_wait(SteadyTime deadline) {
  const auto wait = [&] {
    while (consumer_.commit_in_flight()) {
      const auto left =
          std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left <= milliseconds{0}) return false;
      end_commit(std::min(left, milliseconds{50}));
    }
    return true;
  };
  if (!wait()) return false;
  const KafkaPartitions moved = to_commit(std::chrono::steady_clock::now());
  if (!moved.empty()) begin_commit(moved);
  return wait();
}

// One turn of waiting for what the others do, while it leaves.
void KafkaSession::wait_leaving() {
  (void)consumer_.poll(kDrainWait);
  on_errors();
  if (!aborted()) serve_group(std::chrono::steady_clock::now());  // which may take seconds
  end_commit(milliseconds{0});
}

// True when the broker has all that is done. It is tried until the grace is over: a broker that is
// away for a moment, or a coordinator that moves, refuses or does not answer.
bool KafkaSession::commit_last() {
  const auto begun = std::chrono::steady_clock::now();
  const auto limit = [&] {
    return aborted() ? begun + kAbortTimeout
                     : std::max(stop_.deadline(), begun + kLastCommitTimeout);
  };
  for (;;) {
    // In slices, as an abort may come meanwhile.
    const auto next = std::chrono::steady_clock::now() + kCommitRetry;
    if (commit_and_wait(std::min(limit(), next)) &&
        to_commit(std::chrono::steady_clock::now()).empty()) {
      return true;
    }
    do {
      if (broken_ || std::chrono::steady_clock::now() >= limit()) return false;
      wait_leaving();
    } while (std::chrono::steady_clock::now() < next);
  }
}

// The drain. Also after an abort what is acknowledged is committed and the group is told, each
// bounded by a second: otherwise those rows would be inserted twice and the partitions would wait
// for the session time-out.
bool KafkaSession::leave() {
  stopping_ = true;
  hand_.clear();
  update_pauses();
  // A planned block that is not read to its end can't be cut anywhere else, and nothing more is
  // read: the plan stays where it is, for the next owner.
  for (auto& [key, partition] : partitions_) {
    if (partition.lane->replaying()) producer_.forget_unplanned(*partition.lane);
  }
  producer_.cut_all(CutReason::kLeaving);
  const auto begun = std::chrono::steady_clock::now();
  if (stop_.deadline() - begun > kLastMarks) mark_logs(begun);
  while (!producer_.all_idle() && std::chrono::steady_clock::now() < stop_.deadline() && !broken_) {
    wait_leaving();
    commit_when_due(std::chrono::steady_clock::now());
  }
  bool complete = producer_.all_idle() && !broken_;
  if (!commit_last()) {
    complete = false;
    log(LogLevel::kWarning, "kafka/leave",
        "the last commit failed or did not resolve: what it names is read again");
  }
  const auto close_by = under_grace(kCloseTimeout) - std::chrono::steady_clock::now();
  if (!consumer_.close(std::chrono::ceil<milliseconds>(close_by))) {
    log(LogLevel::kWarning, "kafka/leave", "left the group without its answer");
  }
  return complete;
}

// A member that only goes away is missed when its session ends, and until then nobody reads its
// partitions. While the coordinator is away it is waited for: it could not be told, and the group
// forgets us at the end of that time anyway.
void KafkaSession::withdraw() {
  hand_.clear();
  for (auto& [key, partition] : partitions_) producer_.close_lane(*partition.lane);
  partitions_.clear();
  cached_ = nullptr;
  faults_.set("group", "leaving group " + options_.source.group + ", to join it as a new member",
              LogLevel::kInfo);
  const auto forgotten = std::chrono::steady_clock::now() + consumer_.session_timeout();
  while (!stop_.requested() && std::chrono::steady_clock::now() < forgotten &&
         !consumer_.reaches_coordinator(options_.source.topics.front(), kCoordinatorTry)) {
    (void)consumer_.poll(milliseconds{0});
    on_errors();
  }
  if (!consumer_.close(stop_.requested() ? kAbortTimeout : kCloseTimeout)) {
    log(LogLevel::kWarning, "kafka/leave", "left the group without its answer");
  }
}

}  // namespace millrace
