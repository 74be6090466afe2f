#include "service/commands/preflight.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

constexpr std::string_view kPlainWindow = "non_replicated_deduplication_window";
constexpr std::string_view kReplicatedWindow = "replicated_deduplication_window";
// Blocks (times partitions of the table) between the first try and the last one of a block: ten
// minutes of ten blocks a second, and some more.
constexpr std::uint64_t kLeastWindow = 10'000;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

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

std::string remedy(const std::string& table, std::string_view setting) {
  return "ALTER TABLE " + table + " MODIFY SETTING " + std::string(setting) + " = 100000";
}

}  // namespace

std::optional<TableFacts> ask_table_facts(Client& client, const std::string& table) {
  const auto dot = table.find('.');
  const bool qualified = dot != std::string::npos;
  // Lines: no value here has one of its own.
  const std::string answer = client.raw_query(
      "SELECT arrayJoin([engine, replaceAll(engine_full, '\\n', ' '), "
      "(SELECT value FROM system.merge_tree_settings "
      "WHERE name = 'non_replicated_deduplication_window'), "
      "(SELECT value FROM system.merge_tree_settings "
      "WHERE name = 'replicated_deduplication_window')]) FROM system.tables "
      "WHERE database = if({database:String} = '', currentDatabase(), {database:String}) "
      "AND name = {table:String}",
      {.format = "TabSeparatedRaw",
       .parameters = Named{{"database", qualified ? table.substr(0, dot) : std::string()},
                           {"table", qualified ? table.substr(dot + 1) : table}}});
  const std::vector<std::string> lines = split_lines(answer);
  if (lines.size() != 4) return std::nullopt;
  return TableFacts{lines[0], lines[1], to_number(lines[2]), to_number(lines[3])};
}

Guarantee exactly_once_guarantee(const std::string& table, const TableFacts& facts) {
  const std::string_view engine = facts.engine;
  if (!engine.ends_with("MergeTree")) {
    return {false, "exactly_once does not hold: engine " + facts.engine +
                       " remembers no deduplication tokens; write into a MergeTree table, or use "
                       "`delivery: at_least_once`"};
  }
  const bool replicated = engine.starts_with("Replicated") || engine.starts_with("Shared");
  const std::string_view setting = replicated ? kReplicatedWindow : kPlainWindow;
  const std::uint64_t window = setting_in(facts.engine_full, setting)
                                   .value_or(replicated ? facts.replicated_window : facts.window);
  const std::string has = std::string(setting) + " is " + std::to_string(window);
  if (window == 0) {
    return {false, "exactly_once does not hold: " + has + "; " + remedy(table, setting)};
  }
  if (window < kLeastWindow) {
    return {false, "exactly_once does not hold for long: " + has + " blocks, below " +
                       std::to_string(kLeastWindow) + "; " + remedy(table, setting)};
  }
  if (replicated) return {true, "exactly_once: " + has};
  return {true, "exactly_once, " + has +
                    "; rows can come twice when ClickHouse itself is killed: a Replicated engine "
                    "would close that, too"};
}

}  // namespace millrace
