#include "service/config_checks.h"

#include <regex.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "service/config_value.h"
#include "service/shared_topics.h"
#include "service/sources/kafka_check.h"
#include "service/sources/kafka_dead_letters.h"
#include "transport/error.h"
#include "transport/tls.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

// A name that the file must not set, and why.
struct Reserved {
  std::string_view name, why;
};

constexpr int kMostLz4Level = 12;
constexpr std::string_view kMillraceSets = "millrace sets it, so that no row is lost or doubled";
constexpr std::string_view kMillraceSpeaks = "millrace sets it to understand the answer";
constexpr std::string_view kDropsRows = "it makes ClickHouse drop rows without a word";

// https://github.com/confluentinc/librdkafka/blob/v2.0.2/CONFIGURATION.md
constexpr std::array kReservedKafkaOptions{
    Reserved{"bootstrap.servers", "use source.kafka.brokers"},
    Reserved{"metadata.broker.list", "use source.kafka.brokers"},
    Reserved{"group.id", "use source.kafka.group"},
    Reserved{"auto.offset.reset", "use source.kafka.start_offset"},
    Reserved{"partition.assignment.strategy", "use source.kafka.assignment"},
    Reserved{"queued.max.messages.kbytes", "use source.kafka.prefetch"},
    Reserved{"auto.commit.interval.ms", "use source.kafka.commit_interval"},
    Reserved{"enable.auto.commit", "offsets are committed only when their rows are in ClickHouse"},
    Reserved{"auto.commit.enable", "offsets are committed only when their rows are in ClickHouse"},
    Reserved{"enable.auto.offset.store",
             "offsets are committed only when their rows are in ClickHouse"},
    Reserved{"enable.partition.eof", kMillraceSets}};

constexpr std::array kReservedRequestSettings{
    Reserved{"query", kMillraceSpeaks},
    Reserved{"query_id", kMillraceSpeaks},
    Reserved{"user", "use clickhouse.user"},
    Reserved{"password", "use clickhouse.password"},
    Reserved{"database", "use clickhouse.database"},
    Reserved{"session_id", "use clickhouse.session.policy"},
    Reserved{"session_timeout", "use clickhouse.session.timeout"},
    Reserved{"session_check", "use clickhouse.session.policy"},
    Reserved{"close_session", "use clickhouse.session.policy"},
    Reserved{"default_format", kMillraceSpeaks},
    Reserved{"compress", kMillraceSpeaks},
    Reserved{"decompress", kMillraceSpeaks},
    Reserved{"enable_http_compression", kMillraceSpeaks},
    Reserved{"buffer_size", kMillraceSpeaks},
    Reserved{"wait_end_of_query", kMillraceSpeaks},
    Reserved{"stacktrace", kMillraceSpeaks},
    Reserved{"http_response_buffer_size", kMillraceSpeaks},
    Reserved{"http_response_headers", "use clickhouse.proof_header"},
    Reserved{"http_wait_end_of_query", kMillraceSpeaks},
    Reserved{"http_write_exception_in_output_format", kMillraceSpeaks},
    Reserved{"send_progress_in_http_headers", kMillraceSpeaks}};

constexpr std::array kReservedInsertSettings{
    Reserved{"async_insert", kMillraceSets},
    Reserved{"wait_for_async_insert", kMillraceSets},
    Reserved{"async_insert_deduplicate", kMillraceSets},
    Reserved{"insert_deduplicate", kMillraceSets},
    Reserved{"deduplicate_insert", kMillraceSets},
    Reserved{"insert_deduplication_token", kMillraceSets},
    Reserved{"deduplicate_blocks_in_dependent_materialized_views", kMillraceSets},
    Reserved{"materialized_views_ignore_errors", "rows would be missing in views without a word"},
    Reserved{"use_strict_insert_block_limits", kMillraceSets},
    Reserved{"max_insert_threads", kMillraceSets},
    Reserved{"max_insert_block_size", kMillraceSets},
    Reserved{"max_insert_block_size_bytes", kMillraceSets},
    Reserved{"min_insert_block_size_rows", kMillraceSets},
    Reserved{"min_insert_block_size_bytes", kMillraceSets},
    Reserved{"input_format_parallel_parsing", kMillraceSets},
    Reserved{"input_format_allow_errors_num", kDropsRows},
    Reserved{"input_format_allow_errors_ratio", kDropsRows}};

template <class Map, std::size_t N>
void refuse_reserved(const Map& given, const std::array<Reserved, N>& reserved,
                     const std::string& path, ConfigFaults& faults) {
  for (const Reserved& each : reserved) {
    if (given.find(std::string(each.name)) == given.end()) continue;
    const std::string full = path + "." + std::string(each.name);
    faults.add(full, "must not be set: " + std::string(each.why));
  }
}

// What a request carries of ClickHouse's settings.
void check_settings(const Settings& settings, const std::string& path, ConfigFaults& faults) {
  refuse_reserved(settings, kReservedRequestSettings, path, faults);
  refuse_reserved(settings, kReservedInsertSettings, path, faults);
  const std::string prefix = path + ".";
  for (const auto& [name, value] : settings) {
    if (name.starts_with("param_"))
      faults.add(prefix + name, "must not be set: it is a parameter of a query, not a setting");
  }
}

void check_tls_files(const TlsOptions& tls, ConfigFaults& faults) {
  try {
    TlsContext{tls};
  } catch (const UsageError& error) {
    faults.add(faults.line_of("clickhouse.tls"), error.what());
  }
}

void check_tls(const ClickHouseConfig& clickhouse, ConfigFaults& faults) {
  const TlsOptions& tls = clickhouse.pool.tls;
  const bool secure = std::any_of(clickhouse.endpoints.begin(), clickhouse.endpoints.end(),
                                  [](const Endpoint& endpoint) { return endpoint.secure; });
  if (!secure && !(tls == TlsOptions{}))
    faults.add("clickhouse.tls", "none of clickhouse.endpoints is https");
  if (tls.client_cert.empty() && !tls.client_cert_key.empty())
    faults.add("clickhouse.tls.client_cert_key", "needs a clickhouse.tls.client_cert");
  else if (tls.names_files())
    check_tls_files(tls, faults);
}

void check_clickhouse(const Config& config, ConfigFaults& faults) {
  const ClickHouseConfig& clickhouse = config.clickhouse;
  check_settings(clickhouse.client.settings, "clickhouse.settings", faults);
  check_settings(clickhouse.insert_settings, "clickhouse.insert_settings", faults);
  try {
    if (const auto& header = clickhouse.client.proof_header; !header.empty())
      wire::check_header_name(header);
  } catch (const UsageError& error) {
    faults.add("clickhouse.proof_header", error.what());
  }
  if (clickhouse.client.trust_status && !clickhouse.client.proof_header.empty())
    faults.add("clickhouse.trust_status",
               "with clickhouse.proof_header there is a proof: give one");
  if (clickhouse.client.database.empty()) faults.add("clickhouse.database", "must not be empty");
  for (std::size_t i = 0; i < clickhouse.endpoints.size(); ++i) {
    const auto& all = clickhouse.endpoints;
    if (std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i), all[i]) !=
        all.begin() + static_cast<std::ptrdiff_t>(i))
      faults.add("clickhouse.endpoints", "names " + all[i].authority() + " twice");
  }
  check_tls(clickhouse, faults);
}

void check_delivery(const Config& config, const PipelineConfig& pipeline, const std::string& place,
                    ConfigFaults& faults) {
  if (config.clickhouse.client.trust_status && pipeline.kafka.delivery == Delivery::kExactlyOnce)
    faults.add(place + "delivery",
               "exactly_once needs proof that ClickHouse has the rows: set "
               "clickhouse.proof_header instead of clickhouse.trust_status");
}

// `smaller` must not be above `larger`.
template <class Number, class Print>
void check_order(const std::string& smaller_path, Number smaller, const std::string& larger_path,
                 Number larger, Print print, ConfigFaults& faults) {
  if (smaller <= larger) return;
  // At the one that the file has; when it has both, at the first of the pair.
  const std::string& at = faults.has(smaller_path) ? smaller_path : larger_path;
  faults.add(faults.line_of(at), smaller_path + " (" + print(smaller) + ") must not be above " +
                                     larger_path + " (" + print(larger) + ")");
}

void check_pairs(const Config& config, ConfigFaults& faults) {
  const auto number = [](std::size_t n) { return std::to_string(n); };
  const HttpSessionPoolOptions& pool = config.clickhouse.pool;
  check_order("clickhouse.pool.store_limit", pool.store_limit, "clickhouse.pool.hard_limit",
              pool.hard_limit, number, faults);
  check_order("clickhouse.pool.soft_limit", pool.soft_limit, "clickhouse.pool.hard_limit",
              pool.hard_limit, number, faults);
  check_order("workers.count", std::size_t{config.workers.count}, "clickhouse.pool.hard_limit",
              pool.hard_limit, number, faults);
  check_order("clickhouse.pool.connect_timeout", pool.connect_timeout, "clickhouse.request_timeout",
              config.clickhouse.client.request_timeout, print_duration, faults);
  const RetryPolicy& retry = config.workers.retry;
  check_order("workers.retry.first", retry.first, "workers.retry.max", retry.max, print_duration,
              faults);
  check_order("workers.retry.wait_probe", retry.wait_probe, "workers.retry.wait_probe_max",
              retry.wait_probe_max, print_duration, faults);
}

// Prefetch is taken from the budget for good; of what is left a block and its encoded body must fit
// in.
void check_memory(const Config& config, ConfigFaults& faults) {
  const std::size_t budget = config.memory.budget_bytes;
  const std::size_t prefetch = config.prefetch_bytes();
  if (prefetch >= budget) {
    faults.add(faults.line_of("memory.budget"),
               "memory.budget (" + print_bytes(budget) +
                   ") has no room for blocks: source.kafka.prefetch of all consumers takes " +
                   print_bytes(prefetch) + "; raise memory.budget or lower prefetch or consumers");
    return;
  }
  for (std::size_t i = 0; i < config.pipelines.size(); ++i) {
    const BatchLimits& batch = config.pipelines[i].batch;
    const std::size_t block = batch.enough_bytes();
    if (2 * block <= budget - prefetch) continue;
    const std::string path = "pipelines[" + std::to_string(i) + "].batch." +
                             (batch.max_bytes < batch.target_bytes ? "max_bytes" : "target_bytes");
    faults.add(faults.line_of(path),
               path + " (" + print_bytes(block) + ") is too large for memory.budget (" +
                   print_bytes(budget) + "): beside the prefetch of all consumers (" +
                   print_bytes(prefetch) +
                   ") a block and its request, twice its size, must fit in");
  }
}

void check_admin(const AdminConfig& admin, ConfigFaults& faults) {
  if (admin.protect_reads && admin.token.empty())
    faults.add("admin.protect_reads", "needs an admin.token");
  for (const std::string& host : admin.allowed_hosts) {
    if (host.empty() || host.find_first_of("/:@ ") != std::string::npos)
      faults.add("admin.allowed_hosts",
                 "\"" + host + "\" is no name of a host: without scheme, port and path");
  }
}

void check_compression(const BodyCompression& wanted, const std::string& place,
                       ConfigFaults& faults) {
  const std::string path = place + "compression.level";
  if (wanted.codec == Codec::kNone && wanted.level != 0)
    faults.add(path, "needs a compression.codec: lz4 or zstd");
  if (wanted.codec == Codec::kLz4 && wanted.level > kMostLz4Level)
    faults.add(path, "lz4 has levels up to " + std::to_string(kMostLz4Level));
}

bool is_pattern(const std::string& topic) { return topic.starts_with('^'); }

// One part of a table's name: in backticks anything but a backtick, else no character that would
// need them for being read.
std::string_view take_table_part(std::string_view& rest) {
  const bool quoted = rest.starts_with('`');
  const std::size_t end = quoted ? rest.find('`', 1) : rest.find_first_of(".` \t\"'\\/;()");
  if (end == std::string_view::npos) return quoted ? "" : std::exchange(rest, {});
  const std::string_view part = quoted ? rest.substr(1, end - 1) : rest.substr(0, end);
  rest.remove_prefix(quoted ? end + 1 : end);
  return part;
}

bool is_table_name(std::string_view name) {
  if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < ' '; })) return false;
  if (take_table_part(name).empty()) return false;
  if (name.empty()) return true;
  if (!name.starts_with('.')) return false;
  name.remove_prefix(1);
  return !take_table_part(name).empty() && name.empty();
}

void check_table(const std::string& path, const std::string& table, ConfigFaults& faults) {
  if (is_table_name(table)) return;
  faults.add(path, "\"" + table +
                       "\" is not the name of a table: name or database.name, a part with a dot "
                       "or a space in backticks");
}

bool is_topic_name(const std::string& topic) {
  return !topic.empty() && topic.size() <= 249 && topic != "." && topic != ".." &&
         std::all_of(topic.begin(), topic.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

// librdkafka compiles patterns with the same function and flags.
std::string pattern_fault(const std::string& pattern) {
  regex_t compiled;
  const int error = regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
  if (error == 0) {
    regfree(&compiled);
    return "";
  }
  char text[256] = "";
  regerror(error, &compiled, text, sizeof text);
  return text;
}

void check_topic(const std::string& topic, const std::string& path, ConfigFaults& faults) {
  if (is_pattern(topic)) {
    if (const std::string fault = pattern_fault(topic); !fault.empty())
      faults.add(path, "\"" + topic + "\" is not a regular expression: " + fault);
  } else if (!is_topic_name(topic)) {
    faults.add(path, "\"" + topic +
                         "\" is not the name of a topic: letters, digits, dot, _ and -, at most "
                         "249; a pattern begins with ^");
  }
}

void check_topics(const PipelineConfig& pipeline, const std::string& place, ConfigFaults& faults) {
  const std::string path = place + "source.kafka.topics";
  std::set<std::string> seen;
  if (faults.has(path) && pipeline.kafka.topics.empty()) faults.add(path, "must not be empty");
  for (const std::string& topic : pipeline.kafka.topics) {
    if (!seen.insert(topic).second) faults.add(path, "names \"" + topic + "\" twice");
    check_topic(topic, path, faults);
  }
  const bool patterns = std::any_of(seen.begin(), seen.end(), is_pattern);
  const std::string prefix = place + "tables.";
  for (const auto& [topic, table] : pipeline.tables) {
    const std::string entry = prefix + topic;
    check_table(entry, table, faults);
    if (!patterns && !seen.contains(topic))
      faults.add(entry, "source.kafka.topics does not read this topic");
  }
}

void check_kafka_options(const KafkaSourceOptions& kafka, const std::string& place,
                         ConfigFaults& faults) {
  const std::string path = place + "source.kafka.options";
  refuse_reserved(kafka.options, kReservedKafkaOptions, path, faults);
  if (kafka.consumers > 1 && kafka.options.contains("group.instance.id"))
    faults.add(path + ".group.instance.id",
               "needs source.kafka.consumers: 1; members with one name put each other out of the "
               "group");
  if (const std::string refusal = check_assignment(kafka.assignment); !refusal.empty())
    faults.add(place + "source.kafka.assignment", refusal);
  if (kafka.group.empty() && faults.has(place + "source.kafka.group"))
    faults.add(place + "source.kafka.group", "must not be empty");
  if (kafka.brokers.find_first_not_of(" ,") == std::string::npos &&
      faults.has(place + "source.kafka.brokers"))
    faults.add(place + "source.kafka.brokers", "must not be empty");
}

// Of the first option that librdkafka's words name, else of all of them.
int line_of_option(const std::string& words, const KafkaSourceOptions& kafka,
                   const std::string& place, const ConfigFaults& faults) {
  const std::string path = place + "source.kafka.options";
  std::string first = path;
  std::size_t at = std::string::npos;
  for (const auto& [name, value] : kafka.options) {
    const std::size_t found = words.find(name);
    if (found >= at) continue;
    at = found;
    first = path + "." + name;
  }
  return faults.line_of(first);
}

void check_source(const PipelineConfig& pipeline, const std::string& place, ConfigFaults& faults) {
  const std::size_t before = faults.count();
  check_topics(pipeline, place, faults);
  check_kafka_options(pipeline.kafka, place, faults);
  // librdkafka knows its options best; it is asked when nothing is left that we can say better.
  if (faults.count() > before || pipeline.kafka.topics.empty()) return;
  std::vector<std::string> refused = validate_kafka_options(pipeline.kafka);
  if (refused.empty() && pipeline.dead_letters.store == DeadLettersIn::kKafka) {
    if (const std::string words = kafka_archive_refused(pipeline.kafka); !words.empty())
      refused.push_back("for the dead letters: " + words);
  }
  for (const std::string& fault : refused)
    faults.add(line_of_option(fault, pipeline.kafka, place, faults), place + "source.kafka", fault);
}

void check_format(const PipelineConfig& pipeline, const std::string& place, ConfigFaults& faults) {
  TableTarget target;
  target.format = pipeline.format;
  target.columns = pipeline.columns;
  const std::string section = place.substr(0, place.size() - 1);
  try {
    static_cast<void>(framing_of(pipeline.format));
  } catch (const std::invalid_argument& error) {
    faults.add(faults.line_of(place + "format"), section, error.what());
    return;
  }
  try {
    static_cast<void>(target.layout());
  } catch (const std::invalid_argument& error) {
    faults.add(faults.line_of(place + "columns"), section, error.what());
  }
}

void check_columns(const MetadataColumns& columns, const std::string& place, ConfigFaults& faults) {
  std::map<std::string, std::string> seen;
  const std::array<std::pair<const char*, const std::string*>, 7> all{
      {{"topic", &columns.topic},
       {"partition", &columns.partition},
       {"offset", &columns.offset},
       {"timestamp", &columns.timestamp},
       {"key", &columns.key},
       {"headers", &columns.headers},
       {"deleted", &columns.deleted}}};
  for (const auto& [what, column] : all) {
    if (column->empty()) continue;
    const auto [first, is_new] = seen.emplace(*column, what);
    const std::string path = place + "columns." + what;
    if (!is_new)
      faults.add(path, "column \"" + *column + "\" is taken by columns." + first->second);
  }
}

void check_tombstones(const PipelineConfig& pipeline, const std::string& place,
                      ConfigFaults& faults) {
  const bool skipped = pipeline.kafka.tombstones == Tombstones::kSkip;
  if (skipped && !pipeline.columns.deleted.empty()) {
    faults.add(place + "columns.deleted",
               "needs source.kafka.tombstones: empty_payload; else such messages are skipped");
  }
  if (!skipped && !tombstone_row(pipeline.format)) {
    faults.add(place + "source.kafka.tombstones",
               "an empty message is no row of " + pipeline.format +
                   ": use skip, or one of the formats JSONEachRow, TSV, CSV, TSKV, LineAsString");
  }
}

void check_expired_plan(const PipelineConfig& pipeline, const std::string& place,
                        ConfigFaults& faults) {
  if (pipeline.boundary == Boundary::kStride && pipeline.kafka.delivery == Delivery::kAtLeastOnce) {
    faults.add(place + "boundary",
               "stride is for tables that drop repeats: set `delivery: auto` or `exactly_once`");
  }
  if (pipeline.on_expired_plan == ExpiredPlan::kVerify && !pipeline.columns.name_records()) {
    faults.add(place + "on_expired_plan",
               "verify looks for rows by columns.topic, columns.partition and columns.offset: set "
               "all three");
  }
}

void check_dead_letters(const PipelineConfig& pipeline, const std::string& place,
                        ConfigFaults& faults) {
  const DeadLettersConfig& letters = pipeline.dead_letters;
  const std::string store = place + "dead_letters.store";
  if (letters.store == DeadLettersIn::kClickHouse)
    check_table(place + "dead_letters.table", letters.table, faults);
  if (letters.store == DeadLettersIn::kFile && letters.file.empty())
    faults.add(store, "file needs dead_letters.file");
  if (letters.store != DeadLettersIn::kKafka) return;
  const std::string topic = place + "dead_letters.topic";
  if (letters.topic.empty())
    faults.add(store, "kafka needs dead_letters.topic");
  else if (!is_topic_name(letters.topic))
    faults.add(topic, "\"" + letters.topic + "\" is not the name of a topic");
  else if (std::find(pipeline.kafka.topics.begin(), pipeline.kafka.topics.end(), letters.topic) !=
           pipeline.kafka.topics.end())
    faults.add(topic, "\"" + letters.topic + "\" is read by the pipeline itself");
}

void check_pipeline_name(const std::string& name, const std::string& place,
                         std::set<std::string>& names, ConfigFaults& faults) {
  const std::string path = place + "name";
  if (!faults.has(path)) return;
  if (!is_topic_name(name))
    faults.add(path, "\"" + name +
                         "\" has other characters than letters, digits, _, - "
                         "and dots, or none");
  else if (!names.insert(name).second)
    faults.add(path, "\"" + name + "\" is the name of another pipeline");
}

}  // namespace

void check_config(const Config& config, ConfigFaults& faults) {
  check_clickhouse(config, faults);
  check_pairs(config, faults);
  check_memory(config, faults);
  check_admin(config.admin, faults);
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.pipelines.size(); ++i) {
    const PipelineConfig& pipeline = config.pipelines[i];
    const std::string place = "pipelines[" + std::to_string(i) + "].";
    check_pipeline_name(pipeline.name, place, names, faults);
    check_source(pipeline, place, faults);
    if (!pipeline.table.empty()) check_table(place + "table", pipeline.table, faults);
    check_format(pipeline, place, faults);
    check_columns(pipeline.columns, place, faults);
    check_tombstones(pipeline, place, faults);
    check_compression(pipeline.compression, place, faults);
    check_delivery(config, pipeline, place, faults);
    check_expired_plan(pipeline, place, faults);
    check_dead_letters(pipeline, place, faults);
  }
  check_shared_topics(config, faults);
}

}  // namespace millrace
