// KafkaSession's part in what its partitions' logs are: the same as before (kafka_identity.h), and
// closed to us behind a transaction that is open.
#include <algorithm>
#include <string_view>

#include "service/sources/kafka_advice.h"
#include "service/sources/kafka_session.h"

namespace millrace {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kAskTimeout{1'000};
constexpr milliseconds kVerifyInterval{5'000};
// A partition that had nothing for so long may have been made again meanwhile: librdkafka waits for
// fetch.error.backoff.ms when the broker does not know it, and asks for its leader.
constexpr milliseconds kQuiet{200};
constexpr milliseconds kAskAgain{100};  // when that got no answer
constexpr milliseconds kDoubtPatience{5'000};
constexpr milliseconds kMarkInterval{10'000};
// A transaction that takes so long is worth a word.
constexpr milliseconds kOpenTransaction{3'000};
// What stands in front of the marks where no plan is kept.
constexpr std::string_view kMarksOnly = "i1;";

std::int64_t wall_clock_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

LogMarks marks_beside(const KafkaPartition& committed) {
  if (committed.metadata.starts_with(kMarksOnly)) {
    return parse_marks(std::string_view(committed.metadata).substr(kMarksOnly.size()),
                       committed.offset);
  }
  const auto plan = parse_plan(committed.offset, committed.metadata);
  return plan ? parse_marks(plan->source, committed.offset) : LogMarks{};
}

}  // namespace

std::string KafkaSession::marks_metadata(const Partition& partition, std::int64_t position) {
  const std::string text = marks_text(partition.marks, position);
  return text.empty() ? text : std::string(kMarksOnly) + text;
}

void KafkaSession::take_marks(Partition& partition, const KafkaPartition& from) {
  partition.marks = marks_beside(from);
  partition.marks_committed = from.metadata;
  partition.newest_ms = -1;
  partition.marked_to = 0;
  partition.other_log.reset();
}

// Where to go on in a log that is not the one that was marked; nothing while that is not known.
std::optional<std::int64_t> KafkaSession::begin_of_other_log(KafkaPartition of,
                                                             const LogMarks& marks,
                                                             std::int64_t answer) {
  KafkaConsumer::Watermarks ends;
  if (questions_.query_watermarks(of, kAskTimeout, ends)) return std::nullopt;
  of.offset = marks.deep.timestamp_ms;
  KafkaPartitions deep{of};
  if (questions_.offsets_for_times(deep, kAskTimeout) || deep.front().error) return std::nullopt;
  return begin_of_other(marks, answer, deep.front().offset, ends.low);
}

void KafkaSession::say_other_log(const std::string& name, const LogMarks& marks,
                                 std::int64_t answer, std::int64_t next, std::int64_t begin) {
  stats_.begun_again.add();
  log(LogLevel::kError, "offsets_anew/" + name,
      name + " is not the log that was read: its records from offset " + std::to_string(answer) +
          " on are newer than all that it had below offset " + std::to_string(marks.recent.offset) +
          ". The topic was deleted and made again, or has lost its end in an election. It is read "
          "from offset " +
          std::to_string(begin) + " on, and not from " + std::to_string(next) +
          "; blocks get tokens of their own");
}

// Offsets that were committed for a log of the same name mean nothing in this one.
void KafkaSession::leave_other_logs(KafkaPartitions& partitions) {
  KafkaPartitions asked;
  for (const KafkaPartition& each : partitions) {
    const LogMark mark = marks_beside(each).recent;
    if (each.offset >= 0 && mark.offset > 0) {
      asked.push_back({each.topic, each.partition, mark.timestamp_ms});
    }
  }
  // Without an answer it is asked again while it is read.
  if (asked.empty() || questions_.offsets_for_times(asked, kAskTimeout)) return;
  for (const KafkaPartition& answer : asked) {
    const auto of = std::find_if(partitions.begin(), partitions.end(), [&](const auto& each) {
      return each.topic == answer.topic && each.partition == answer.partition;
    });
    const LogMarks marks = marks_beside(*of);
    if (answer.error || !contradicts(marks.recent, answer.offset)) continue;
    const auto begin = begin_of_other_log(*of, marks, answer.offset);
    if (!begin) continue;
    say_other_log(of->topic + "/" + std::to_string(of->partition), marks, answer.offset, of->offset,
                  *begin);
    of->offset = *begin;
    of->metadata =
        plans() ? plan_text({.position = *begin, .incarnation = draw_incarnation()}) : "";
  }
}

// A record that comes after a silence may be another log's: so it is asked before it is taken, at
// most once in kQuiet for all partitions. False: no answer yet, the record must wait.
bool KafkaSession::may_read_on(Partition& partition, SteadyTime now) {
  const auto sure = std::max(partition.last_at, partition.verified_at);
  if (partition.marks.recent.offset == 0 || partition.other_log || now - sure < kQuiet) return true;
  if (!partition.doubted_since) partition.doubted_since = now;
  if (now < next_ask_) return false;
  next_ask_ = now + kAskAgain;
  verify_logs(now);
  // A broker that does not answer that does not stop us: it is noticed later, and rows come twice.
  if (partition.verified_at < now && now - *partition.doubted_since < kDoubtPatience) return false;
  partition.verified_at = now;
  partition.doubted_since.reset();
  return true;
}

// All of them in one request to each broker.
void KafkaSession::verify_logs(SteadyTime now) {
  next_verify_ = now + kVerifyInterval;
  KafkaPartitions asked;
  for (const auto& [key, partition] : partitions_) {
    if (partition.marks.recent.offset == 0 || partition.leaving || partition.other_log) continue;
    asked.push_back(partition.at(partition.marks.recent.timestamp_ms));
  }
  if (asked.empty() || questions_.offsets_for_times(asked, kAskTimeout)) return;
  for (const KafkaPartition& answer : asked) {
    if (answer.error) continue;
    Partition& partition = partitions_.at({answer.topic, answer.partition});
    partition.verified_at = now;
    if (contradicts(partition.marks.recent, answer.offset)) partition.other_log = answer.offset;
  }
}

// What was read of the former log is settled first.
void KafkaSession::go_to_other_log(Partition& partition, SteadyTime now) {
  producer_.give_plan_up(*partition.lane);
  if (!producer_.idle(*partition.lane)) return;
  const std::int64_t next = partition.lane->next_offset();
  const LogMarks marks = partition.marks;
  const std::int64_t answer = *partition.other_log;
  const auto begin = begin_of_other_log(partition.at(next), marks, answer);
  if (!begin) return;
  reopen_lane(partition, *begin);
  say_other_log(partition.name(), marks, answer, next, *begin);
  if (!read_from(partition, *begin)) partition.out_of_range = now;  // which tries again
}

void KafkaSession::mark_logs(SteadyTime now) {
  KafkaPartitions asked;
  std::vector<std::int64_t> read_to;
  for (const auto& [key, partition] : partitions_) {
    const bool due =
        partition.marks.recent.offset == 0 || now - partition.marked_at >= kMarkInterval;
    const std::int64_t next = partition.lane->next_offset();
    if (!due || next <= partition.marked_to || partition.other_log || partition.out_of_range) {
      continue;
    }
    read_to.push_back(next);
    asked.push_back(partition.at(timestamp_to_mark(partition.newest_ms, wall_clock_ms())));
  }
  if (asked.empty()) return;
  KafkaPartitions answers = asked;
  if (questions_.offsets_for_times(answers, kAskTimeout)) return;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (answers[i].error) continue;
    Partition& partition = partitions_.at({asked[i].topic, asked[i].partition});
    partition.marked_at = now;
    partition.marked_to = read_to[i];
    partition.marks = remark(partition.marks, asked[i].offset, answers[i].offset, read_to[i]);
  }
}

// The end for us (the last stable offset) stays where it is, and the log goes on behind it.
void KafkaSession::look_for_transaction(Partition& partition, SteadyTime now) {
  const std::int64_t next = partition.lane->next_offset();
  const std::int64_t high = consumer_.cached_watermarks(partition.topic, partition.number).high;
  const bool closed = partition.end_at == next && high > next && !partition.paused;
  if (!closed) {
    if (partition.transaction_open) {
      partition.lane->progress().set_source_wait(std::nullopt);
      log(LogLevel::kInfo, "transaction/" + partition.name(),
          partition.name() + ": the transaction that was open has ended; reading goes on",
          &partition);
    }
    partition.transaction_open = false;
    partition.closed_since.reset();
    return;
  }
  if (!partition.closed_since) partition.closed_since = now;
  if (now - *partition.closed_since < kOpenTransaction) return;
  KafkaConsumer::Watermarks stable;  // its high is the last stable offset, unlike the cached one
  if (!partition.transaction_open &&
      (questions_.query_watermarks(partition.at(next), kAskTimeout, stable) ||
       stable.high != next)) {
    return;
  }
  say_open_transaction(partition, next, high);
}

void KafkaSession::say_open_transaction(Partition& partition, std::int64_t next,
                                        std::int64_t high) {
  LaneWait wait;
  wait.disposition = Disposition::kRetry;
  wait.reason = "OPEN_TRANSACTION";
  wait.message = "a transaction is open at offset " + std::to_string(next) + " of " +
                 partition.name() + ": it and the records behind it (" +
                 std::to_string(high - next) + " offsets) can't be read before it ends";
  wait.advice = kafka_hint(wait.reason) +
                ". Here: `kafka-transactions.sh describe-producers --topic " + partition.topic +
                " --partition " + std::to_string(partition.number) + "`";
  if (!partition.transaction_open) {
    log(LogLevel::kWarning, "transaction/" + partition.name(), wait.message + ": " + wait.advice,
        &partition);
  }
  partition.transaction_open = true;
  partition.lane->progress().set_source_wait(std::move(wait));
}

}  // namespace millrace
