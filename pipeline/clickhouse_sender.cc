#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "pipeline/guarantee.h"
#include "pipeline/sender.h"

namespace millrace {
namespace {

// What every insert says explicitly, so that no profile of the server decides it. A server is sent
// only those that it knows: an unknown setting is error 115.
enum class For {
  kAll,
  kParsed,     // all formats but Native
  kTimestamp,  // the timestamp column, which is spliced in as ISO 8601
};
struct InsertSetting {
  const char* name;
  const char* value;
  For use = For::kAll;
  bool fixed = false;  // a repeat would not be recognisable otherwise: the user can't change it
};
constexpr InsertSetting kInsertSettings[] = {
    {"async_insert", "0", For::kAll, true},
    // Two names of one thing; servers before 26 know the second only, and one is sent.
    {"deduplicate_insert", "enable", For::kAll, true},
    {"insert_deduplicate", "1", For::kAll, true},
    {"deduplicate_blocks_in_dependent_materialized_views", "1"},
    {"materialized_views_ignore_errors", "0"},
    {"distributed_foreground_insert", "1"},
    // One body is one chunk, today and in a repeat: the server counts chunks into the identity.
    {"use_strict_insert_block_limits", "0", For::kAll, true},
    {"max_insert_threads", "1", For::kAll, true},
    {"input_format_parallel_parsing", "0", For::kParsed, true},
    {"max_insert_block_size", "100000000", For::kAll, true},
    {"min_insert_block_size_rows", "100000000", For::kAll, true},
    {"max_insert_block_size_bytes", "0", For::kAll, true},
    {"min_insert_block_size_bytes", "0", For::kAll, true},
    // Rows that do not parse are an error, never skipped in silence.
    {"input_format_allow_errors_num", "0", For::kParsed},
    {"input_format_allow_errors_ratio", "0", For::kParsed},
    // A value without a column is an error, too, unless the user says otherwise.
    {"input_format_skip_unknown_fields", "0", For::kParsed},
    {"date_time_input_format", "best_effort", For::kTimestamp},
};
constexpr int kUnknownSetting = 115;

std::string known_settings_query() {
  std::string sql = "SELECT name FROM system.settings WHERE name IN (";
  for (const InsertSetting& setting : kInsertSettings) {
    if (sql.back() != '(') sql += ", ";
    sql += std::string("'") + setting.name + "'";
  }
  return sql + ")";
}

bool applies(For use, const TableTarget& target) {
  switch (use) {
    case For::kAll:
      break;
    case For::kParsed:
      return target.format != "Native";
    case For::kTimestamp:
      return !target.columns.timestamp.empty();
  }
  return true;
}

// The settings of an insert: ours as far as the server knows them, with the user's over them.
Settings merge(const std::set<std::string>& known, const Settings& wanted_by_user,
               const TableTarget& target) {
  Settings result = wanted_by_user;
  for (const InsertSetting& setting : kInsertSettings) {
    if (!known.contains(setting.name) || !applies(setting.use, target)) continue;
    if (setting.fixed || !wanted_by_user.contains(setting.name)) {
      result[setting.name] = setting.value;
    }
  }
  if (result.contains("deduplicate_insert")) result.erase("insert_deduplicate");
  return result;
}

std::string quote_string(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

// `name` or `database.name` as the SQL tuple (database, name).
std::string name_tuple(std::string_view table) {
  const std::size_t dot = table.find('.');
  if (dot == std::string_view::npos) return "(currentDatabase(), " + quote_string(table) + ")";
  return "(" + quote_string(table.substr(0, dot)) + ", " + quote_string(table.substr(dot + 1)) +
         ")";
}

class ClickHouseSender final : public BlockSender {
 public:
  ClickHouseSender(ClientOptions options, Settings insert_settings, EndpointList& endpoints,
                   HttpSessionPool& pool)
      : client_(std::move(options), endpoints, pool), user_settings_(std::move(insert_settings)) {}

  QuerySummary send(const TableTarget& target, const std::string& token, BodyPieces body) override {
    if (target.exactly_once && !guaranteed_.contains(target.table)) expect_guarantee(target.table);
    InsertOptions options;
    options.format = target.format;
    options.settings = merge(known(), user_settings_, target);
    options.deduplication_token = token;
    try {
      return client_.raw_insert(target.table, body, options);
    } catch (const ClickHouseError& error) {
      // The servers behind the endpoints may differ in version, or this one was replaced.
      if (error.code() == kUnknownSetting) known_.reset();
      throw;
    }
  }

  void probe(const TableTarget& target) override {
    client_.describe_table(target.table);
    guaranteed_.erase(target.table);  // it may be another table now
  }

  // Plain MergeTree writes its deduplication log before the part gets its name: a server that was
  // killed in between knows the token and has no rows. Replicated tables do both in one step.
  bool may_swallow_repeat(const TableTarget& target, SteadyTime then) override {
    const std::string answer = client_.raw_query(
        "SELECT uptime(), engine LIKE 'Replicated%' OR engine LIKE 'Shared%' FROM system.tables "
        "WHERE (database, name) = " +
            name_tuple(target.table),
        {.format = "TabSeparated"});
    const std::size_t tab = answer.find('\t');
    if (tab == std::string::npos) return false;  // no such table: the insert will say so
    if (answer.compare(tab + 1, 1, "1") == 0) return false;
    // Whole seconds, rounded down: a server that is in doubt counts as restarted.
    const std::chrono::seconds uptime(std::stoll(answer.substr(0, tab)));
    return uptime <= std::chrono::steady_clock::now() - then + std::chrono::seconds(1);
  }

  std::string session_id() const override { return client_.session_id(); }

 private:
  // Asked once for each table: nothing is sent to one that would not recognise a repeat.
  void expect_guarantee(const std::string& table) {
    const auto guarantees = exactly_once_guarantees(client_, table);
    for (const auto& [name, guarantee] : guarantees) {
      if (guarantee.possible) continue;
      throw TransportError("table " + table + (name == table ? "" : ", by a view into " + name) +
                               ": " + guarantee.text,
                           Disposition::kWait, false, {.name = "NOT_EXACTLY_ONCE"});
    }
    // A table that is missing may come as another one.
    if (!guarantees.empty() && guarantees.front().first == table) guaranteed_.insert(table);
  }

  const std::set<std::string>& known() {
    if (known_) return *known_;
    QueryOptions options;
    options.format = "TabSeparated";
    const std::string names = client_.raw_query(known_settings_query(), options);
    std::set<std::string> found;
    for (std::size_t at = 0; at < names.size();) {
      const std::size_t end = std::min(names.find('\n', at), names.size());
      found.insert(names.substr(at, end - at));
      at = end + 1;
    }
    return known_.emplace(std::move(found));
  }

  Client client_;
  const Settings user_settings_;
  std::set<std::string> guaranteed_;            // tables, of those for exactly once
  std::optional<std::set<std::string>> known_;  // names that the server knows; not asked yet
};

}  // namespace

std::unique_ptr<BlockSender> make_clickhouse_sender(ClientOptions options, Settings insert_settings,
                                                    EndpointList& endpoints,
                                                    HttpSessionPool& pool) {
  return std::make_unique<ClickHouseSender>(std::move(options), std::move(insert_settings),
                                            endpoints, pool);
}

}  // namespace millrace
