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

std::chrono::seconds age_by_us(const FirstTry& then) {
  return age_of(then, std::chrono::steady_clock::now(), {});
}

// That time as SQL, by the server's clock, so much earlier; adds what it needs to `parameters`.
std::string sql_time(const FirstTry& then, std::chrono::seconds earlier, Named& parameters) {
  if (is_ours(then)) {
    parameters.emplace("age", static_cast<std::int64_t>((age_by_us(then) + earlier).count()));
    return "(now() - {age:Int64})";
  }
  const auto planned = std::get<std::chrono::sys_seconds>(then).time_since_epoch() - earlier;
  parameters.emplace("planned", static_cast<std::int64_t>(planned.count()));
  return "fromUnixTimestamp({planned:Int64})";
}

}  // namespace

RepeatProof judge_repeat(const FirstTry& then, bool restarted, Look look) {
  if (look == Look::kCan && (restarted || !is_ours(then))) return RepeatProof::kLook;
  return restarted ? RepeatProof::kNone : RepeatProof::kComplete;
}

RepeatProof ask_repeat_proof(Client& client, const TableTarget& target, const FirstTry& then) {
  const AnswerRow row = ask_row(client, "SELECT uptime(), toUnixTimestamp(now())", 2);
  const std::chrono::seconds uptime(number_of(row[0]));
  const std::chrono::sys_seconds now{std::chrono::seconds(number_of(row[1]))};
  const bool restarted =
      may_have_restarted(uptime, age_of(then, std::chrono::steady_clock::now(), now));
  if (is_ours(then) && !restarted) return RepeatProof::kComplete;
  const auto facts = ask_table_facts(client, target.table);
  if (!facts || is_replicated(*facts)) return RepeatProof::kComplete;  // none: the insert says so
  const bool can_look = keeps_every_row(*facts) && target.columns.name_records() &&
                        ask_granted(client, "SELECT", target.table).value_or(true);
  return judge_repeat(then, restarted, can_look ? Look::kCan : Look::kCanNot);
}

RowsByOffset ask_rows_of_records(Client& client, const TableTarget& target, const LaneId& lane,
                                 Cut range, std::optional<FirstTry> since) {
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
    // A minute more: the time of a part is what the server's file system says.
    sql += " AND _part IN (SELECT name FROM system.parts WHERE active AND " + is_table("table") +
           " AND modification_time >= " + sql_time(*since, std::chrono::minutes(1), parameters) +
           ")";
    parameters.merge(table_parameters(target.table));
  }
  RowsByOffset rows;
  for (const AnswerRow& row : ask_rows(client, sql + " GROUP BY 1", 2,
                                       {.parameters = Parameters(std::move(parameters))})) {
    rows[number_of(row[0])] = static_cast<std::size_t>(count_of(row[1]));
  }
  return rows;
}

InsertsSince ask_inserts_since(Client& client, const std::string& table, const FirstTry& then) {
  Named parameters = table_parameters(table);
  const std::string time = sql_time(then, {}, parameters);
  const AnswerRow row = ask_row(
      client,
      "SELECT greatest(0, max(written) - " + time +
          "), sum(newest - older), max(newest) - max(older), now() - " + time +
          " FROM (SELECT max(modification_time) AS written, max(max_block_number) AS newest, "
          "maxIf(max_block_number, modification_time < " +
          time + ") AS older FROM system.parts WHERE active AND " + is_table("table") +
          " GROUP BY partition_id)",
      4, {.parameters = Parameters(std::move(parameters))});
  const auto at_least_0 = [](std::string_view field) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_of(field)));
  };
  InsertsSince inserts;
  inserts.seconds = at_least_0(row[0]);
  inserts.of_partitions = at_least_0(row[1]);
  inserts.of_table = at_least_0(row[2]);
  inserts.unknown = std::chrono::seconds(number_of(row[3])) < -kMaxServerClockSkew;
  return inserts;
}

bool may_be_forgotten(const TableMemory& memory, const InsertsSince& since) {
  if (since.unknown) return true;
  if (memory.seconds != 0 && since.seconds > memory.seconds / 2) return true;
  const std::uint64_t inserts = memory.seconds != 0 ? since.of_partitions : since.of_table;
  return memory.inserts != 0 &&
         std::min(inserts, since.seconds * kMostInsertsASecond) > memory.inserts / 2;
}

}  // namespace millrace
