#include "pipeline/restart_check.h"

#include <algorithm>
#include <string_view>

#include "pipeline/guarantee.h"
#include "pipeline/question.h"
#include "pipeline/table_sql.h"

namespace millrace {
namespace {

// No table takes more parts than that for long: ClickHouse slows inserts down, then refuses them
// (252). A merge of old parts looks like as many inserts; just after a restart it is not taken for
// them.
constexpr std::uint64_t kMostInsertsASecond = 100;

// Whole seconds, rounded up, and one more: what is in doubt counts as long ago.
std::uint64_t seconds_since(SteadyTime then) {
  const auto age = std::chrono::steady_clock::now() - then;
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::seconds>(age).count()) + 1);
}

}  // namespace

RepeatProof ask_repeat_proof(Client& client, const TableTarget& target, SteadyTime then) {
  const std::uint64_t uptime = count_of(ask_row(client, "SELECT uptime()", 1).front());
  if (uptime > seconds_since(then)) return RepeatProof::kComplete;
  const auto facts = ask_table_facts(client, target.table);
  if (!facts || is_replicated(*facts)) return RepeatProof::kComplete;  // none: the insert says so
  const bool can_look = keeps_every_row(*facts) && target.columns.name_records() &&
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
    sql += " AND _part IN (SELECT name FROM system.parts WHERE active AND " + is_table("table") +
           " AND modification_time >= now() - {age:UInt64})";
    parameters.merge(table_parameters(target.table));
    // A minute more: the time of a part is what the server's file system says.
    parameters.emplace("age", seconds_since(*since) + 60);
  }
  RowsByOffset rows;
  for (const AnswerRow& row : ask_rows(client, sql + " GROUP BY 1", 2,
                                       {.parameters = Parameters(std::move(parameters))})) {
    rows[number_of(row[0])] = static_cast<std::size_t>(count_of(row[1]));
  }
  return rows;
}

InsertsSince ask_inserts_since(Client& client, const std::string& table, SteadyTime then) {
  Named parameters = table_parameters(table);
  parameters.emplace("age", seconds_since(then));
  const AnswerRow row =
      ask_row(client,
              "SELECT greatest(0, {age:Int64} - (now() - max(written))), sum(newest - older), "
              "max(newest) - max(older) FROM (SELECT max(modification_time) AS written, "
              "max(max_block_number) AS newest, "
              "maxIf(max_block_number, modification_time < now() - {age:Int64}) AS older "
              "FROM system.parts WHERE active AND " +
                  is_table("table") + " GROUP BY partition_id)",
              3, {.parameters = Parameters(std::move(parameters))});
  const auto at_least_0 = [](std::string_view field) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_of(field)));
  };
  InsertsSince inserts;
  inserts.seconds = at_least_0(row[0]);
  inserts.of_partitions = at_least_0(row[1]);
  inserts.of_table = at_least_0(row[2]);
  return inserts;
}

bool may_be_forgotten(const TableMemory& memory, const InsertsSince& since) {
  if (memory.seconds != 0 && since.seconds > memory.seconds / 2) return true;
  const std::uint64_t inserts = memory.seconds != 0 ? since.of_partitions : since.of_table;
  return memory.inserts != 0 &&
         std::min(inserts, since.seconds * kMostInsertsASecond) > memory.inserts / 2;
}

}  // namespace millrace
