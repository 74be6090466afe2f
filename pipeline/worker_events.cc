#include "pipeline/worker_events.h"

#include "pipeline/advice.h"

namespace millrace {
namespace {

std::string seconds_text(SteadyTime::duration time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  std::string decimals = std::to_string(ms % 1000);
  return std::to_string(ms / 1000) + "." + std::string(3 - decimals.size(), '0') + decimals + " s";
}

std::vector<std::pair<std::string, std::string>> fields_of(const InsertBlock& block) {
  return {{"pipeline", block.target->pipeline},
          {"table", block.target->table},
          {"lane", block.lane->id().to_string()},
          {"offsets", std::to_string(block.cut.first) + "-" + std::to_string(block.cut.end)},
          {"records", std::to_string(block.buffer.records())},
          {"token", block.token}};
}

// Events of one lane are rate-limited together.
std::string key_of(const char* event, const InsertBlock& block) {
  return std::string(event) + "/" + block.target->pipeline + "/" + block.lane->id().to_string();
}

}  // namespace

LogEvent failure_event(const InsertBlock& block, const LaneWait& failure,
                       bool may_have_been_applied, std::chrono::milliseconds delay) {
  const bool waits = failure.disposition != Disposition::kRetry;
  const bool fault = failure.reason == "internal_error";
  LogEvent event{
      waits || fault ? LogLevel::kError : LogLevel::kWarning, key_of("insert_failed", block),
      "insert into " + block.target->table + " failed: " + failure.message, fields_of(block)};
  event.fields.insert(event.fields.end(),
                      {{"disposition", std::string(to_string(failure.disposition))},
                       {"reason", failure.reason},
                       {"code", std::to_string(failure.code)},
                       {"attempt", std::to_string(failure.attempts)},
                       {"may_have_been_applied", may_have_been_applied ? "yes" : "no"},
                       {"next_try", seconds_text(delay)},
                       {"advice", advice_for(failure, block.target->table)}});
  return event;
}

LogEvent dead_letter_event(const InsertBlock& block, const std::string& store) {
  const DeadLetter& first = block.letters.front();
  LogEvent event{LogLevel::kWarning, key_of("dead_letters", block),
                 "ClickHouse refuses " + std::to_string(block.letters.size()) + " records for " +
                     block.target->table + ", which are kept in " + store +
                     "; the first, at offset " + std::to_string(first.offset) + ": " +
                     first.message,
                 fields_of(block)};
  event.fields.insert(event.fields.end(),
                      {{"reason", first.reason},
                       {"code", std::to_string(first.code)},
                       {"advice",
                        "look at them with `millrace dead-letters list`; make the table "
                        "take them and `millrace dead-letters replay`"}});
  return event;
}

LogEvent body_refused_event(const InsertBlock& block, std::size_t body_bytes, std::size_t limit) {
  LogEvent event{
      LogLevel::kWarning, "body_refused/" + block.target->pipeline + "/" + block.target->table,
      "a proxy before ClickHouse refuses a body of " + std::to_string(body_bytes) + " bytes for " +
          block.target->table + " (413): its rows are sent in parts, and blocks are kept below " +
          std::to_string(limit) + " bytes from now on",
      fields_of(block)};
  LaneWait refused;
  refused.reason = "HTTP_413";
  event.fields.insert(event.fields.end(), {{"reason", refused.reason},
                                           {"body_bytes", std::to_string(body_bytes)},
                                           {"limit_bytes", std::to_string(limit)},
                                           {"advice", remedy_for(refused, block.target->table)}});
  return event;
}

LogEvent unwritten_event(const InsertBlock& block, std::size_t records,
                         const QuerySummary& summary) {
  LogEvent event{LogLevel::kError, key_of("unwritten_rows", block),
                 "ClickHouse took " + std::to_string(records) + " messages for " +
                     block.target->table + " and reports " + std::to_string(summary.written_rows) +
                     " rows: some messages are empty, or two of them together read as one row",
                 fields_of(block)};
  event.fields.emplace_back("query_id", summary.query_id);
  return event;
}

LogEvent recovered_event(const InsertBlock& block, const LaneWait& failure,
                         SteadyTime::duration after) {
  return {LogLevel::kInfo, key_of("lane_recovered", block),
          "lane " + block.lane->id().to_string() + " goes on after " + seconds_text(after) +
              " and " + std::to_string(block.failures) + " failed attempts (" + failure.reason +
              ")",
          fields_of(block)};
}

LogEvent guarantee_event(const TableTarget& target, const GuaranteeNote::Value& guarantee) {
  const bool disappoints = !guarantee.holds && target.delivery == Delivery::kExactlyOnce;
  return {
      disappoints ? LogLevel::kWarning : LogLevel::kInfo,
      "guarantee/" + target.pipeline + "/" + target.table,
      "table " + target.table + ": " + (guarantee.holds ? "" : "at_least_once: ") + guarantee.text,
      {{"pipeline", target.pipeline}, {"table", target.table}}};
}

LogEvent token_renewed_event(const InsertBlock& block) {
  LogEvent event{LogLevel::kWarning, key_of("token_renewed", block),
                 "ClickHouse was restarted while an insert into " + block.target->table +
                     " had no answer: the rows are sent under a new token and can be there twice",
                 fields_of(block)};
  event.fields.emplace_back("new_token", block.token_of(block.split.next()));
  event.fields.emplace_back("advice",
                            "with a Replicated engine, or with columns.topic, columns.partition "
                            "and columns.offset on a plain MergeTree, they would not");
  return event;
}

LogEvent rows_missing_event(const InsertBlock& block, std::size_t records) {
  return {LogLevel::kWarning, key_of("rows_missing", block),
          "ClickHouse was restarted while an insert into " + block.target->table +
              " had no answer, and has no rows of " + std::to_string(records) +
              " of its records: these are sent again",
          fields_of(block)};
}

}  // namespace millrace
