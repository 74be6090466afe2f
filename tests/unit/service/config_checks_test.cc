#include "service/config_checks.h"

#include <gtest/gtest.h>

#include "service/shared_topics.h"
#include "service/sources/kafka_check.h"
#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

// A file with these lines in `clickhouse` (indented by two; the first is line 3).
std::string with_clickhouse(const std::string& lines, const std::string& process = "") {
  return "clickhouse:\n  endpoints: [http://h]\n" + lines + process +
         "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n";
}

// A file whose pipeline has these lines in `source.kafka` (indented by eight; the first is line 6).
std::string with_kafka(const std::string& lines, const std::string& topics = "[t]") {
  return "clickhouse: {endpoints: [http://h]}\npipelines:\n  - name: x\n    source:\n      "
         "kafka:\n" +
         lines + "        brokers: b\n        topics: " + topics + "\n";
}

struct BadPair {
  std::string name, yaml, faults;
  friend void PrintTo(const BadPair& pair, std::ostream* out) { *out << pair.yaml; }
};

class BadPairs : public testing::TestWithParam<BadPair> {};

TEST_P(BadPairs, AreRefusedWithBothNames) {
  EXPECT_EQ(faults_of(GetParam().yaml), GetParam().faults);
}

INSTANTIATE_TEST_SUITE_P(
    Admin, BadPairs,
    testing::Values(
        BadPair{"ReadsProtectedByNothing", with_clickhouse("", "admin: {protect_reads: true}\n"),
                "m.yaml:3: admin.protect_reads: needs an admin.token"},
        BadPair{
            "HostWithPort", with_clickhouse("", "admin: {allowed_hosts: ['a:80']}\n"),
            "m.yaml:3: admin.allowed_hosts: \"a:80\" is no name of a host: without scheme, port "
            "and path"}),
    [](const auto& each) { return each.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Pool, BadPairs,
    testing::Values(
        BadPair{"StoreAboveHard", with_clickhouse("  pool:\n    store_limit: 65\n"),
                "m.yaml:4: clickhouse.pool.store_limit (65) must not be above "
                "clickhouse.pool.hard_limit (64)"},
        BadPair{"HardBelowDefaults",
                with_clickhouse("  pool:\n    hard_limit: 31\n", "workers: {count: 1}\n"),
                "m.yaml:4: clickhouse.pool.store_limit (32) must not be above "
                "clickhouse.pool.hard_limit (31)\n"
                "m.yaml:4: clickhouse.pool.soft_limit (32) must not be above "
                "clickhouse.pool.hard_limit (31)"},
        BadPair{"WorkersAboveHard", with_clickhouse("", "workers: {count: 65}\n"),
                "m.yaml:3: workers.count (65) must not be above clickhouse.pool.hard_limit (64)"},
        BadPair{"ConnectAboveRequest", with_clickhouse("  request_timeout: 4s\n"),
                "m.yaml:3: clickhouse.pool.connect_timeout (5s) must not be above "
                "clickhouse.request_timeout (4s)"},
        BadPair{"RetryOrder", with_clickhouse("", "workers: {retry: {first: 20s}}\n"),
                "m.yaml:3: workers.retry.first (20s) must not be above workers.retry.max (10s)"},
        BadPair{"ProbeOrder", with_clickhouse("", "workers: {retry: {wait_probe_max: 1s}}\n"),
                "m.yaml:3: workers.retry.wait_probe (2s) must not be above "
                "workers.retry.wait_probe_max (1s)"}),
    name_of_case);

INSTANTIATE_TEST_SUITE_P(
    Memory, BadPairs,
    testing::Values(
        BadPair{"PrefetchTakesAll", with_kafka("        consumers: 16\n"),
                "m.yaml:1: memory.budget (512MiB) has no room for blocks: source.kafka.prefetch of "
                "all consumers takes 512MiB; raise memory.budget or lower prefetch or consumers"},
        BadPair{"BlockDoesNotFit",
                minimal("    batch: {target_bytes: 241MiB, max_bytes: 300MiB}\n"),
                "m.yaml:7: pipelines[0].batch.target_bytes (241MiB) is too large for memory.budget "
                "(512MiB): beside the prefetch of all consumers (32MiB) a block and its request, "
                "twice its size, must fit in"},
        BadPair{"OrTheMostThatItMayBe",
                minimal("    batch: {target_bytes: 300MiB, max_bytes: 241MiB}\n"),
                "m.yaml:7: pipelines[0].batch.max_bytes (241MiB) is too large for memory.budget "
                "(512MiB): beside the prefetch of all consumers (32MiB) a block and its request, "
                "twice its size, must fit in"},
        BadPair{"BudgetIsSmall", minimal("", "memory: {budget: 60MiB}\n"),
                "m.yaml:4: pipelines[0].batch.target_bytes (16MiB) is too large for memory.budget "
                "(60MiB): beside the prefetch of all consumers (32MiB) a block and its request, "
                "twice its size, must fit in"}),
    name_of_case);

TEST(ConfigChecks, StridesNeedTablesThatDropRepeats) {
  EXPECT_EQ(faults_of(minimal("    boundary: stride\n")), "");
  EXPECT_NE(faults_of(minimal("    boundary: stride\n    delivery: at_least_once\n"))
                .find("pipelines[0].boundary: stride is for tables that drop repeats"),
            std::string::npos);
}

TEST(ConfigChecks, TlsIsForHttpsEndpoints) {
  EXPECT_EQ(faults_of(with_clickhouse("  tls: {server_host_name: ch}\n")),
            "m.yaml:3: clickhouse.tls: none of clickhouse.endpoints is https");
  const auto with_https = [](const std::string& tls) {
    return "clickhouse: {endpoints: [http://h, https://h], tls: {" + tls +
           "}}\npipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n";
  };
  EXPECT_EQ(faults_of(with_https("verify: true, server_host_name: ch")), "");
  EXPECT_EQ(faults_of(with_https("ca_cert: /nonexistent/ca.pem")),
            "m.yaml:1: TLS: cannot use the CA certificates in '/nonexistent/ca.pem': No such file "
            "or directory");
  EXPECT_EQ(faults_of(with_https("client_cert_key: /key.pem")),
            "m.yaml:1: clickhouse.tls.client_cert_key: needs a clickhouse.tls.client_cert");
}

TEST(ConfigChecks, LevelsAreThoseOfTheCodec) {
  const auto faults = [](const std::string& how) {
    return faults_of(minimal("    compression: {" + how + "}\n"));
  };
  EXPECT_EQ(faults("codec: lz4, level: 12"), "");
  EXPECT_EQ(faults("codec: zstd, level: 22"), "");
  EXPECT_EQ(faults("codec: lz4, level: 13"),
            "m.yaml:7: pipelines[0].compression.level: lz4 has levels up to 12");
  EXPECT_EQ(faults("level: 3"),
            "m.yaml:7: pipelines[0].compression.level: needs a compression.codec: lz4 or zstd");
}

TEST(ConfigChecks, WhatJustFitsIsTaken) {
  EXPECT_EQ(faults_of(minimal("    batch: {target_bytes: 240MiB, max_bytes: 1GiB}\n")), "");
  EXPECT_EQ(faults_of(minimal("", "workers: {count: 64}\n")), "");
  EXPECT_EQ(faults_of(with_clickhouse("  pool: {store_limit: 64, soft_limit: 64}\n")), "");
}

TEST(ConfigChecks, ManyPrefetchesDoNotOverflow) {
  EXPECT_NE(faults_of(with_kafka("        consumers: 256\n        prefetch: 1GiB\n"))
                .find("takes 256GiB"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    ClickHouse, BadPairs,
    testing::Values(
        BadPair{"AsyncInsert", with_clickhouse("  insert_settings:\n    async_insert: 1\n"),
                "m.yaml:4: clickhouse.insert_settings.async_insert: must not be set: millrace sets "
                "it, so that no row is lost or doubled"},
        BadPair{"TokenForAllRequests",
                with_clickhouse("  settings: {insert_deduplication_token: x}\n"),
                "m.yaml:3: clickhouse.settings.insert_deduplication_token: must not be set: "
                "millrace sets it, so that no row is lost or doubled"},
        BadPair{"AllowErrors",
                with_clickhouse("  insert_settings: {input_format_allow_errors_num: 5}\n"),
                "m.yaml:3: clickhouse.insert_settings.input_format_allow_errors_num: must not be "
                "set: it makes ClickHouse drop rows without a word"},
        BadPair{"Transport", with_clickhouse("  settings: {session_id: x}\n"),
                "m.yaml:3: clickhouse.settings.session_id: must not be set: use "
                "clickhouse.session.policy"},
        BadPair{"NoDatabase", with_clickhouse("  database: \"\"\n"),
                "m.yaml:3: clickhouse.database: must not be empty"}),
    name_of_case);

TEST(ConfigChecks, AnEndpointTwiceIsRefused) {
  EXPECT_EQ(faults_of("clickhouse: {endpoints: [http://h, http://i, http://h:8123/]}\n"
                      "pipelines: [{name: x, source: {kafka: {brokers: b, topics: [t]}}}]\n"),
            "m.yaml:1: clickhouse.endpoints: names h:8123 twice");
}

INSTANTIATE_TEST_SUITE_P(
    Kafka, BadPairs,
    testing::Values(
        BadPair{"AutoCommit", with_kafka("        options: {enable.auto.commit: true}\n"),
                "m.yaml:6: pipelines[0].source.kafka.options.enable.auto.commit: must not be set: "
                "offsets are committed only when their rows are in ClickHouse"},
        BadPair{"OffsetStore",
                with_kafka("        options:\n          enable.auto.offset.store: true\n"),
                "m.yaml:7: pipelines[0].source.kafka.options.enable.auto.offset.store: must not be "
                "set: offsets are committed only when their rows are in ClickHouse"},
        BadPair{"GroupTwice", with_kafka("        options: {group.id: g}\n"),
                "m.yaml:6: pipelines[0].source.kafka.options.group.id: must not be set: use "
                "source.kafka.group"},
        BadPair{"BrokersTwice", with_kafka("        options: {bootstrap.servers: b}\n"),
                "m.yaml:6: pipelines[0].source.kafka.options.bootstrap.servers: must not be set: "
                "use source.kafka.brokers"},
        BadPair{"StaticMembers",
                with_kafka("        consumers: 2\n        options: {group.instance.id: a}\n"),
                "m.yaml:7: pipelines[0].source.kafka.options.group.instance.id: needs "
                "source.kafka.consumers: 1; members with one name put each other out of the group"},
        BadPair{"NoGroup", with_kafka("        group: \"\"\n"),
                "m.yaml:6: pipelines[0].source.kafka.group: must not be empty"},
        BadPair{"NoTopics", with_kafka("", "[]"),
                "m.yaml:7: pipelines[0].source.kafka.topics: must not be empty"},
        BadPair{"TopicTwice", with_kafka("", "[t, t]"),
                "m.yaml:7: pipelines[0].source.kafka.topics: names \"t\" twice"},
        BadPair{"TopicName", with_kafka("", "[\"a b\"]"),
                "m.yaml:7: pipelines[0].source.kafka.topics: \"a b\" is not the name of a topic: "
                "letters, digits, dot, _ and -, at most 249; a pattern begins with ^"},
        BadPair{"Pattern", with_kafka("", "[\"^a(b\"]"),
                "m.yaml:7: pipelines[0].source.kafka.topics: \"^a(b\" is not a regular "
                "expression: Unmatched ( or \\("}),
    name_of_case);

INSTANTIATE_TEST_SUITE_P(
    Rows, BadPairs,
    testing::Values(
        BadPair{"ColumnsOfCsv", minimal("    format: CSV\n    columns: {offset: _offset}\n"),
                "m.yaml:8: pipelines[0]: format CSV: columns from the record's topic, partition, "
                "offset, timestamp, key, headers or lack of a value need format JSONEachRow"},
        BadPair{"ColumnTwice", minimal("    columns: {offset: c, key: c}\n"),
                "m.yaml:7: pipelines[0].columns.key: column \"c\" is taken by columns.offset"},
        BadPair{"DeletedOfNothing", minimal("    columns: {deleted: d}\n"),
                "m.yaml:7: pipelines[0].columns.deleted: needs source.kafka.tombstones: "
                "empty_payload; else such messages are skipped"},
        BadPair{"TableOfUnreadTopic", minimal("    tables: {evnets: t}\n"),
                "m.yaml:7: pipelines[0].tables.evnets: source.kafka.topics does not read this "
                "topic"},
        BadPair{"NameTwice",
                minimal("", "  - {name: events, source: {kafka: {brokers: b, topics: [t]}}}\n"),
                "m.yaml:7: pipelines[1].name: \"events\" is the name of another pipeline"},
        BadPair{"PipelineName",
                "clickhouse: {endpoints: [http://h]}\n"
                "pipelines: [{name: \"a b\", source: {kafka: {brokers: b, topics: [t]}}}]\n",
                "m.yaml:2: pipelines[0].name: \"a b\" has other characters than letters, digits, "
                "_, - and dots, or none"},
        BadPair{"TopicInTwoPipelines",
                minimal("",
                        "  - name: more\n    source: {kafka: {brokers: 127.0.0.1:9092, topics: "
                        "[events]}}\n"),
                "m.yaml:8: pipelines[1].source.kafka.group: pipeline \"events\" reads topic "
                "\"events\" in group \"millrace\" too, so each would get some of its partitions "
                "only; give one of them another group"}),
    name_of_case);

TEST(ConfigChecks, OptionsThatLibrdkafkaDoesNotTakeAreNamed) {
  const std::string unknown = faults_of(with_kafka("        options: {sesion.timeout.ms: 1}\n"));
  EXPECT_TRUE(unknown.starts_with("m.yaml:6: pipelines[0].source.kafka: ")) << unknown;
  EXPECT_NE(unknown.find("sesion.timeout.ms"), std::string::npos) << unknown;
  const std::string bad = faults_of(with_kafka("        options: {fetch.wait.max.ms: soon}\n"));
  EXPECT_NE(bad.find("fetch.wait.max.ms"), std::string::npos) << bad;
  EXPECT_EQ(faults_of(with_kafka("        options: {security.protocol: ssl, sasl.password: x}\n")),
            "");
}

TEST(ConfigChecks, OptionsThatLibrdkafkaRefusesOfAClientAreNamed) {
  const auto fault = [](const std::string& options) {
    return faults_of(
        with_kafka("        options:\n          client.rack: a\n          " + options));
  };
  EXPECT_EQ(fault("session.timeout.ms: 400000\n"),
            "m.yaml:8: pipelines[0].source.kafka: librdkafka refuses `options`: "
            "`max.poll.interval.ms`must be >= `session.timeout.ms`");
  EXPECT_NE(fault("fetch.max.bytes: 1000000\n          message.max.bytes: 2000000\n")
                .find("m.yaml:8: pipelines[0].source.kafka: librdkafka refuses"),
            std::string::npos);
  EXPECT_NE(fault("security.protocol: ssl\n          ssl.ca.location: /missing.pem\n")
                .find("ssl.ca.location"),
            std::string::npos);
}

TEST(ConfigChecks, OurOwnOptionsGiveWayToTheUsers) {
  for (const char* options :
       {"message.max.bytes: 15000000", "receive.message.max.bytes: 2000000",
        "reconnect.backoff.ms: 10000", "fetch.max.bytes: 90000000",
        "message.max.bytes: 1000000000, receive.message.max.bytes: 2000000000"})
    EXPECT_EQ(faults_of(with_kafka("        options: {" + std::string(options) + "}\n")), "")
        << options;
}

TEST(ConfigChecks, ATopicOfTwoPatternsIsSeen) {
  EXPECT_TRUE(may_be_one_topic("a", "a"));
  EXPECT_FALSE(may_be_one_topic("a", "b"));
  EXPECT_TRUE(may_be_one_topic("^events.*", "events"));
  EXPECT_TRUE(may_be_one_topic("events", "^ev"));
  EXPECT_FALSE(may_be_one_topic("^events\\.", "events"));
  EXPECT_FALSE(may_be_one_topic("^a\\..*", "^b\\..*"));
  EXPECT_FALSE(may_be_one_topic("^events-(a|b)x", "^logs"));
  EXPECT_TRUE(may_be_one_topic("^ab?c", "^ac"));
  EXPECT_TRUE(may_be_one_topic("^a|b", "^b"));
  EXPECT_TRUE(may_be_one_topic("^.*", "^b"));
  EXPECT_TRUE(may_be_one_topic("^\\w", "^b"));
}

TEST(ConfigChecks, PipelinesThatShareAGroupShareNoTopic) {
  const auto fault = [](const std::string& brokers, const std::string& topics,
                        const std::string& other) {
    return faults_of(
        "clickhouse: {endpoints: [http://h]}\npipelines:\n"
        "  - {name: a, source: {kafka: {brokers: 'b1, b2', topics: " +
        topics +
        "}}}\n"
        "  - {name: b, source: {kafka: {brokers: " +
        brokers + ", topics: " + other + "}}}\n");
  };
  EXPECT_EQ(
      fault("b2", "['^events.*']", "[events]"),
      "m.yaml:4: pipelines[1].source.kafka.group: pipeline \"a\" reads \"^events.*\" in group "
      "\"millrace\", and a topic can be of that and of \"events\", so each would get some of "
      "its partitions only; give one of them another group");
  EXPECT_EQ(fault("b3", "['^events.*']", "[events]"), "");
  EXPECT_EQ(fault("b2", "['^events.*']", "[logs]"), "");
}

TEST(ConfigChecks, TablesAreNamesOfOneOrTwoParts) {
  for (const char* table : {"t", "db.t", "`a.b`", "db.`a b`", "`x y`.`z`", "täble", "_1"})
    EXPECT_EQ(faults_of(minimal("    tables: {events: '" + std::string(table) + "'}\n")), "")
        << table;
  for (const char* table : {"a.b.c", "a b", ".t", "t.", "`", "``", "`a", "a`b`", "a\\b", "t;x",
                            "t(1)", "a\"b", "`a`b", "`a`.", "a..b"})
    EXPECT_EQ(faults_of(minimal("    tables: {events: '" + std::string(table) + "'}\n")),
              "m.yaml:7: pipelines[0].tables.events: \"" + std::string(table) +
                  "\" is not the name of a table: name or database.name, a part with a dot or a "
                  "space in backticks");
}

TEST(ConfigChecks, PatternsMayHaveTablesForTopicsNotNamed) {
  EXPECT_EQ(faults_of(with_kafka("", "[\"^events$\"]") + "    tables: {events: t}\n"), "");
}

TEST(ConfigChecks, AnAssignmentThatEndsTheProcessIsRefusedWithItsLine) {
  const std::string refusal = check_assignment("cooperative-sticky");
  if (refusal.empty()) GTEST_SKIP() << "this librdkafka can do it";
  EXPECT_EQ(faults_of(with_kafka("        assignment: cooperative-sticky\n")),
            "m.yaml:6: pipelines[0].source.kafka.assignment: " + refusal);
}

TEST(ConfigChecks, OneTopicInTwoGroupsIsFine) {
  EXPECT_EQ(faults_of(minimal("",
                              "  - name: more\n    source: {kafka: {brokers: 127.0.0.1:9092, "
                              "group: other, topics: [events]}}\n")),
            "");
}

}  // namespace
}  // namespace millrace
