#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "pipeline/advice.h"
#include "pipeline/failure.h"
#include "pipeline/guarantee.h"
#include "pipeline/insert_settings.h"
#include "pipeline/question.h"
#include "pipeline/refusal.h"
#include "pipeline/setting_check.h"
#include "service/commands/commands.h"
#include "service/config_value.h"
#include "service/dead_letters/archive.h"
#include "service/sources/kafka_check.h"
#include "transport/client.h"

namespace millrace {
namespace {

// A table of the configuration: which pipeline writes it, and which columns it must have.
struct WantedTable {
  std::string pipeline;
  std::set<std::string> columns;
  Delivery delivery = Delivery::kAtLeastOnce;  // the strictest of its pipelines
  Rows rows = Rows::kCanNotBeLookedFor;
};

// Prints the findings and remembers whether one was bad. Owned by one thread.
class Findings {
 public:
  explicit Findings(std::ostream& out) : out_(out) {}
  void ok(const std::string& what) { print("ok  ", what); }
  void fail(const std::string& what) {
    failed_ = true;
    print("FAIL", what);
  }
  // Works, but not as most would expect.
  void warn(const std::string& what) { print("WARN", what); }
  bool failed() const { return failed_; }

 private:
  void print(const char* verdict, std::string what) {
    std::replace(what.begin(), what.end(), '\n', ' ');
    out_ << verdict << "  " << what << std::endl;
  }
  std::ostream& out_;
  bool failed_ = false;
};

std::map<std::string, WantedTable> wanted_tables(const Config& config) {
  std::map<std::string, WantedTable> tables;
  for (const PipelineConfig& pipeline : config.pipelines) {
    std::set<std::string> names;
    for (const auto& [topic, table] : pipeline.tables) names.insert(table);
    for (const std::string& topic : pipeline.kafka.topics) {
      // What a pattern without `table` will find is not known now.
      if (!topic.starts_with('^') || !pipeline.table.empty())
        names.insert(pipeline.table_of(topic));
    }
    for (const std::string& name : names) {
      WantedTable& table = tables[name];
      table.pipeline = pipeline.name;
      if (table.delivery != Delivery::kExactlyOnce &&
          pipeline.kafka.delivery != Delivery::kAtLeastOnce)
        table.delivery = pipeline.kafka.delivery;
      if (pipeline.columns.name_records()) table.rows = Rows::kCanBeLookedFor;
      const MetadataColumns& columns = pipeline.columns;
      for (const std::string* column :
           {&columns.topic, &columns.partition, &columns.offset, &columns.timestamp, &columns.key,
            &columns.headers, &columns.deleted})
        if (!column->empty()) table.columns.insert(*column);
    }
  }
  return tables;
}

// What an operator can do about it, by the one table of advice.
std::string advice(const TransportError& error, const std::string& table) {
  return "; " + remedy_for(describe_failure(error), table);
}

void check_granted(Client& client, const std::string& subject, const std::string& table,
                   const Config& config, Findings& findings) {
  if (ask_granted(client, "INSERT", table).value_or(true)) return;
  findings.fail(subject + ": INSERT is not granted; GRANT INSERT ON " + table + " TO " +
                config.clickhouse.client.user);
}

// Each request carries settings; a profile may forbid some. Those of ours that this server does not
// know are not sent to it.
void check_settings(Client& client, const std::string& place, const Config& config,
                    Findings& findings) {
  const Settings ours = all_insert_settings({});
  Settings all = all_insert_settings(config.clickhouse.insert_settings);
  for (const auto& [name, value] : config.clickhouse.client.settings) all.try_emplace(name, value);
  std::vector<SettingRefusal> forbidden, unknown;
  for (SettingRefusal& each : ask_refused_settings(client, all)) {
    if (is_setting_refusal(each.code))
      forbidden.push_back(std::move(each));
    else if (!ours.contains(each.name))
      unknown.push_back(std::move(each));
  }
  const std::string& user = config.clickhouse.client.user;
  if (!forbidden.empty())
    findings.fail(place + ": user " + user +
                  " may not change settings that millrace sends: " + setting_list(forbidden) +
                  "; take their constraints (const, readonly, min, max) out of its profile, or set "
                  "clickhouse.user to another user (" +
                  forbidden.front().words + ")");
  if (!unknown.empty())
    findings.fail(place + ": this server does not know " + setting_list(unknown) +
                  "; correct clickhouse.settings and clickhouse.insert_settings");
}

// Only what was asked for is a fault where it does not hold.
void check_guarantee(Client& client, const std::string& subject, const std::string& table,
                     const WantedTable& wanted, Findings& findings) {
  if (wanted.delivery == Delivery::kAtLeastOnce) return;
  for (const auto& [name, guarantee] : exactly_once_guarantees(client, table, wanted.rows)) {
    const std::string what = subject + (name == table ? "" : ", by a view into " + name);
    if (guarantee.holds)
      findings.ok(what + ": " + guarantee.text);
    else if (wanted.delivery == Delivery::kExactlyOnce)
      findings.fail(what + ": " + guarantee.text);
    else
      findings.ok(what + ": at_least_once: " + guarantee.text);
  }
}

// Whether a record that is refused can become a dead letter by itself.
void check_refusals(Client& client, const std::string& subject, const std::string& table,
                    Findings& findings) {
  const RefusalFacts facts = ask_refusal_facts(client, table);
  const std::string why = why_it_keeps_parts(facts);
  if (!why.empty()) {
    findings.warn(subject +
                  ": the first record that is refused stops its lane until somebody acts, instead "
                  "of becoming a dead letter: " +
                  why);
  }
  if (shards_at_random(facts)) {
    findings.warn(subject +
                  ": its sharding key is another one each time, so that a block that is sent again "
                  "goes without a deduplication token, and its rows can be there twice; shard by a "
                  "hash of columns");
  }
}

// Dead letters must find their place when the first one comes, perhaps at night.
void check_dead_letter_table(Client& client, const std::string& place,
                             const PipelineConfig& pipeline, const Config& config,
                             Findings& findings) {
  if (pipeline.dead_letters.store != DeadLettersIn::kClickHouse) return;
  const std::string& table = pipeline.dead_letters.table;
  const std::string subject = place + ": dead letters in table " + table;
  try {
    if (ask_table_facts(client, table)) {
      check_granted(client, subject, table, config, findings);
    } else if (!ask_granted(client, "CREATE TABLE, INSERT", table).value_or(true)) {
      findings.fail(subject + ": it is missing and can't be made; GRANT CREATE TABLE, INSERT ON " +
                    table + " TO " + config.clickhouse.client.user);
    }
  } catch (const TransportError& error) {
    findings.fail(subject + ": " + error.what() + advice(error, table));
  }
}

void check_table(Client& client, const std::string& place, const std::string& name,
                 const WantedTable& wanted, const Config& config, Findings& findings) {
  const std::string subject = place + ": table " + name;
  try {
    std::set<std::string> missing = wanted.columns;
    const std::vector<ColumnDescription> columns = ask_columns(client, name);
    for (const ColumnDescription& column : columns) missing.erase(column.name);
    if (!missing.empty())
      findings.fail(subject + " lacks " + join(missing) +
                    "; add what is missing, or correct `columns` of pipeline " + wanted.pipeline);
    else
      findings.ok(subject + ", " + std::to_string(columns.size()) + " columns");
    if (const auto facts = ask_table_facts(client, name)) {
      const std::string words = view_as_target(name, facts->engine);
      if (!words.empty())
        findings.fail(place + ": " + words + " (pipeline " + wanted.pipeline + ")");
    }
    check_granted(client, subject, name, config, findings);
    check_guarantee(client, subject, name, wanted, findings);
    check_refusals(client, subject, name, findings);
  } catch (const TransportError& error) {
    findings.fail(subject + ": " + error.what() + advice(error, name));
  }
}

void check_endpoint(const Config& config, const Endpoint& endpoint,
                    std::chrono::milliseconds patience, Findings& findings) {
  HttpSessionPoolOptions pool_options = config.clickhouse.pool;
  pool_options.connect_timeout = std::min(pool_options.connect_timeout, patience);
  HttpSessionPool pool(pool_options);
  EndpointList endpoints({endpoint});
  ClientOptions options = config.clickhouse.client;
  options.request_timeout = std::min(options.request_timeout, patience);
  const std::string place = "clickhouse " + endpoint.to_string();
  Client client(options, endpoints, pool);
  options.settings.clear();
  Client bare_client(options, endpoints, pool);
  try {
    client.ping();
    check_settings(bare_client, place, config, findings);
    findings.ok(place + ": version " + ask_row(client, "SELECT version()", 1).front());
  } catch (const TransportError& error) {
    findings.fail(place + ": " + error.what() + advice(error, ""));
    return;
  }
  for (const auto& [name, wanted] : wanted_tables(config))
    check_table(client, place, name, wanted, config, findings);
  for (const PipelineConfig& pipeline : config.pipelines)
    check_dead_letter_table(client, place, pipeline, config, findings);
}

// As above, of those that are not kept in ClickHouse. A topic that the broker would make by itself
// is missed, too: it would keep the letters for as long as any other topic.
void check_dead_letters(const PipelineConfig& pipeline, std::chrono::milliseconds patience,
                        Findings& findings) {
  const DeadLettersConfig& letters = pipeline.dead_letters;
  const std::string subject = "pipeline " + pipeline.name + ": dead letters: ";
  if (letters.store == DeadLettersIn::kFile) {
    const std::string fault = file_archive_fault(letters.file);
    if (fault.empty())
      findings.ok(subject + "file " + letters.file);
    else
      findings.fail(subject + fault + "; mend that, or set dead_letters.file to another place");
  } else if (letters.store == DeadLettersIn::kKafka) {
    KafkaSourceOptions source = pipeline.kafka;
    source.topics = {letters.topic};
    const std::vector<std::string> faults = check_kafka(source, patience);
    for (const std::string& fault : faults) findings.fail(subject + fault);
    if (faults.empty()) findings.ok(subject + "topic " + letters.topic);
  }
}

void check_source(const PipelineConfig& pipeline, std::chrono::milliseconds patience,
                  Findings& findings) {
  const std::string subject = "pipeline " + pipeline.name + ": kafka: ";
  const std::vector<std::string> faults = check_kafka(pipeline.kafka, patience);
  for (const std::string& fault : faults) findings.fail(subject + fault);
  if (faults.empty())
    findings.ok(subject + pipeline.kafka.brokers + ", topics " + join(pipeline.kafka.topics));
}

}  // namespace

ExitCode check_service(const Config& config, std::chrono::milliseconds patience,
                       std::ostream& out) {
  Findings findings(out);
  for (const Endpoint& endpoint : config.clickhouse.endpoints)
    check_endpoint(config, endpoint, patience, findings);
  for (const PipelineConfig& pipeline : config.pipelines)
    check_source(pipeline, patience, findings);
  for (const PipelineConfig& pipeline : config.pipelines)
    check_dead_letters(pipeline, patience, findings);
  return findings.failed() ? ExitCode::kFailure : ExitCode::kOk;
}

}  // namespace millrace
