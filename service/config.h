// The configuration: what a file says, checked, as a value that cannot be invalid.
//
// Every setting is declared once, in config_schema.cc: name, type, default, bounds, unit, secret,
// help. Parsing, validation, `--print-config`, redaction and the generated reference all read that
// declaration. Option structs belong to the layers that use them; here they are only put together.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/batcher.h"
#include "pipeline/producer.h"
#include "pipeline/retry_policy.h"
#include "pipeline/table_target.h"
#include "service/sources/kafka_options.h"
#include "transport/client.h"
#include "transport/http_session_pool.h"

namespace millrace {

struct ClickHouseConfig {
  std::vector<Endpoint> endpoints;
  ClientOptions client;      // user, password, database, settings, session policy, time-outs
  Settings insert_settings;  // go with inserts only
  HttpSessionPoolOptions pool;
};

struct WorkersConfig {
  unsigned count = 4;
  RetryPolicy retry;
};

struct MemoryConfig {
  std::size_t budget_bytes = 512u << 20;
};

struct AdminConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 9464;
  std::string token{};  // for what changes something; empty: see admin_actions.h
  std::vector<std::string> allowed_hosts{};  // names in `Host`, see admin_http.h
  bool protect_reads = false;                // /status and the page need the token, too
  bool ready_while_waiting = true;           // for an operator
};

enum class LogFormat { kAuto, kText, kJson };
struct LogConfig {
  std::string level = "info";
  LogFormat format = LogFormat::kAuto;  // kAuto: text on a terminal, else JSON
};

struct ShutdownConfig {
  std::chrono::milliseconds grace{25'000};  // below Kubernetes' default of 30 s
};

// Where the records go that ClickHouse refuses; kNone: nowhere, their lane waits.
enum class DeadLettersIn { kClickHouse, kFile, kKafka, kNone };
struct DeadLettersConfig {
  DeadLettersIn store = DeadLettersIn::kClickHouse;
  std::string table = "millrace_dead_letters";
  std::string file, topic;
};

struct PipelineConfig {
  std::string name;
  KafkaSourceOptions kafka;
  std::string table;                          // empty: the topic's name
  std::map<std::string, std::string> tables;  // topic -> table; wins over `table`
  std::string format = "JSONEachRow";
  Encoding encoding = Encoding::kNative;
  BodyCompression compression;
  TraceContext trace_context = TraceContext::kNone;
  MetadataColumns columns;
  BatchLimits batch;
  LaneLimits lanes;
  DeadLettersConfig dead_letters;
  Boundary boundary = Boundary::kFilled;
  ExpiredPlan on_expired_plan = ExpiredPlan::kStop;

  std::string table_of(const std::string& topic) const;
};

struct Config {
  ClickHouseConfig clickhouse;
  WorkersConfig workers;
  MemoryConfig memory;
  AdminConfig admin;
  LogConfig log;
  ShutdownConfig shutdown;
  std::vector<PipelineConfig> pipelines;

  // What all consumers take of memory.budget and keep.
  std::size_t prefetch_bytes() const;
};

// The file can't be used. what() has one line for each fault: `file:line: what, nearest name or
// allowed values`.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A file as it was read, before anything is put in.
struct ConfigFile {
  std::string name, text;
};
// Throws ConfigError.
ConfigFile read_config_file(const std::filesystem::path& file);

// Reads, substitutes `${ENV}`, `${ENV:-default}` and `${file:/path}`, checks, and returns all
// faults together. Throws ConfigError.
Config load_config(const std::filesystem::path& file);
Config parse_config(std::string_view yaml, const std::string& file_name);

// The effective configuration as YAML, defaults included, secrets as "<redacted>". What it prints
// is a valid file (but for the secrets).
void print_config(const Config& config, std::ostream& out);
// The reference of all settings as Markdown.
void print_config_reference(std::ostream& out);

}  // namespace millrace
