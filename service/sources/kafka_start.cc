// KafkaSession's part in where a partition begins that it was given.
#include <algorithm>

#include "service/sources/kafka_advice.h"
#include "service/sources/kafka_pattern.h"
#include "service/sources/kafka_session.h"

namespace millrace {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kCommittedTimeout{2'000};  // of one try
constexpr milliseconds kListTimeout{500};
// How long the member that has the first partition may take to commit where the group begins.
constexpr milliseconds kBeginPatience{30'000};

std::string name_of(const KafkaPartition& partition) {
  return partition.topic + "/" + std::to_string(partition.partition);
}

bool subscribed(const std::vector<std::string>& wanted, const std::string& topic) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& each) {
    return each.starts_with('^') ? KafkaPattern(each).matches(topic) : each == topic;
  });
}

bool contains(const KafkaPartitions& partitions, const KafkaPartition& one) {
  return std::any_of(partitions.begin(), partitions.end(), [&](const KafkaPartition& each) {
    return each.topic == one.topic && each.partition == one.partition;
  });
}

}  // namespace

// What appears from now on is new, even if the group has not committed anything by then.
void KafkaSession::note_topics() {
  if (options_.source.start_offset != "latest" || at_start_.known) return;
  at_start_.known = !consumer_.partition_counts(kListTimeout, at_start_.partitions);
}

bool KafkaSession::was_there(const KafkaPartition& partition) const {
  if (!at_start_.known) return true;
  const auto topic = at_start_.partitions.find(partition.topic);
  return topic != at_start_.partitions.end() && partition.partition < topic->second;
}

bool KafkaSession::offsets_unknown(const KafkaError& error) {
  const std::string hint = kafka_hint(error.name);
  faults_.set("offsets", "cannot read the offsets of group " + options_.source.group + ": " +
                             error.text + (hint.empty() ? "" : ": " + hint));
  return false;
}

// Never begins without knowing what is committed: an unknown offset is not "no offset".
bool KafkaSession::find_start_offsets(KafkaPartitions& partitions) {
  if (partitions.empty()) return true;
  if (const KafkaError error = consumer_.committed(partitions, kCommittedTimeout)) {
    return offsets_unknown(error);
  }
  leave_other_logs(partitions);
  const bool complete = std::all_of(partitions.begin(), partitions.end(),
                                    [](const auto& each) { return each.offset >= 0; });
  std::string start = options_.source.start_offset;
  if (!complete && start == "latest") {
    if (!latest_is_settled(partitions)) return false;
    start = "earliest";  // what has no offset now came later
  }
  for (KafkaPartition& each : partitions) {
    if (each.offset >= 0) continue;
    if (stop_.requested()) return false;  // each may take seconds
    KafkaConsumer::Watermarks marks;
    if (const KafkaError error = consumer_.query_watermarks(each, kCommittedTimeout, marks)) {
      return offsets_unknown(error);
    }
    if (const auto first = first_offset(start, marks.low)) {
      each.offset = *first;
      each.error = {};
      continue;
    }
    faults_.set("start/" + name_of(each),
                name_of(each) + " has no committed offset in group " + options_.source.group +
                    ", and `source.kafka.start_offset` is `error`: it is not read");
  }
  std::erase_if(partitions, [](const KafkaPartition& each) { return each.offset < 0; });
  return true;
}

// `latest` is for what is there when the group begins. That is committed for all partitions at
// once, by one member and before any of them reads: so a partition that has no offset in a group
// that has some came later, for every member and after every restart. True when that is done.
bool KafkaSession::latest_is_settled(const KafkaPartitions& assigned) {
  note_topics();
  std::map<std::string, std::int32_t> counts;
  if (const KafkaError error = consumer_.partition_counts(kCommittedTimeout, counts)) {
    return offsets_unknown(error);
  }
  KafkaPartitions all;
  for (const auto& [topic, count] : counts) {
    if (!subscribed(options_.source.topics, topic)) continue;
    for (std::int32_t i = 0; i < count; ++i) all.push_back({topic, i});
  }
  if (const KafkaError error = consumer_.committed(all, kCommittedTimeout)) {
    return offsets_unknown(error);
  }
  std::vector<SubscribedPartition> states;
  states.reserve(all.size());
  for (const KafkaPartition& each : all) {
    states.push_back({each.offset >= 0, was_there(each), contains(assigned, each)});
  }
  const auto now = std::chrono::steady_clock::now();
  switch (latest_start(states)) {
    case LatestStart::kBegun:
      begin_due_.reset();
      return true;
    case LatestStart::kWait:
      if (!begin_due_) begin_due_ = now + kBeginPatience;
      faults_.set("offsets",
                  "waiting for the member that has " + name_of(all.front()) +
                      " to commit where group " + options_.source.group + " begins",
                  LogLevel::kInfo);
      if (now < *begin_due_) return false;
      break;
    case LatestStart::kBegin:
      break;
  }
  std::erase_if(all, [this](const KafkaPartition& each) { return !was_there(each); });
  begin_group(std::move(all));
  return false;  // and is looked at again
}

void KafkaSession::begin_group(KafkaPartitions partitions) {
  for (KafkaPartition& each : partitions) each.offset = KafkaConsumer::kEnd;
  if (KafkaError error = consumer_.offsets_for_times(partitions, kCommittedTimeout)) {
    offsets_unknown(error);
    return;
  }
  for (const KafkaPartition& each : partitions) {
    if (!each.error && each.offset >= 0) continue;
    offsets_unknown(each.error ? each.error : kafka_error(-1));
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + kCommittedTimeout;
  begin_commit(partitions);
  while (consumer_.commit_in_flight() && std::chrono::steady_clock::now() < deadline) {
    end_commit(milliseconds{50});
  }
  log(LogLevel::kInfo, "kafka/begin",
      "group " + options_.source.group +
          " begins behind what is there: " + std::to_string(partitions.size()) + " partitions");
}

}  // namespace millrace
