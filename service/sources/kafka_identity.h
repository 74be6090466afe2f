// Whether a partition's log is the one that was read before, or another of the same name. Pure.
//
// Offsets are not identities: a topic can be deleted and made again, and an offset of the old one
// then leads into the middle of the new one. librdkafka 2.0.2 tells neither a topic's ID nor a
// leader's epoch. But a broker can be asked for the offset of the first record with a timestamp of
// T or later, and in one log that answer can only grow: what retention and compaction remove makes
// it larger, and what is appended comes behind. So an answer below one that was given before comes
// from another log. Whose clock the timestamps are of does not matter, nor that they are in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// Below `offset` the log has no record with this timestamp or a later one.
struct LogMark {
  std::int64_t timestamp_ms = 0;
  std::int64_t offset = 0;  // 0: tells nothing
  bool operator==(const LogMark&) const = default;
};

struct LogMarks {
  LogMark recent;  // near the position
  // From a time when the lane had not half as much behind it: an election that costs a log its end
  // (unclean.leader.election.enable) leaves this one true.
  LogMark deep;
  bool operator==(const LogMarks&) const = default;
};

// The timestamp to ask for to get a new recent mark: just behind the newest record that was read,
// unless that is in the future, of which records to come know nothing. `newest_ms` < 0: unknown.
std::int64_t timestamp_to_mark(std::int64_t newest_ms, std::int64_t now_ms);

// With the broker's answer for `timestamp_ms` (below 0: it has no such record). `next_offset` was
// the next to be read before it was asked.
LogMarks remark(LogMarks marks, std::int64_t timestamp_ms, std::int64_t answer,
                std::int64_t next_offset);

// The broker's answer for `mark` is from another log.
bool contradicts(const LogMark& mark, std::int64_t answer);

// Where to begin in the other log, when the answer for the recent mark contradicts it. It is all
// other records (nothing is the same): from `low`; or it has lost its end and got another: from the
// first record that is newer.
std::int64_t begin_of_other(const LogMarks& marks, std::int64_t recent_answer,
                            std::int64_t deep_answer, std::int64_t low);

// As it stands beside a committed offset: numbers in base 36, offsets as distances below
// `position`, so that a tool that carries commits over to another cluster's offsets carries these,
// too.
std::string marks_text(const LogMarks& marks, std::int64_t position);
// Without marks when it is not such a text.
LogMarks parse_marks(std::string_view text, std::int64_t position);

}  // namespace millrace
