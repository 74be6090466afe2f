#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "pipeline/guarantee.h"
#include "pipeline/sender.h"
#include "pipeline/setting_check.h"
#include "pipeline/table_sql.h"

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
    // The first message of a block is no header, even if it looks like one.
    {"input_format_csv_detect_header", "0", For::kParsed},
    {"input_format_tsv_detect_header", "0", For::kParsed},
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

bool applies(For use, const TableTarget& target, std::string_view format) {
  switch (use) {
    case For::kAll:
      break;
    case For::kParsed:
      return format != "Native";
    case For::kTimestamp:
      return !target.columns.timestamp.empty();
  }
  return true;
}

// The settings of an insert: ours as far as the server knows them, with the user's over them.
Settings merge(const std::set<std::string>& known, const Settings& wanted_by_user,
               const TableTarget& target, std::string_view format) {
  Settings result = wanted_by_user;
  for (const InsertSetting& setting : kInsertSettings) {
    if (!known.contains(setting.name) || !applies(setting.use, target, format)) continue;
    if (setting.fixed || !wanted_by_user.contains(setting.name)) {
      result[setting.name] = setting.value;
    }
  }
  if (result.contains("deduplicate_insert")) result.erase("insert_deduplicate");
  return result;
}

// Of two limits; 0 is none.
std::uint64_t smaller(std::uint64_t one, std::uint64_t other) {
  return one == 0 || other == 0 ? std::max(one, other) : std::min(one, other);
}

class ClickHouseSender final : public BlockSender {
 public:
  ClickHouseSender(ClientOptions options, Settings insert_settings, EndpointList& endpoints,
                   HttpSessionPool& pool)
      : client_(options, endpoints, pool),
        bare_client_(without_settings(std::move(options)), endpoints, pool),
        user_settings_(std::move(insert_settings)) {}

  QuerySummary send(const TableTarget& target, const std::string& token,
                    const EncodedBody& body) override {
    if (target.delivery != Delivery::kAtLeastOnce) expect_guarantee(target);
    InsertOptions options;
    options.format = body.format;
    options.columns.assign(body.columns.begin(), body.columns.end());
    options.settings = merge(known(), user_settings_, target, body.format);
    options.deduplication_token = token;
    options.compression = body.compression;
    if (!body.traceparent.empty()) options.headers["traceparent"] = body.traceparent;
    try {
      return client_.raw_insert(target.table, body.pieces, options);
    } catch (const ClickHouseError& error) {
      // The servers behind the endpoints may differ in version, or this one was replaced.
      if (error.code() == kUnknownSetting) known_.reset();
      if (is_setting_refusal(error.code())) throw settings_refused(error, options.settings);
      if (error.disposition() == Disposition::kWait) throw_if_view(target, error);
      throw;
    }
  }

  void probe(const TableTarget& target) override {
    client_.describe_table(target.table);
    memory_.erase(target.table);  // it may be another table now
  }

  EncodeFacts encode_facts(const TableTarget& target) override {
    const Settings settings = merge(known(), user_settings_, target, target.format);
    try {
      return ask_encode_facts(client_, target.table, settings);
    } catch (const ClickHouseError& error) {
      if (is_setting_refusal(error.code())) throw settings_refused(error, settings);
      throw;
    }
  }

  RepeatProof repeat_proof(const TableTarget& target, SteadyTime then) override {
    return ask_repeat_proof(client_, target, then);
  }
  RowsByOffset rows_of_records(const TableTarget& target, const LaneId& lane, Cut range,
                               std::optional<SteadyTime> since) override {
    return ask_rows_of_records(client_, target, lane, range, since);
  }
  bool may_have_forgotten(const TableTarget& target, SteadyTime then) override {
    if (target.delivery == Delivery::kAtLeastOnce) return false;
    expect_guarantee(target);
    const auto found = memory_.find(target.table);
    return found != memory_.end() &&
           may_be_forgotten(found->second, ask_inserts_since(client_, target.table, then));
  }

  std::string session_id() const override { return client_.session_id(); }

 private:
  static ClientOptions without_settings(ClientOptions options) {
    options.settings.clear();
    options.session_policy = ClickHouseSessionPolicy::kNone;
    return options;
  }

  // The server names one of them; whoever has to change a profile wants to know all.
  TransportError settings_refused(const ClickHouseError& error, Settings sent) {
    for (const auto& [name, value] : client_.options().settings) sent.try_emplace(name, value);
    const auto refused = ask_refused_settings(bare_client_, sent);
    const std::string all =
        refused.empty() ? "" : "; all that this user may not change so: " + setting_list(refused);
    return {error.what() + all,
            Disposition::kWait,
            false,
            {.code = error.code(), .name = error.details().name}};
  }

  // In words, where the error speaks of a storage or a column.
  void throw_if_view(const TableTarget& target, const ClickHouseError& error) {
    std::string words;
    try {
      if (const auto facts = ask_table_facts(client_, target.table))
        words = view_as_target(target.table, facts->engine);
    } catch (const TransportError&) {
      return;  // the first error says enough
    }
    if (words.empty()) return;
    throw TransportError(words + ": " + error.what(), Disposition::kWait, false,
                         {.code = error.code(), .name = error.details().name});
  }

  // Asked once for each table. With `delivery: exactly_once` nothing is sent to one that would not
  // recognise a repeat.
  void expect_guarantee(const TableTarget& target) {
    const std::string& table = target.table;
    if (memory_.contains(table)) return;
    const auto guarantees = exactly_once_guarantees(
        client_, table,
        target.columns.name_records() ? Rows::kCanBeLookedFor : Rows::kCanNotBeLookedFor);
    // A table that is missing may come as another one.
    if (guarantees.empty() || guarantees.front().first != table) return;
    TableMemory memory;
    GuaranteeNote::Value note{true, guarantees.front().second.text};
    for (const auto& [name, guarantee] : guarantees) {
      const std::string text =
          (name == table ? "" : "by a view into " + name + ": ") + guarantee.text;
      if (!guarantee.possible && target.delivery == Delivery::kExactlyOnce) {
        throw TransportError("table " + table + ": " + text, Disposition::kWait, false,
                             {.name = "NOT_EXACTLY_ONCE"});
      }
      if (!guarantee.holds && note.holds) note = {false, text};
      memory.inserts = smaller(memory.inserts, guarantee.window);
      memory.seconds = smaller(memory.seconds, guarantee.window_seconds);
    }
    target.stats->guarantee.set(std::move(note));
    memory_.emplace(table, memory);
  }

  const std::set<std::string>& known() {
    if (known_) return *known_;
    QueryOptions options;
    options.format = "TabSeparated";
    const std::string names = client_.raw_query(known_settings_query(), options);
    auto found = answer_lines(names);
    return known_.emplace(std::make_move_iterator(found.begin()),
                          std::make_move_iterator(found.end()));
  }

  Client client_;
  Client bare_client_;  // sends no settings of its own
  const Settings user_settings_;
  // Of each table and those behind its views, as far as asked.
  std::map<std::string, TableMemory> memory_;
  std::optional<std::set<std::string>> known_;  // names that the server knows; not asked yet
};

}  // namespace

Settings all_insert_settings(const Settings& wanted_by_user) {
  Settings all = wanted_by_user;
  for (const InsertSetting& setting : kInsertSettings) {
    if (setting.fixed || !wanted_by_user.contains(setting.name)) all[setting.name] = setting.value;
  }
  all["insert_deduplication_token"] = "millrace-check";
  return all;
}

std::unique_ptr<BlockSender> make_clickhouse_sender(ClientOptions options, Settings insert_settings,
                                                    EndpointList& endpoints,
                                                    HttpSessionPool& pool) {
  return std::make_unique<ClickHouseSender>(std::move(options), std::move(insert_settings),
                                            endpoints, pool);
}

}  // namespace millrace
