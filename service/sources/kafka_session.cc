#include "service/sources/kafka_session.h"

#include <algorithm>
#include <thread>

#include "service/sources/kafka_advice.h"

namespace millrace {

using std::chrono::milliseconds;

namespace {

constexpr int kBurst = 2'000;                  // messages between two looks at the clock
constexpr milliseconds kIdleWait{50};          // for the first message of a burst
constexpr milliseconds kBudgetWait{5};         // between two tries to place a record
constexpr milliseconds kLookInterval{1'000};   // watermarks, faults
constexpr milliseconds kProbeInterval{2'000};  // while something is wrong
constexpr milliseconds kProbeTimeout{500};
constexpr milliseconds kQueryTimeout{2'000};

bool concerns_topic(const std::string& error_name) {
  return error_name == "UNKNOWN_TOPIC_OR_PART" || error_name == "_UNKNOWN_TOPIC" ||
         error_name == "_UNKNOWN_PARTITION" || error_name == "TOPIC_EXCEPTION" ||
         error_name == "UNKNOWN_TOPIC_ID";
}

std::string with_hint(const KafkaError& error) {
  const std::string hint = kafka_hint(error.name);
  return error.text + " (" + error.name + ")" + (hint.empty() ? "" : ": " + hint);
}

}  // namespace

KafkaSession::KafkaSession(const KafkaReaderOptions& options, ByteBudget& budget, KafkaStats& stats,
                           KafkaFaults& faults, Producer& producer, const StopSignal& stop,
                           KafkaTopicsAtStart& at_start)
    : options_(options),
      budget_(budget),
      stats_(stats),
      faults_(faults),
      producer_(producer),
      stop_(stop),
      at_start_(at_start),
      consumer_(options.source, options.client_id, options.log),
      questions_(options.source, options.client_id + "-questions", {}) {}

KafkaSession::~KafkaSession() {
  hand_.clear();
  for (auto& [key, partition] : partitions_) producer_.close_lane(*partition.lane);
  for (const std::string prefix : {"start/", "access/"}) {
    for (const std::string& subject : faults_.subjects(prefix)) faults_.clear(prefix + subject);
  }
  stats_.partitions.set(0);
  stats_.partitions_paused.set(0);
  if (consumer_.commit_in_flight()) stats_.commits_in_flight.add(-1);
}

bool KafkaSession::run() {
  faults_.set("assignment", "waiting for the group to assign partitions", LogLevel::kInfo);
  note_topics();
  if (const KafkaError error = consumer_.subscribe(options_.source.topics)) {
    faults_.set("consumer", "cannot subscribe: " + with_hint(error));
    return false;
  }
  while (!stop_.requested() && !broken_) turn(std::chrono::steady_clock::now());
  if (stop_.requested()) return leave();
  withdraw();
  return false;
}

void KafkaSession::turn(SteadyTime now) {
  producer_.cut_due(now);
  serve_group(now);
  end_commit(milliseconds{0});
  commit_when_due(now);
  read(now);
  refill(now);
  on_errors();
  update_pauses();
  if (now >= next_look_) look_around(now);
}

milliseconds KafkaSession::patience(SteadyTime now) const {
  milliseconds wait = kIdleWait;
  if (const auto due = producer_.next_due()) {
    wait = std::min(wait, std::chrono::ceil<milliseconds>(*due - now));
  }
  return std::max(wait, milliseconds{0});
}

void KafkaSession::read(SteadyTime now) {
  if (!take_hand(now)) return;
  if (gate_.admitted(budget_.used(), budget_.limit(), producer_.nothing_in_flight()) ==
      BudgetGate::Step::kResumeAll) {
    update_pauses();
  }
  // Else what is open could hold too much of the budget for reading to go on before its age is
  // over.
  if (gate_.paused()) producer_.make_room();
  read_burst(now);
}

// False when something is still in hand; then it has waited a little.
bool KafkaSession::take_hand(SteadyTime now) {
  while (!hand_.empty()) {
    if (!take(hand_.front(), now)) break;
    hand_.pop_front();
  }
  if (hand_.empty()) return true;
  if (gate_.refused(now) == BudgetGate::Step::kPauseAll) update_pauses();
  if (gate_.paused()) {
    // Paused partitions hand over nothing, but the group and errors are served.
    keep(consumer_.poll(kBudgetWait * 4));
  } else {
    std::this_thread::sleep_for(kBudgetWait);
  }
  return false;
}

void KafkaSession::keep(KafkaMessage message) {
  if (message) hand_.push_back(std::move(message));
}

void KafkaSession::read_burst(SteadyTime now) {
  std::uint64_t messages = 0, bytes = 0;
  for (int i = 0; i < kBurst; ++i) {
    KafkaMessage message = consumer_.poll(i == 0 ? patience(now) : milliseconds{0});
    if (!message) break;
    // The wait may have been long, and the age of a block is counted from its first record.
    if (i == 0) now = std::chrono::steady_clock::now();
    if (!message.is_error()) {
      ++messages;
      bytes += message.bytes();
    }
    if (take(message, now)) continue;
    keep(std::move(message));
    break;
  }
  if (messages == 0) return;
  stats_.messages.add(messages);
  stats_.bytes.add(bytes);
  faults_.clear("broker");
  faults_.clear("group");
}

// Only when the brokers have more than librdkafka holds: at the end of the log there is nothing to
// wake anybody for.
void KafkaSession::refill(SteadyTime now) {
  const std::size_t queued = consumer_.queued();
  if (!refill_.due(queued, now)) return;
  KafkaPartitions behind;
  std::int64_t unread = 0;
  for (const auto& [key, partition] : partitions_) {
    if (partition.paused || partition.leaving) continue;
    const std::int64_t next = partition.lane->next_offset();
    const auto marks = consumer_.cached_watermarks(partition.topic, partition.number);
    if (marks.high <= next) continue;
    unread += marks.high - next;
    behind.push_back(partition.at(KafkaPartition::kNoOffset));
  }
  if (unread > static_cast<std::int64_t>(queued)) consumer_.wake_fetchers(behind);
}

KafkaSession::Partition* KafkaSession::find(const KafkaMessage& message) {
  if (cached_ != nullptr && message.topic_handle() == cached_topic_ &&
      message.partition() == cached_number_) {
    return cached_;
  }
  const auto found = partitions_.find({message.topic(), message.partition()});
  if (found == partitions_.end()) return nullptr;
  cached_topic_ = message.topic_handle();
  cached_number_ = message.partition();
  cached_ = &found->second;
  return cached_;
}

// False when the message must be kept: there is no room for it now.
bool KafkaSession::take(const KafkaMessage& message, SteadyTime now) {
  if (message.is_error()) {
    on_message_error(message, now);
    return true;
  }
  Partition* partition = find(message);
  // Not ours any more, or waiting: its position stays below this record, which is read again.
  if (partition == nullptr || partition->leaving || partition->stuck || stopping_) return true;
  if (!may_read_on(*partition, now)) return false;
  if (partition->other_log) return true;
  Lane& lane = *partition->lane;
  // librdkafka can hand over again what it fetched again after a pause.
  if (message.offset() < lane.next_offset()) return true;
  partition->last_at = now;
  partition->newest_ms = std::max(partition->newest_ms, message.timestamp_ms());
  if (message.is_tombstone()) {
    lane.target().stats->tombstones.add();
    if (options_.source.tombstones == Tombstones::kSkip) {
      producer_.skip(lane, message.offset());
      return true;
    }
  }
  KafkaMessage::Wants wants = partition->wants;
  wants.traceparent = lane.wants_traceparent();
  Record record = message.record(wants, headers_);
  if (record.tombstone) record.payload = tombstone_row(lane.target().format).value_or("");
  switch (producer_.append(lane, record, now)) {
    case AppendResult::kAppended:
      return true;
    case AppendResult::kBudgetSpent:
      if (fits_budget(BlockBuffer::bytes_needed(record, lane.target().layout()),
                      options_.prefetch_of_all_bytes, budget_.limit())) {
        return false;
      }
      return refuse(*partition, record);
    case AppendResult::kTooLarge:
      return refuse(*partition, record);
  }
  return true;
}

// The record will never fit. Nothing is dropped: the lane stands below it until somebody acts.
bool KafkaSession::refuse(Partition& partition, const Record& record) {
  LaneWait wait;
  wait.disposition = Disposition::kWait;
  wait.reason = "RECORD_TOO_LARGE";
  wait.message =
      "the record at " + partition.name() + " offset " + std::to_string(record.offset) + " needs " +
      std::to_string(BlockBuffer::bytes_needed(record, partition.lane->target().layout())) +
      " bytes, and memory.budget (" + std::to_string(budget_.limit()) +
      " bytes, of which source.kafka.prefetch of all consumers takes " +
      std::to_string(options_.prefetch_of_all_bytes) +
      ") has no room for it: raise memory.budget; the partition waits";
  wait.attempts = 1;
  log(LogLevel::kError, "record_too_large/" + partition.name(), wait.message, &partition);
  producer_.cut(*partition.lane, CutReason::kBudget);
  partition.lane->progress().set_failed({partition.lane->next_offset(), record.offset + 1},
                                        std::move(wait));
  partition.stuck = true;
  return true;
}

void KafkaSession::on_message_error(const KafkaMessage& message, SteadyTime now) {
  const KafkaError error = message.error();
  if (error.name == "_PARTITION_EOF") {
    Partition* partition = find(message);
    if (partition == nullptr || partition->leaving || partition->stuck || stopping_) return;
    if (partition->other_log) return;
    producer_.advance(*partition->lane, message.offset());
    partition->end_at = message.offset();
    return;
  }
  stats_.errors.add(error.name);
  if (error.name == "_AUTO_OFFSET_RESET") {
    if (Partition* partition = find(message)) partition->out_of_range = now;
    return;
  }
  const std::string topic = message.topic();
  // Without a partition it is the topic's metadata that is refused, which is asked for again.
  if (concerns_topic(error.name) ||
      (error.name == "TOPIC_AUTHORIZATION_FAILED" && message.partition() < 0)) {
    faults_.set("topic/" + topic, "topic " + topic + ": " + with_hint(error));
  } else if (error.name == "TOPIC_AUTHORIZATION_FAILED") {
    faults_.set("access/" + topic, "topic " + topic + ": " + with_hint(error));
  } else {
    faults_.set("group", "group " + options_.source.group + ": " + with_hint(error));
  }
  if (error.fatal) broken_ = true;
}

void KafkaSession::on_errors() {
  for (KafkaError& error : consumer_.take_errors()) {
    stats_.errors.add(error.name);
    error.text = error.text.substr(0, error.text.find(" (after "));
    if (error.fatal) {
      log(LogLevel::kError, "kafka/fatal", "consumer is replaced: " + with_hint(error));
      broken_ = true;
    } else if (error.name == "_AUTHENTICATION" || error.name == "_SSL") {
      faults_.set("broker", with_hint(error));
    } else {
      doubt_brokers_ = true;
      if (error.name == "_ALL_BROKERS_DOWN") continue;
      const std::string& brokers = options_.source.brokers;
      last_broker_error_ = explain_kafka_error(error.name, error.text, brokers);
      // Others may answer, so this one by itself says only that nothing comes as long as that is
      // so.
      if (faults_.has("assignment") && !advertised_address(error.text, brokers).empty())
        faults_.set("advertised", last_broker_error_);
      else
        log(LogLevel::kWarning, "kafka/" + error.name, last_broker_error_);
    }
  }
}

// Brings librdkafka's pauses in line with the reasons for them.
void KafkaSession::update_pauses() {
  KafkaPartitions to_pause, to_resume;
  std::int64_t paused = 0;
  for (auto& [key, partition] : partitions_) {
    LaneProgress& progress = partition.lane->progress();
    const bool wanted = producer_.wants_pause(*partition.lane);
    if (!partition.held && wanted) {
      partition.held = true;
      partition.unfinished_at_hold = progress.unfinished();
    } else if (partition.held &&
               may_resume_lane(wanted, progress.unfinished(), partition.unfinished_at_hold)) {
      partition.held = false;
    }
    progress.set_read(partition.lane->next_offset());
    const bool pause = stopping_ || gate_.paused() || partition.held || partition.stuck;
    if (pause) ++paused;
    if (pause == partition.paused) continue;
    partition.paused = pause;
    progress.set_paused(pause);
    (pause ? to_pause : to_resume).push_back(partition.at(KafkaPartition::kNoOffset));
  }
  stats_.partitions_paused.set(paused);
  stats_.pauses.add(to_pause.size());
  if (!to_pause.empty()) (void)consumer_.pause(to_pause);
  if (!to_resume.empty()) (void)consumer_.resume(to_resume);
}

// Once a second: what the status shows, and what went wrong.
void KafkaSession::look_around(SteadyTime now) {
  next_look_ = now + kLookInterval;
  note_topics();
  (void)questions_.poll(milliseconds{0});
  (void)questions_.take_errors();  // the consumer has the same
  for (auto& [key, partition] : partitions_) {
    LaneProgress& progress = partition.lane->progress();
    const auto marks = consumer_.cached_watermarks(partition.topic, partition.number);
    if (marks.high >= 0 && !partition.paused) progress.set_high_watermark(marks.high);
    if (partition.lane->next_offset() != partition.last_read) {
      faults_.clear("access/" + partition.topic);
    }
    partition.last_read = partition.lane->next_offset();
    look_for_transaction(partition, now);
  }
  if (now >= next_verify_) verify_logs(now);
  mark_logs(now);
  for (auto& [key, partition] : partitions_) {
    if (stop_.requested()) return;
    if (partition.out_of_range && now >= *partition.out_of_range) recover_offset(partition, now);
    if (partition.other_log) go_to_other_log(partition, now);
  }
  ask_end_of_paused();
  look_for_other_tables(now);
  if (now >= next_probe_) probe_faults();
}

// Of a paused partition nothing is fetched, so librdkafka does not learn that it grows. One of them
// is asked for at each look, in turn, so that the group never waits for long.
void KafkaSession::ask_end_of_paused() {
  auto next = partitions_.upper_bound(last_asked_);
  for (std::size_t i = 0; i < partitions_.size(); ++i, ++next) {
    if (next == partitions_.end()) next = partitions_.begin();
    const Partition& partition = next->second;
    if (!partition.paused || partition.leaving) continue;
    last_asked_ = next->first;
    KafkaConsumer::Watermarks marks;
    const KafkaPartition here = partition.at(KafkaPartition::kNoOffset);
    if (!consumer_.query_watermarks(here, kProbeTimeout, marks))
      partition.lane->progress().set_high_watermark(marks.high);
    return;
  }
}

void KafkaSession::probe_faults() {
  next_probe_ = std::chrono::steady_clock::now() + kProbeInterval;
  if (doubt_brokers_ || faults_.has("broker")) {
    if (const KafkaError error = consumer_.ping(kProbeTimeout)) {
      faults_.set("broker",
                  "no broker of " + options_.source.brokers + " answers: " +
                      (last_broker_error_.empty() ? with_hint(error) : last_broker_error_));
      return;
    }
    doubt_brokers_ = false;
    faults_.clear("broker");
  }
  for (const std::string& topic : faults_.subjects("topic/")) {
    if (stop_.requested()) return;
    if (!consumer_.find_topic(topic, kProbeTimeout)) faults_.clear("topic/" + topic);
  }
}

// The broker has no such offset (retention deleted it, or the topic began anew).
void KafkaSession::recover_offset(Partition& partition, SteadyTime now) {
  partition.out_of_range = now + kLookInterval;
  KafkaConsumer::Watermarks marks;
  // It may have got that offset by now.
  verify_logs(now);
  if (partition.other_log) {
    partition.out_of_range.reset();
    return;
  }
  const bool doubtful = partition.marks.recent.offset > 0 && partition.verified_at < now;
  const std::int64_t wanted = partition.lane->next_offset();
  const KafkaPartition here = partition.at(wanted);
  if (consumer_.query_watermarks(here, kQueryTimeout, marks)) return;
  const OutOfRange next = after_out_of_range(wanted, marks.low, marks.high);
  if (!next.new_lane && doubtful) return;
  // What was read under the old offsets must be settled before the lane begins anew.
  if (next.new_lane) {
    producer_.give_plan_up(*partition.lane);
    if (!producer_.idle(*partition.lane)) return;
    reopen_lane(partition, next.go_on_at);
  }
  const std::string range = "offset " + std::to_string(wanted) + " is not in the broker's [" +
                            std::to_string(marks.low) + ", " + std::to_string(marks.high) + ")";
  if (next.new_lane) {
    stats_.begun_again.add();
    log(LogLevel::kError, "offsets_anew/" + partition.name(),
        range + ": the topic began anew or lost its end; it is read from its first offset",
        &partition);
  } else if (next.lost > 0) {
    stats_.lost_offsets.add(static_cast<std::uint64_t>(next.lost));
    log(LogLevel::kError, "offsets_lost/" + partition.name(),
        range + ": the broker deleted " + std::to_string(next.lost) +
            " offsets before they were read (raise the topic's retention); going on at " +
            std::to_string(next.go_on_at),
        &partition);
  }
  if (read_from(partition, next.go_on_at)) partition.out_of_range.reset();
}

// What librdkafka has fetched of it is of no use any more.
bool KafkaSession::read_from(Partition& partition, std::int64_t offset) {
  std::erase_if(hand_, [&](const KafkaMessage& message) {
    return !message.is_error() && find(message) == &partition;
  });
  KafkaPartitions all;
  for (const auto& [key, each] : partitions_) all.push_back(each.at(each.lane->next_offset()));
  const KafkaPartition one = partition.at(offset);
  for (KafkaPartition& each : all) {
    if (each.topic == one.topic && each.partition == one.partition) each.offset = one.offset;
  }
  return !consumer_.restart(all, one);
}

void KafkaSession::reopen_lane(Partition& partition, std::int64_t offset) {
  const LaneId id = partition.lane->progress().id();
  producer_.close_lane(*partition.lane);
  if (plans()) {
    // Strides, too, get another name: their tokens would be those of the old offsets.
    KafkaPartition from = partition.at(offset);
    from.metadata = plan_text({.position = offset, .incarnation = draw_incarnation()});
    open_planned_lane(partition, from, options_.targets(partition.topic));
  } else {
    partition.lane = &producer_.open_lane(id, options_.targets(partition.topic), offset);
    take_marks(partition, partition.at(offset));
  }
  partition.committed = -1;
  partition.end_at = -1;
  partition.transaction_open = false;
  partition.held = false;
}

void KafkaSession::log(LogLevel level, const std::string& key, std::string message,
                       const Partition* partition) const {
  if (!options_.log) return;
  LogEvent event{level, key, std::move(message), {{"group", options_.source.group}}};
  if (partition != nullptr) {
    event.fields.emplace_back("lane", partition->name());
    event.fields.emplace_back("table", partition->lane->progress().table());
  }
  options_.log(event);
}

}  // namespace millrace
