#include "pipeline/restart_check.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "pipeline/guarantee.h"
#include "pipeline/table_sql.h"

namespace millrace {
namespace {

// Whole seconds, rounded up, and one more: what is in doubt counts as long ago.
std::uint64_t seconds_since(SteadyTime then) {
  const auto age = std::chrono::steady_clock::now() - then;
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::seconds>(age).count()) + 1);
}

template <class Number>
Number take_number(std::string_view& text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
  return number;
}

// A question of ours that fails says nothing of the block's rows: they are not refused.
std::string ask(Client& client, const std::string& sql, const QueryOptions& options) {
  try {
    return client.raw_query(sql, options);
  } catch (const ClickHouseError& error) {
    if (error.disposition() == Disposition::kRetry || error.disposition() == Disposition::kWait)
      throw;
    throw TransportError(std::string("rows can't be looked for: ") + error.what(),
                         Disposition::kWait, false, {.name = "ROWS_NOT_COUNTED"});
  }
}

}  // namespace

RepeatProof ask_repeat_proof(Client& client, const TableTarget& target, SteadyTime then) {
  const std::string answer =
      ask(client,
          "SELECT uptime(), engine LIKE 'Replicated%' OR engine LIKE 'Shared%', "
          "engine = 'MergeTree' AND position(engine_full, ' TTL ') = 0 "
          "FROM system.tables WHERE " +
              std::string(kIsTable),
          {.format = "TabSeparated", .parameters = table_parameters(target.table)});
  if (answer.empty()) return RepeatProof::kComplete;  // no such table: the insert will say so
  std::string_view rest = answer;
  const auto uptime = take_number<std::uint64_t>(rest);
  const bool replicated = take_number<int>(rest) != 0;
  const bool keeps_every_row = take_number<int>(rest) != 0;
  if (replicated || uptime > seconds_since(then)) return RepeatProof::kComplete;
  const bool can_look = keeps_every_row && target.columns.name_records() &&
                        ask_granted(client, "SELECT", target.table).value_or(true);
  return can_look ? RepeatProof::kLook : RepeatProof::kNone;
}

RowsByOffset ask_rows_of_records(Client& client, const TableTarget& target, const LaneId& lane,
                                 Cut range, std::optional<SteadyTime> since) {
  const std::string offset = quote_identifier(target.columns.offset);
  std::string sql = "SELECT " + offset + ", count() FROM " + quote_table(target.table) + " WHERE " +
                    quote_identifier(target.columns.topic) + " = {topic:String} AND " +
                    quote_identifier(target.columns.partition) + " = {partition:Int64} AND " +
                    offset + " >= {first:Int64} AND " + offset + " < {end:Int64}";
  Named parameters{{"topic", lane.topic},
                   {"partition", static_cast<std::int64_t>(lane.partition)},
                   {"first", range.first},
                   {"end", range.end}};
  if (since) {
    sql +=
        " AND _part IN (SELECT name FROM system.parts WHERE active AND database = "
        "if({database:String} = '', currentDatabase(), {database:String}) AND table = "
        "{table:String} AND modification_time >= now() - {age:UInt64})";
    parameters.merge(table_parameters(target.table));
    // A minute more: the time of a part is what the server's file system says.
    parameters.emplace("age", seconds_since(*since) + 60);
  }
  const std::string answer =
      ask(client, sql + " GROUP BY 1",
          {.format = "TabSeparated", .parameters = Parameters(std::move(parameters))});
  RowsByOffset rows;
  for (std::string_view rest = answer; !rest.empty();) {
    const auto at = take_number<std::int64_t>(rest);
    rows[at] = take_number<std::size_t>(rest);
  }
  return rows;
}

std::uint64_t ask_seconds_of_inserts_since(Client& client, const std::string& table,
                                           SteadyTime then) {
  // Merges write parts, too: counted as inserts they make it longer, which is the safe side.
  Named parameters = table_parameters(table);
  parameters.emplace("age", seconds_since(then));
  const std::string answer = ask(
      client,
      "SELECT greatest(0, {age:Int64} - (now() - max(modification_time))) FROM system.parts WHERE "
      "active AND database = if({database:String} = '', currentDatabase(), {database:String}) AND "
      "table = {table:String}",
      {.format = "TabSeparated", .parameters = Parameters(std::move(parameters))});
  std::string_view rest = answer;
  return take_number<std::uint64_t>(rest);
}

}  // namespace millrace
