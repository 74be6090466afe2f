// What check and the lanes say of settings that the user may not change, of views named as tables,
// of brokers that send clients to a wrong place, and of groups that are shared.
#include <gtest/gtest.h>

#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr const char* kQuickProbes =
    "workers: {retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n";
constexpr const char* kManaged = ", user: managed, password: secret";

std::string managed_user(const std::string& constraints) {
  return "<profiles><default/><managed><async_insert>1</async_insert><max_insert_threads>4"
         "</max_insert_threads><constraints>" +
         constraints +
         "</constraints></managed></profiles><users><default><password></password><networks><ip>::/"
         "0"
         "</ip></networks><profile>default</profile><quota>default</quota></default><managed>"
         "<password>secret</password><networks><ip>::/0</ip></networks><profile>managed</profile>"
         "<quota>default</quota></managed></users><quotas><default/></quotas>";
}

class SettingsTest : public WithServers {
 protected:
  ProgramResult check(const std::string& yaml) const {
    const auto file = folder("check.yaml");
    write_file(file, yaml);
    return run_program({built_program("millrace").string(), "check", "-c", file.string()},
                       kPatience, sanitizer_environment());
  }
  std::string yaml(const RealClickHouse& server, const std::string& clickhouse_more = {}) const {
    return "clickhouse: {endpoints: ['" + server.url() + "']" + clickhouse_more + "}\n" +
           pipelines_yaml() + kQuickProbes;
  }
  static void expect_says(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
  }
  static void expect_shown(const Millrace& millrace, const std::string& path,
                           const std::string& text) {
    EXPECT_TRUE(eventually([&] { return millrace.get(path).body.find(text) != std::string::npos; },
                           kPatience, path + " says " + text))
        << millrace.get(path).body;
  }
};

TEST_F(SettingsTest, AllThatTheUserMayNotChangeAreNamed) {
  kafka().create_topic(name(), 1);
  RealClickHouse managed(
      {.folder = folder("clickhouse"),
       .users_xml = managed_user("<async_insert><const/></async_insert><max_insert_threads><min>2"
                                 "</min></max_insert_threads>")});
  managed.start();
  managed.query("CREATE TABLE " + name() + " (id UInt64, s String) ENGINE = MergeTree ORDER BY id");
  const ProgramResult result = check(yaml(managed, kManaged));
  EXPECT_EQ(result.exit_code, 1) << result.output;
  expect_says(result.output, {"FAIL", "user managed may not change settings",
                              "async_insert = 0, max_insert_threads = 1", "profile"});

  Millrace millrace(folder(), yaml(managed, kManaged));
  millrace.start();
  kafka().produce_texts(name(), {R"({"id":1,"s":"x"})"});
  expect_shown(millrace, "/status", "SETTING_CONSTRAINT_VIOLATION");
  expect_shown(millrace, "/status", "async_insert = 0, max_insert_threads = 1");
  managed.stop();
  managed.configure(managed_user(""));
  managed.start();
  EXPECT_TRUE(eventually(
      [&] { return managed.try_number("SELECT count() FROM " + name()).value_or(0) == 1; },
      kPatience, "the row is there"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(SettingsTest, SettingsThatTheServerDoesNotKnowAreNamed) {
  kafka().create_topic(name(), 1);
  clickhouse().query("CREATE TABLE " + name() + " (id UInt64) ENGINE = MergeTree ORDER BY id");
  const ProgramResult result =
      check(yaml(clickhouse(), ", insert_settings: {input_format_skp_unknown_fields: 1}"));
  EXPECT_EQ(result.exit_code, 1) << result.output;
  expect_says(result.output, {"does not know input_format_skp_unknown_fields = 1"});
  EXPECT_EQ(check(yaml(clickhouse(), ", insert_settings: {input_format_skip_unknown_fields: 1}"))
                .exit_code,
            0);
}

TEST_F(SettingsTest, AViewIsNoTable) {
  kafka().create_topic(name(), 1);
  clickhouse().query("CREATE TABLE source_of_view (id UInt64) ENGINE = MergeTree ORDER BY id");
  clickhouse().query("CREATE VIEW " + name() + " AS SELECT id FROM source_of_view");
  const ProgramResult plain = check(yaml(clickhouse()));
  EXPECT_EQ(plain.exit_code, 1) << plain.output;
  expect_says(plain.output, {"FAIL", name() + " is a view, into which nothing can be inserted"});
  Millrace millrace(folder(), yaml(clickhouse()));
  millrace.start();
  kafka().produce_texts(name(), {R"({"id":1})"});
  expect_shown(millrace, "/status", name() + " is a view, into which nothing can be inserted");
  clickhouse().query("DROP VIEW " + name());
  clickhouse().query("CREATE MATERIALIZED VIEW " + name() +
                     " ENGINE = MergeTree ORDER BY id AS SELECT id FROM source_of_view");
  const ProgramResult materialized = check(yaml(clickhouse()));
  EXPECT_EQ(materialized.exit_code, 1) << materialized.output;
  expect_says(materialized.output, {name() + " is a materialized view", "that it reads from"});
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(SettingsTest, TheBrokerSendsClientsToANameThatThisHostDoesNotKnow) {
  RealKafka hidden(folder("kafka"));
  hidden.advertise("kafka-internal.invalid", 9092);
  hidden.start();
  hidden.create_topic(name(), 1);
  clickhouse().query("CREATE TABLE " + name() + " (id UInt64) ENGINE = MergeTree ORDER BY id");
  const std::string told = "127.0.0.1:" + std::to_string(hidden.proxied_port());
  const std::string yaml = clickhouse_yaml() + "pipelines:\n  - {name: test, table: " + name() +
                           ", source: {kafka: {brokers: '" + told + "', group: g, topics: [" +
                           name() + "]}}}\n";
  const std::string words = "the broker at " + told +
                            " says that clients must go to kafka-internal.invalid:9092: "
                            "advertised.listeners of the broker";
  const ProgramResult result = check(yaml);
  EXPECT_EQ(result.exit_code, 1) << result.output;
  expect_says(result.output, {"FAIL", words});
  Millrace millrace(folder(), yaml + "shutdown: {grace: 1s}\n");
  millrace.start();
  expect_shown(millrace, "/readyz", words);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(SettingsTest, AGroupThatIsSharedByTwoTablesIsSaid) {
  kafka().create_topic(name(), 2);
  for (const std::string table : {"raw", "hourly"})
    clickhouse().query("CREATE TABLE " + table + " (id UInt64) ENGINE = MergeTree ORDER BY id");
  const auto yaml = [&](const std::string& table) {
    std::string text = config();
    const std::string ours = "table: " + name();
    return text.replace(text.find(ours), ours.size(), "table: " + table);
  };
  Millrace raw(folder("raw"), yaml("raw")), hourly(folder("hourly"), yaml("hourly"));
  raw.start();
  hourly.start();
  const auto has_a_lane = [](const Millrace& millrace) {
    return millrace.metric("millrace_lanes").value_or(0) == 1;
  };
  ASSERT_TRUE(eventually([&] { return has_a_lane(raw) && has_a_lane(hourly); }, kPatience,
                         "each has a partition"));
  for (int partition : {0, 1}) {
    int sent = 0;
    kafka().produce(name(), [&](KafkaMessage& message) {
      message.payload = R"({"id":1})";
      message.partition = partition;
      return sent++ < 1;
    });
  }
  for (const Millrace* each : {&raw, &hourly}) {
    EXPECT_TRUE(eventually(
        [&] {
          return each->log().find("another member of group " + name()) != std::string::npos &&
                 each->log().find("source.kafka.group") != std::string::npos;
        },
        kPatience, "the log says so"));
  }
  EXPECT_EQ(raw.stop(), 0);
  EXPECT_EQ(hourly.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
