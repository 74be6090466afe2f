#include "pipeline/guarantee.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "pipeline/question.h"
#include "pipeline/table_sql.h"

namespace millrace {
namespace {

constexpr std::string_view kPlainWindow = "non_replicated_deduplication_window";
constexpr std::string_view kReplicatedWindow = "replicated_deduplication_window";
constexpr std::string_view kReplicatedSeconds = "replicated_deduplication_window_seconds";
// Blocks (times partitions of the table) between the first try and the last one of a block: ten
// minutes of ten blocks a second, and some more.
constexpr std::uint64_t kLeastWindow = 10'000;

std::uint64_t to_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "… SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 100"
std::optional<std::uint64_t> setting_in(std::string_view engine_full, std::string_view name) {
  const std::string wanted = " " + std::string(name) + " = ";
  const auto at = engine_full.find(wanted);
  if (at == std::string_view::npos) return std::nullopt;
  return to_number(engine_full.substr(at + wanted.size()));
}

constexpr int kUnknownIdentifier = 47, kSyntaxError = 62;

// As SQL has it: in backticks only where it must be.
std::string sql_name(const std::string& table) {
  const bool plain = std::all_of(table.begin(), table.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
  return plain && table.find("..") == std::string::npos ? table : quote_table(table);
}

std::string remedy(const std::string& table, std::string_view setting) {
  return "ALTER TABLE " + sql_name(table) + " MODIFY SETTING " + std::string(setting) + " = 100000";
}

// The tables that inserts into `table` reach through materialized views.
std::vector<std::string> ask_view_targets(Client& client, const std::string& table) {
  const std::string sql =
      "SELECT concat(target_database, '.', target_table) FROM system.tables "
      "WHERE engine = 'MaterializedView' AND (database, name) IN (SELECT "
      "arrayJoin(arrayZip(dependencies_database, dependencies_table)) FROM system.tables WHERE " +
      is_table() + ")";
  std::vector<std::string> targets;
  for (std::size_t next = 0; next <= targets.size(); ++next) {
    const std::string source = next == 0 ? table : targets[next - 1];
    for (AnswerRow& row : ask_rows(client, sql, 1, {.parameters = table_parameters(source)})) {
      if (std::find(targets.begin(), targets.end(), row[0]) == targets.end())
        targets.push_back(std::move(row[0]));
    }
  }
  return targets;
}

}  // namespace

bool is_replicated(const TableFacts& facts) {
  return facts.engine.starts_with("Replicated") || facts.engine.starts_with("Shared");
}

bool keeps_every_row(const TableFacts& facts) {
  return facts.engine == "MergeTree" && facts.engine_full.find(" TTL ") == std::string::npos;
}

std::optional<TableFacts> ask_table_facts(Client& client, const std::string& table) {
  const auto of_server = [](std::string_view setting) {
    return "ifNull((SELECT value FROM system.merge_tree_settings WHERE name = '" +
           std::string(setting) + "'), '0')";
  };
  const std::vector<AnswerRow> rows =
      ask_rows(client,
               "SELECT engine, replaceAll(engine_full, '\\n', ' '), " + of_server(kPlainWindow) +
                   ", " + of_server(kReplicatedWindow) + ", " + of_server(kReplicatedSeconds) +
                   " FROM system.tables WHERE " + is_table(),
               5, {.parameters = table_parameters(table)});
  if (rows.empty()) return std::nullopt;
  const AnswerRow& row = rows.front();
  return TableFacts{row[0], row[1], count_of(row[2]), count_of(row[3]), count_of(row[4])};
}

std::string view_as_target(const std::string& table, const std::string& engine) {
  if (engine == "MaterializedView")
    return table +
           " is a materialized view: what is inserted into it goes past its SELECT, straight into "
           "the table behind it; name as `table` the table that it reads from";
  if (engine.ends_with("View"))
    return table + " is a view, into which nothing can be inserted; name as `table` a table";
  return "";
}

std::optional<bool> ask_granted(Client& client, const std::string& right,
                                const std::string& table) {
  try {
    const std::string answer = client.command("CHECK GRANT " + right + " ON " + quote_table(table));
    if (answer == "1" || answer == "0") return answer == "1";
    throw NetworkError(NetworkError::Kind::kProtocol,
                       "CHECK GRANT was answered with '" + answer.substr(0, 100) + "', not 0 or 1",
                       false);
  } catch (const ClickHouseError& error) {
    if (error.code() == kSyntaxError) return std::nullopt;  // servers before 24.10
    throw;
  }
}

Guarantee exactly_once_guarantee(const std::string& table, const TableFacts& facts, Rows rows) {
  if (facts.engine == "Distributed") {
    return {.text =
                "exactly_once does not hold: engine Distributed sends each shard its rows, and "
                "what one shard refuses the others have taken: at the first row that is "
                "refused the lane waits; write to a table of one shard"};
  }
  if (!facts.engine.ends_with("MergeTree")) {
    return {.text = "exactly_once does not hold: engine " + facts.engine +
                    " remembers no deduplication tokens; write into a MergeTree table"};
  }
  const bool replicated = is_replicated(facts);
  const std::string_view setting = replicated ? kReplicatedWindow : kPlainWindow;
  const std::uint64_t window = setting_in(facts.engine_full, setting)
                                   .value_or(replicated ? facts.replicated_window : facts.window);
  const std::string has = std::string(setting) + " is " + std::to_string(window);
  if (window == 0)
    return {.text = "exactly_once does not hold: " + has + "; " + remedy(table, setting)};
  Guarantee guarantee{.possible = true, .window = window};
  if (replicated) {
    guarantee.window_seconds =
        setting_in(facts.engine_full, kReplicatedSeconds).value_or(facts.replicated_window_seconds);
  }
  if (window < kLeastWindow) {
    guarantee.text = "exactly_once does not hold for long: " + has + " blocks, below " +
                     std::to_string(kLeastWindow) + "; " + remedy(table, setting);
    return guarantee;
  }
  guarantee.holds = replicated || (rows == Rows::kCanBeLookedFor && keeps_every_row(facts));
  if (guarantee.holds) {
    guarantee.text =
        "exactly_once: " + has +
        (replicated ? ""
                    : "; after a restart of ClickHouse rows in doubt are looked for by the columns "
                      "of topic, partition and offset");
    return guarantee;
  }
  guarantee.text = "exactly_once holds only while ClickHouse itself is not killed (" + has +
                   "): rows in flight then can come twice; use a Replicated engine";
  if (rows == Rows::kCanNotBeLookedFor && keeps_every_row(facts)) {
    guarantee.text +=
        ", or set columns.topic, columns.partition and columns.offset, by which rows are looked "
        "for";
  }
  return guarantee;
}

std::vector<std::pair<std::string, Guarantee>> exactly_once_guarantees(Client& client,
                                                                       const std::string& table,
                                                                       Rows rows) {
  std::vector<std::string> reached{table};
  try {
    for (std::string& target : ask_view_targets(client, table))
      reached.push_back(std::move(target));
  } catch (const ClickHouseError& error) {
    if (error.code() != kUnknownIdentifier) throw;  // servers before 26
  }
  std::vector<std::pair<std::string, Guarantee>> guarantees;
  for (const std::string& name : reached) {
    const auto facts = ask_table_facts(client, name);
    if (!facts) continue;
    if (name != table && facts->engine == "Null") continue;  // keeps no rows, so none twice
    guarantees.emplace_back(
        name, exactly_once_guarantee(name, *facts, name == table ? rows : Rows::kBehindAView));
  }
  return guarantees;
}

}  // namespace millrace
