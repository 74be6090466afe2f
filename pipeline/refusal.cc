#include "pipeline/refusal.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "pipeline/block_split.h"
#include "pipeline/question.h"
#include "pipeline/table_sql.h"

namespace millrace {
namespace {

constexpr int kTooManyParts = 252;

// Of the arguments of an engine, the first: a text in quotes, or up to the next comma.
std::string take_argument(std::string_view& rest) {
  std::string argument;
  int depth = 0;
  bool quoted = false;
  while (!rest.empty()) {
    const char c = rest.front();
    if (!quoted && depth == 0 && (c == ',' || c == ')')) break;
    rest.remove_prefix(1);
    if (c == '\\' && quoted && !rest.empty()) {
      argument += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    if (c == '\'') quoted = !quoted;
    if (!quoted) depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c != '\'' || depth > 0) argument += c;
  }
  if (rest.starts_with(',')) rest.remove_prefix(1);  // a ')' ends all of them
  const auto first = argument.find_first_not_of(' ');
  return first == std::string::npos ? "" : argument.substr(first);
}

// The tables behind a Distributed one. None where the server does not tell.
std::vector<std::string> ask_shards(Client& client, const DistributedEngine& engine) {
  const std::string sql =
      "SELECT concat('shard ', toString(shard_num), ': ', if({database:String} != '', "
      "{database:String}, if(any(default_database) != '', any(default_database), "
      "currentDatabase())), '.', {table:String}, ' on ', arrayStringConcat(groupArray("
      "concat(host_name, ':', toString(port))), ' and ')) FROM system.clusters "
      "WHERE cluster = {cluster:String} GROUP BY shard_num ORDER BY shard_num";
  Named parameters{
      {"cluster", engine.cluster}, {"database", engine.database}, {"table", engine.table}};
  try {
    std::vector<std::string> shards;
    for (AnswerRow& row :
         ask_rows(client, sql, 1, {.parameters = Parameters(std::move(parameters))}))
      shards.push_back(std::move(row[0]));
    return shards;
  } catch (const ClickHouseError&) {
    return {};  // the operator then has to know
  }
}

std::string list_some(const std::vector<std::string>& shards) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, shards.size()); ++i)
    text += (text.empty() ? "" : "; ") + shards[i];
  return shards.size() > kMost ? text + "; …" : text;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Whether the expression calls a function whose value is another one each time.
bool calls_random(std::string_view expression) {
  constexpr std::array<std::string_view, 4> kOtherEachTime{"rand", "now", "generate", "fuzz"};
  for (std::size_t at = expression.find('('); at != std::string_view::npos;
       at = expression.find('(', at + 1)) {
    std::size_t first = at;
    while (first > 0 && is_word(expression[first - 1])) --first;
    const std::string_view name = expression.substr(first, at - first);
    if (std::any_of(kOtherEachTime.begin(), kOtherEachTime.end(),
                    [&](std::string_view start) { return name.starts_with(start); }))
      return true;
  }
  return false;
}

// Which of these a refusal is: found before any part is written, or perhaps by an expression that
// is computed for each part. What parsing and constraints refuse names its row.
bool refused_before_writing(const TransportError& refusal) {
  const auto* answer = dynamic_cast<const ClickHouseError*>(&refusal);
  return refusal.code() == kTooManyParts ||
         (answer != nullptr && named_row(answer->message()) != 0);
}

}  // namespace

RefusalFacts ask_refusal_facts(Client& client, const std::string& table) {
  const std::vector<AnswerRow> rows =
      ask_rows(client,
               "SELECT engine, replaceAll(engine_full, '\\n', ' '), "
               "partition_key != '' AND (position(sorting_key, '(') > 0 OR "
               "match(create_table_query, '\\\\b(INDEX|PROJECTION|TTL)\\\\b')) "
               "FROM system.tables WHERE " +
                   is_table(),
               3, {.parameters = table_parameters(table)});
  if (rows.empty()) return {};
  RefusalFacts facts{rows[0][0], rows[0][1], rows[0][2] == "1", {}};
  if (const auto engine = parse_distributed(facts.engine_full))
    facts.shards = ask_shards(client, *engine);
  return facts;
}

std::string why_it_keeps_parts(const RefusalFacts& facts) {
  constexpr std::array<std::string_view, 5> kWhole{"Log", "Memory", "Null", "StripeLog", "TinyLog"};
  if (facts.engine.ends_with("MergeTree") ||
      std::find(kWhole.begin(), kWhole.end(), facts.engine) != kWhole.end())
    return "";
  if (facts.engine == "Distributed") {
    return "engine Distributed sends each shard its rows, and what one shard refuses the others "
           "have taken; write to a table of one shard instead" +
           (facts.shards.empty() ? "" : " (" + list_some(facts.shards) + ")");
  }
  if (facts.engine.empty()) return "its engine is not known; our user may not see it";
  return "engine " + facts.engine +
         " may keep a part of what it refuses; write to the MergeTree table behind it instead";
}

std::string why_part_may_be_in(const RefusalFacts& facts, const TransportError& refusal) {
  std::string why = why_it_keeps_parts(facts);
  if (why.empty() && facts.computes_by_part && !refused_before_writing(refusal)) {
    why =
        "the table is partitioned, and an index, a projection, the sorting key or a TTL can refuse "
        "a row when rows of other partitions are in";
  }
  return why;
}

std::optional<DistributedEngine> parse_distributed(std::string_view engine_full) {
  constexpr std::string_view kName = "Distributed(";
  if (!engine_full.starts_with(kName)) return std::nullopt;
  engine_full.remove_prefix(kName.size());
  DistributedEngine engine;
  for (std::string* part : {&engine.cluster, &engine.database, &engine.table, &engine.sharding_key})
    *part = take_argument(engine_full);
  return engine;
}

bool shards_at_random(const RefusalFacts& facts) {
  const auto engine = parse_distributed(facts.engine_full);
  if (!engine || facts.shards.size() == 1) return false;
  // Without a key: insert_distributed_one_random_shard.
  return engine->sharding_key.empty() || calls_random(engine->sharding_key);
}

}  // namespace millrace
