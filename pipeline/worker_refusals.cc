// The worker's part of a refused block: what is sent next, and what becomes a dead letter.
#include <algorithm>
#include <utility>

#include "pipeline/advice.h"
#include "pipeline/failure.h"
#include "pipeline/stop_hook.h"
#include "pipeline/worker.h"
#include "pipeline/worker_events.h"

namespace millrace {
namespace {

// So many are stored together; they are kept in memory until then.
constexpr std::size_t kLettersAtOnce = 1'000;
constexpr int kTooManyParts = 252;

DeadLetter dead_letter_of(const InsertBlock& block, std::size_t index) {
  const RecordEntry& record = block.buffer.entries()[index];
  const LaneId& lane = block.lane->id();
  DeadLetter letter;
  letter.pipeline = block.target->pipeline;
  letter.table = block.target->table;
  letter.format = block.target->format;
  letter.group = lane.group;
  letter.topic = lane.topic;
  letter.partition = lane.partition;
  letter.offset = record.offset;
  letter.token = block.token_of_record(index);
  letter.attempts = block.failures + 1;
  letter.time = std::chrono::system_clock::now();
  letter.payload = record.payload();
  return letter;
}

// "record at offset 20 of events/3".
std::string place_of(const InsertBlock& block, std::size_t index) {
  const LaneId& lane = block.lane->id();
  return "record at offset " + std::to_string(block.buffer.entries()[index].offset) + " of " +
         lane.topic + "/" + std::to_string(lane.partition) + ": ";
}

// What can be done about a field that has no column: it is for an operator to say.
std::string remedy_for_field(const EncodeFailure& failure, const std::string& table) {
  const bool missing = failure.reason.starts_with("the table has no column");
  return (missing ? ": ALTER TABLE " + table + " ADD COLUMN " + failure.unknown_field + " …, or "
                  : ": leave the field out, or ") +
         "clickhouse.insert_settings: {input_format_skip_unknown_fields: 1} and a restart, which "
         "ignores fields without a column, or clickhouse.dispositions: {" +
         std::to_string(failure.code) + ": dead_letter}";
}

// What ClickHouse would say, so that one rule decides of both.
TransportError as_server_error(const InsertBlock& block, std::size_t index,
                               const EncodeFailure& failure) {
  const std::string column = failure.column.empty() ? "" : "column " + failure.column + ": ";
  const bool unknown_field = !failure.unknown_field.empty();
  return TransportError(
      place_of(block, index) + column + failure.reason + ", at byte " +
          std::to_string(failure.position) + " of the message" +
          (unknown_field ? remedy_for_field(failure, block.target->table) : ""),
      // A column that is missing may come: as with a table that reads the JSON itself.
      unknown_field ? Disposition::kWait : Disposition::kSplit, false,
      {.code = failure.code, .name = std::string(error_code_name(failure.code))});
}

// Of a store in ClickHouse the answer says more.
std::string letters_remedy(const std::exception& error) {
  if (dynamic_cast<const TransportError*>(&error) == nullptr) return {};
  return "; " + remedy_for(describe_failure(error), "");
}

std::size_t largest_record(const InsertBlock& block, const BlockPart& part) {
  std::size_t largest = part.record(0), bytes = 0;
  part.for_each_record([&](std::size_t index) {
    const std::size_t size = block.buffer.entries()[index].payload().size();
    if (size <= bytes) return;
    largest = index;
    bytes = size;
  });
  return largest;
}

TransportError record_too_large(const InsertBlock& block, std::size_t index, std::size_t body_bytes,
                                const TransportError& error) {
  const std::int64_t offset = block.buffer.entries()[index].offset;
  return {"the record at " + block.lane->id().to_string() + " offset " + std::to_string(offset) +
              " makes a body of " + std::to_string(body_bytes) +
              " bytes by itself, and a proxy takes none so large: " + error.what(),
          Disposition::kWait,
          false,
          {.name = "HTTP_413", .http_status = error.http_status()}};
}

}  // namespace

void Worker::refuse(InsertBlock& block, const BlockPart& part, const TransportError& error) {
  const bool divisible = error.code() == kTooManyParts;  // no row is at fault, there are too many
  if (!divisible && block.target->dead_letters == nullptr) throw;
  const bool all = retry_.get().disposition_of(error) == Disposition::kDeadLetter;
  if (part.records() > (all ? kLettersAtOnce : 1)) {
    const auto* answer = dynamic_cast<const ClickHouseError*>(&error);
    return block.split.refuse(answer != nullptr && !all ? named_row(answer->message()) : 0);
  }
  if (block.target->dead_letters == nullptr) throw;
  const LaneWait why = describe_failure(error);
  for (std::size_t n = 0; n < part.records(); ++n) add_dead_letter(block, part.record(n), why);
  block.split.drop();
  if (block.letters.size() >= kLettersAtOnce) store_dead_letters(block);
}

// Nothing of a body that a proxy refuses has reached ClickHouse: the same rows in smaller bodies.
// The halves' tokens come from the block's records and not from the limit, so that a process that
// builds the block again, and is refused again, comes to the same parts.
void Worker::send_in_parts(InsertBlock& block, const BlockPart& part, const TransportError& error) {
  BodyLimit& limit = block.target->stats->body_limit;
  const std::size_t held = block.buffer.used_bytes() / block.buffer.records() * part.records();
  if (limit.refused(body_bytes_, held))
    log_(body_refused_event(block, body_bytes_, limit.body_bytes()));
  if (part.records() > 1) return block.split.refuse_size(largest_record(block, part));
  const bool give_up = retry_.get().disposition_of(error) == Disposition::kDeadLetter;
  if (!give_up || block.target->dead_letters == nullptr)
    throw record_too_large(block, part.record(0), body_bytes_, error);
  add_dead_letter(block, part.record(0), describe_failure(error));
  block.split.drop();
}

// The server is not asked: it would refuse them, too.
void Worker::refuse(InsertBlock& block, const RowsNotEncoded& rows) {
  for (const RowsNotEncoded::Record& record : rows.records()) {
    const TransportError error = as_server_error(block, record.index, record.failure);
    const Disposition disposition = retry_.get().disposition_of(error);
    const bool waits = disposition == Disposition::kWait || disposition == Disposition::kRetry;
    if (waits || block.target->dead_letters == nullptr) throw error;
    add_dead_letter(block, record.index, describe_failure(error));
    block.split.drop(record.index);
    if (block.letters.size() >= kLettersAtOnce) store_dead_letters(block);
  }
}

void Worker::add_dead_letter(InsertBlock& block, std::size_t index, const LaneWait& why) {
  DeadLetter letter = dead_letter_of(block, index);
  if (block.target->columns.any()) letter.sent = encoder_.as_json(block, index);
  letter.code = why.code;
  letter.reason = why.reason;
  letter.message = why.message;
  block.letters.push_back(std::move(letter));
}

void Worker::store_dead_letters(InsertBlock& block) {
  if (block.letters.empty()) return;
  set_operation("store dead letters", &block);
  DeadLetterStore& store = *block.target->dead_letters;
  try {
    store.store(block.letters);
  } catch (const AbortedError&) {
    throw;
  } catch (const std::exception& error) {
    throw TransportError(std::to_string(block.letters.size()) +
                             " records that are refused can't be kept in " + store.name() + ": " +
                             error.what() + letters_remedy(error),
                         Disposition::kWait, false, {.name = "DEAD_LETTERS_NOT_STORED"});
  }
  for (const DeadLetter& letter : block.letters) {
    block.target->stats->dead_letters.add(letter.reason);
    block.target->stats->newest_dead_letters.add(letter);
  }
  stop_at(StopPoint::kDeadLettersStored);
  block.done.dead_lettered += block.letters.size();
  log_(dead_letter_event(block, store.name()));
  block.letters.clear();
}

}  // namespace millrace
