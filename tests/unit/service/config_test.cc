#include "service/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Config, SmallestUsefulFileIsEnough) {
  const Config config = parse_config(minimal(), "m.yaml");
  ASSERT_EQ(config.clickhouse.endpoints.size(), 1u);
  EXPECT_EQ(config.clickhouse.endpoints[0].to_string(), "http://127.0.0.1:8123/");
  ASSERT_EQ(config.pipelines.size(), 1u);
  const PipelineConfig& pipeline = config.pipelines[0];
  EXPECT_EQ(pipeline.name, "events");
  EXPECT_EQ(pipeline.kafka.brokers, "127.0.0.1:9092");
  EXPECT_EQ(pipeline.kafka.topics, std::vector<std::string>{"events"});
  EXPECT_EQ(pipeline.table, "events");
  EXPECT_EQ(pipeline.format, "JSONEachRow");
  EXPECT_EQ(pipeline.batch.max_bytes, BatchLimits{}.max_bytes);
  EXPECT_EQ(config.memory.budget_bytes, MemoryConfig{}.budget_bytes);
}

TEST(Config, EverySettingReachesItsPlace) {
  const Config config = parse_config(R"(
clickhouse:
  endpoints: [http://a:1, "https://b/x"]
  user: u
  password: p
  database: d
  settings: {max_memory_usage: 1000}
  insert_settings: {input_format_skip_unknown_fields: 1}
  session: {policy: per_query, timeout: 2m}
  request_timeout: 7s
  pool: {soft_limit: 11, hard_limit: 12, store_limit: 10, acquire_timeout: 1s,
         connect_timeout: 2s, idle_timeout: 3s, max_age: 0, tcp_keep_alive: 4s,
         tcp_user_timeout: 5s}
workers: {count: 3, retry: {first: 1ms, max: 2ms, wait_probe: 30ms, wait_probe_max: 40ms}}
memory: {budget: 1GB}
admin: {listen: "[::]:0"}
log: {level: debug, format: json}
shutdown: {grace: 10s}
pipelines:
  - name: one
    source:
      kafka:
        brokers: k:1,k:2
        group: g
        topics: [t, "^x.*$"]
        consumers: 2
        assignment: roundrobin
        start_offset: latest
        prefetch: 1MiB
        commit_interval: 2s
        tombstones: empty_payload
        options: {sasl.password: s, client.id: 7}
    table: d.t
    tables: {t: other}
    format: NDJSON
    columns: {topic: a, partition: b, offset: c, timestamp: d, key: e, headers: f}
    batch: {max_rows: 5, max_bytes: 6KiB, max_age: 7ms, target_rows: 3, target_bytes: 4KiB}
    lanes: {max_blocks_in_flight: 9}
)",
                                     "m.yaml");
  const ClickHouseConfig& clickhouse = config.clickhouse;
  EXPECT_EQ(clickhouse.endpoints,
            (std::vector{parse_endpoint("http://a:1"), parse_endpoint("https://b/x")}));
  EXPECT_EQ(clickhouse.client.user, "u");
  EXPECT_EQ(clickhouse.client.password, "p");
  EXPECT_EQ(clickhouse.client.database, "d");
  EXPECT_EQ(clickhouse.client.settings, (Settings{{"max_memory_usage", "1000"}}));
  EXPECT_EQ(clickhouse.insert_settings, (Settings{{"input_format_skip_unknown_fields", "1"}}));
  EXPECT_EQ(clickhouse.client.session_policy, ClickHouseSessionPolicy::kPerQuery);
  EXPECT_EQ(clickhouse.client.session_timeout, seconds(120));
  EXPECT_EQ(clickhouse.client.request_timeout, seconds(7));
  EXPECT_EQ(clickhouse.pool.soft_limit, 11u);
  EXPECT_EQ(clickhouse.pool.hard_limit, 12u);
  EXPECT_EQ(clickhouse.pool.store_limit, 10u);
  EXPECT_EQ(clickhouse.pool.acquire_timeout, seconds(1));
  EXPECT_EQ(clickhouse.pool.connect_timeout, seconds(2));
  EXPECT_EQ(clickhouse.pool.idle_timeout, seconds(3));
  EXPECT_EQ(clickhouse.pool.max_age, seconds(0));
  EXPECT_EQ(clickhouse.pool.tcp_keep_alive, seconds(4));
  EXPECT_EQ(clickhouse.pool.tcp_user_timeout, seconds(5));
  EXPECT_EQ(config.workers.count, 3u);
  EXPECT_EQ(config.workers.retry.first, milliseconds(1));
  EXPECT_EQ(config.workers.retry.max, milliseconds(2));
  EXPECT_EQ(config.workers.retry.wait_probe, milliseconds(30));
  EXPECT_EQ(config.workers.retry.wait_probe_max, milliseconds(40));
  EXPECT_EQ(config.memory.budget_bytes, 1'000'000'000u);
  EXPECT_EQ(config.admin.host, "::");
  EXPECT_EQ(config.admin.port, 0);
  EXPECT_EQ(config.log.level, "debug");
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  EXPECT_EQ(config.shutdown.grace, seconds(10));
  const PipelineConfig& pipeline = config.pipelines.at(0);
  EXPECT_EQ(pipeline.kafka.brokers, "k:1,k:2");
  EXPECT_EQ(pipeline.kafka.group, "g");
  EXPECT_EQ(pipeline.kafka.topics, (std::vector<std::string>{"t", "^x.*$"}));
  EXPECT_EQ(pipeline.kafka.consumers, 2u);
  EXPECT_EQ(pipeline.kafka.assignment, "roundrobin");
  EXPECT_EQ(pipeline.kafka.start_offset, "latest");
  EXPECT_EQ(pipeline.kafka.prefetch_bytes, 1u << 20);
  EXPECT_EQ(pipeline.kafka.commit_interval, seconds(2));
  EXPECT_EQ(pipeline.kafka.tombstones, Tombstones::kEmptyPayload);
  EXPECT_EQ(pipeline.kafka.options,
            (std::map<std::string, std::string>{{"sasl.password", "s"}, {"client.id", "7"}}));
  EXPECT_EQ(pipeline.table, "d.t");
  EXPECT_EQ(pipeline.tables, (std::map<std::string, std::string>{{"t", "other"}}));
  EXPECT_EQ(pipeline.format, "NDJSON");
  EXPECT_EQ(pipeline.columns.topic + pipeline.columns.partition + pipeline.columns.offset +
                pipeline.columns.timestamp + pipeline.columns.key + pipeline.columns.headers,
            "abcdef");
  EXPECT_EQ(pipeline.batch.max_rows, 5u);
  EXPECT_EQ(pipeline.batch.max_bytes, 6u << 10);
  EXPECT_EQ(pipeline.batch.target_rows, 3u);
  EXPECT_EQ(pipeline.batch.target_bytes, 4u << 10);
  EXPECT_EQ(pipeline.batch.max_age, milliseconds(7));
  EXPECT_EQ(pipeline.lanes.max_blocks_in_flight, 9u);
}

TEST(Config, TableComesFromTheMapThenTheNameThenTheTopic) {
  PipelineConfig pipeline;
  EXPECT_EQ(pipeline.table_of("events"), "events");
  EXPECT_EQ(pipeline.table_of("events.v1"), "`events.v1`");
  pipeline.table = "all";
  EXPECT_EQ(pipeline.table_of("events"), "all");
  pipeline.tables["events"] = "db.special";
  EXPECT_EQ(pipeline.table_of("events"), "db.special");
  EXPECT_EQ(pipeline.table_of("others"), "all");
}

struct BadFile {
  std::string name, yaml, faults;
  friend void PrintTo(const BadFile& file, std::ostream* out) { *out << file.yaml; }
};

class BadConfig : public testing::TestWithParam<BadFile> {};

TEST_P(BadConfig, IsRefusedWithLineAndReason) {
  EXPECT_EQ(faults_of(GetParam().yaml), GetParam().faults);
}

const std::string kRequired =
    "m.yaml:1: clickhouse.endpoints: is missing (Where ClickHouse answers; several are used in "
    "turn, and one that fails is avoided for a while.)\n"
    "m.yaml:1: pipelines: is missing; at least one is needed";

INSTANTIATE_TEST_SUITE_P(
    File, BadConfig,
    testing::Values(
        BadFile{"Empty", "",
                "m.yaml:1: the file is empty; it needs clickhouse.endpoints and pipelines"},
        BadFile{"CommentsOnly", "# nothing\n",
                "m.yaml:1: the file is empty; it needs clickhouse.endpoints and pipelines"},
        BadFile{"List", "- a\n- b\n", "m.yaml:1: a section of settings is expected, not a list"},
        BadFile{"Text", "hello\n",
                "m.yaml:1: a section of settings is expected, not a single value"},
        BadFile{"NotYaml", "clickhouse:\n  endpoints: [a\nlog: {}\n",
                "m.yaml:3: not YAML: end of sequence flow not found (column 4)"},
        BadFile{"Tab", "clickhouse:\n\tuser: x\n",
                "m.yaml:2: not YAML: illegal map value (column 6)"},
        BadFile{"TwoDocuments", minimal("", "---\nlog: {}\n"),
                "m.yaml:8: a second YAML document begins; only one is read"},
        BadFile{"NothingRequired", "log: {level: info}\n", kRequired},
        BadFile{"NoPipelines", "clickhouse: {endpoints: [http://h]}\npipelines: []\n",
                "m.yaml:1: pipelines: is missing; at least one is needed"},
        BadFile{"PipelinesNotAList", "clickhouse: {endpoints: [http://h]}\npipelines: {name: x}\n",
                "m.yaml:1: pipelines: a list is expected, not a section"}),
    name_of_case);

INSTANTIATE_TEST_SUITE_P(
    Setting, BadConfig,
    testing::Values(
        BadFile{"Misspelt", minimal("    bach: {max_rows: 1}\n"),
                "m.yaml:7: unknown setting \"bach\"; did you mean \"batch\"?"},
        BadFile{"MisspeltSection", minimal("", "worker: {count: 1}\n"),
                "m.yaml:7: unknown setting \"worker\"; did you mean \"workers\"?"},
        BadFile{"MisspeltDeep", minimal("", "memory:\n  budgte: 1GiB\n"),
                "m.yaml:8: unknown setting \"budgte\"; did you mean \"budget\"?"},
        BadFile{"Unknown", minimal("", "log:\n  destination: syslog\n"),
                "m.yaml:8: unknown setting \"destination\"; known here: format, level"},
        BadFile{"ElsewhereKnown", minimal("    max_rows: 5\n"),
                "m.yaml:7: unknown setting \"max_rows\"; did you mean \"batch.max_rows\"?"},
        BadFile{"Twice", minimal("    format: CSV\n    format: TSV\n"),
                "m.yaml:8: pipelines[0].format: is set twice"},
        BadFile{"TwiceInMap", minimal("    tables:\n      events: a\n      events: b\n"),
                "m.yaml:9: pipelines[0].tables.events: is set twice"},
        BadFile{"SectionTwice", minimal("", "log: {level: info}\nlog: {format: json}\n"),
                "m.yaml:8: log: is set twice"},
        BadFile{"ListForSection", minimal("    batch: [1]\n"),
                "m.yaml:7: pipelines[0].batch: a section of settings is expected, not a list"},
        BadFile{"ValueForSection", minimal("", "memory: 1GiB\n"),
                "m.yaml:7: memory: a section of settings is expected, not a single value"},
        BadFile{"ListForValue", minimal("    format: [CSV]\n"),
                "m.yaml:7: pipelines[0].format: a single value is expected, not a list"},
        BadFile{"NothingForValue", minimal("    format:\n"),
                "m.yaml:7: pipelines[0].format: a single value is expected, not nothing"},
        BadFile{"ListForMap", minimal("    tables: [a]\n"),
                "m.yaml:7: pipelines[0].tables: a map of names to values is expected, not a list"},
        BadFile{"NothingInMap", minimal("    tables:\n      events:\n"),
                "m.yaml:8: pipelines[0].tables.events: a single value is expected, not nothing"},
        BadFile{"MapInMap", minimal("    tables: {events: {x: y}}\n"),
                "m.yaml:7: pipelines[0].tables.events: a single value is expected, not a section"},
        BadFile{"PipelineNotASection", "clickhouse: {endpoints: [http://h]}\npipelines:\n  - x\n",
                "m.yaml:3: pipelines[0]: a section of settings is expected, not a single value\n"
                "m.yaml:3: pipelines[0].name: is missing (The pipeline's name in logs and metrics; "
                "letters, digits, _, - and dots, and no other pipeline's.)\n"
                "m.yaml:3: pipelines[0].source.kafka.brokers: is missing (Kafka brokers to start "
                "from: host:port, several with commas.)\n"
                "m.yaml:3: pipelines[0].source.kafka.topics: is missing (Topics to read; an entry "
                "that begins with ^ is a regular expression over topic names.)"}),
    name_of_case);

INSTANTIATE_TEST_SUITE_P(
    Value, BadConfig,
    testing::Values(
        BadFile{"NoUnit", minimal("", "memory: {budget: 512}\n"),
                "m.yaml:7: memory.budget: \"512\" needs a unit, such as 16MiB"},
        BadFile{"WrongUnit", minimal("    batch: {max_age: 5MiB}\n"),
                "m.yaml:7: pipelines[0].batch.max_age: \"5MiB\" is not a duration, such as 250ms "
                "or 5s (units: h, m, s, ms; whole numbers)"},
        BadFile{"NotANumber", minimal("", "workers: {count: many}\n"),
                "m.yaml:7: workers.count: \"many\" is not a whole number"},
        BadFile{"Negative", minimal("", "workers: {count: -1}\n"),
                "m.yaml:7: workers.count: \"-1\" is not a whole number"},
        BadFile{"BelowBounds", minimal("", "workers: {count: 0}\n"),
                "m.yaml:7: workers.count: \"0\" is out of bounds (1 to 1024)"},
        BadFile{"AboveBounds", minimal("", "memory: {budget: 2TiB}\n"),
                "m.yaml:7: memory.budget: \"2TiB\" is out of bounds (1MiB to 1TiB)"},
        BadFile{"CommitInterval",
                "clickhouse: {endpoints: [http://h]}\npipelines:\n- name: x\n  source: {kafka: "
                "{brokers: b, topics: [t], commit_interval: 1ms}}\n",
                "m.yaml:4: pipelines[0].source.kafka.commit_interval: \"1ms\" is out of bounds "
                "(10ms to 5m)"},
        BadFile{"Choice", minimal("", "log: {format: xml}\n"),
                "m.yaml:7: log.format: \"xml\" is not one of auto, text, json"},
        BadFile{"Listen", minimal("", "admin: {listen: 9464}\n"),
                "m.yaml:7: admin.listen: \"9464\" is not host:port, such as 127.0.0.1:9464 or "
                "[::1]:9464"},
        BadFile{"Variable", minimal("", "log: {level: \"${MILLRACE_TEST_NONE}\"}\n"),
                "m.yaml:7: log.level: \"${MILLRACE_TEST_NONE}\" names environment variable "
                "MILLRACE_TEST_NONE, which is not set; set it or give a default: "
                "${MILLRACE_TEST_NONE:-default}"}),
    name_of_case);

TEST(Config, SessionTimeoutIsInWholeSeconds) {
  EXPECT_EQ(faults_of("clickhouse:\n  endpoints: [http://h]\n  session: {timeout: 1500ms}\n"
                      "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n"),
            "m.yaml:3: clickhouse.session.timeout: \"1500ms\" is not a number of whole seconds");
}

TEST(Config, BadEndpointsAreRefusedOneByOne) {
  EXPECT_EQ(faults_of("clickhouse:\n  endpoints:\n    - 127.0.0.1:8123\n    - http://ok\n"
                      "    - ftp://h\n"
                      "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n"),
            "m.yaml:3: clickhouse.endpoints: \"127.0.0.1:8123\" is refused: no scheme; expected "
            "http[s]://host[:port][/path]\n"
            "m.yaml:5: clickhouse.endpoints: \"ftp://h\" is refused: unknown scheme 'ftp'; "
            "expected http[s]://host[:port][/path]");
}

TEST(Config, AllFaultsAreReportedTogetherInTheOrderOfLines) {
  EXPECT_EQ(faults_of("clickhouse:\n"
                      "  endpoints: [http://h]\n"
                      "  usr: x\n"
                      "workers: {count: 0}\n"
                      "pipelines:\n"
                      "  - name: a\n"
                      "    source: {kafka: {brokers: b}}\n"
                      "    format: Parquet7\n"
                      "memory: {budget: 7}\n"),
            "m.yaml:3: unknown setting \"usr\"; did you mean \"user\"?\n"
            "m.yaml:4: workers.count: \"0\" is out of bounds (1 to 1024)\n"
            "m.yaml:7: pipelines[0].source.kafka.topics: is missing (Topics to read; an entry that "
            "begins with ^ is a regular expression over topic names.)\n"
            "m.yaml:8: pipelines[0]: format Parquet7: its messages can't be put one behind the "
            "other in one insert (or it is unknown; names are case-sensitive). Formats that can: "
            "JSONEachRow, JSONCompactEachRow, CSV, TabSeparated, TSKV, RowBinary, "
            "RowBinaryWithDefaults, Native, MsgPack, Protobuf\n"
            "m.yaml:9: memory.budget: \"7\" needs a unit, such as 16MiB");
}

TEST(Config, ASecretIsNeverRepeatedInAFault) {
  const ScopedEnvironment secret("MILLRACE_TEST_SECRET", "hunter2");
  const std::string path = testing::TempDir() + "millrace_secret_" + std::to_string(getpid());
  std::ofstream(path) << "hunter2";
  for (const std::string& yaml :
       {minimal("", "memory: {budget: \"${MILLRACE_TEST_SECRET}\"}\n"),
        minimal("    format: \"${file:" + path + "}\"\n"),
        minimal("    tables: {events: \"${file:" + path + "} x\"}\n"),
        minimal("    columns: {key: \"${file:" + path + "}\", topic: hunter2}\n"),
        // What is a secret at one place is hidden at all others.
        std::string("clickhouse: {endpoints: [http://h], password: hunter2}\n"
                    "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}, "
                    "format: hunter2}]\n"),
        std::string("clickhouse: {password: [hunter2]}\n"),
        std::string("clickhouse: {password: \"hunter2 ${NO\"}\n"),
        std::string("clickhouse: {endpoints: [\"http://u:hunter2@h\"]}\n"),
        std::string("clickhouse: {endpoints: [\"u:hunter2@h\"]}\n"),
        std::string("clickhouse: {endpoints: [\"http://h/${MILLRACE_TEST_SECRET} \"]}\n"),
        std::string("pipelines: [{source: {kafka: {options: {sasl.password: \"hunter2${\"}}}}]")}) {
    const std::string faults = faults_of(yaml);
    EXPECT_NE(faults, "") << yaml;
    EXPECT_EQ(faults.find("hunter2"), std::string::npos) << faults;
  }
  std::remove(path.c_str());
}

TEST(Config, ASubstitutedValueIsNeverReadAsYaml) {
  const ScopedEnvironment tricky("MILLRACE_TEST_TRICKY", "x\", user: \"root\n- [a] # {b: ${c}");
  const Config config = parse_config(
      "clickhouse: {endpoints: [http://h], password: \"${MILLRACE_TEST_TRICKY}\"}\n"
      "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n",
      "m.yaml");
  EXPECT_EQ(config.clickhouse.client.password, "x\", user: \"root\n- [a] # {b: ${c}");
  EXPECT_EQ(config.clickhouse.client.user, "default");
}

TEST(Config, AnAnchorMayBeUsedTwice) {
  const Config config = parse_config(
      "clickhouse: {endpoints: [http://h]}\n"
      "pipelines:\n"
      "  - {name: a, source: {kafka: {brokers: b, topics: [t]}}, batch: &b {max_rows: 5}}\n"
      "  - {name: c, source: {kafka: {brokers: b, topics: [u]}}, batch: *b}\n",
      "m.yaml");
  EXPECT_EQ(config.pipelines.at(1).batch.max_rows, 5u);
}

TEST(Config, FilesThatCannotBeReadAreNamed) {
  const auto fault = [](const std::string& path) {
    try {
      load_config(path);
      return std::string();
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(fault("/nonexistent/m.yaml"),
            "/nonexistent/m.yaml: cannot be read: No such file or directory");
  EXPECT_EQ(fault("/tmp"), "/tmp: is a directory, not a file");
  EXPECT_EQ(fault("/dev/zero"), "/dev/zero: is larger than 1MiB");
}

}  // namespace
}  // namespace millrace
