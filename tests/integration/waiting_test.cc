// When something is missing or refused, millrace says what, waits, and goes on by itself: no row is
// lost meanwhile, and what is not concerned goes on.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRows = 1000;
constexpr int kPartitions = 2;
constexpr const char* kQuickProbes =
    "workers: {retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n";

class WaitingTest : public WithServers {
 protected:
  void SetUp() override { WithServers::SetUp(); }
  void produce() {
    kafka().create_topic(name(), kPartitions);
    produce_rows(kafka(), name(), 0, kRows, kPartitions);
  }
  std::string config_for(const RealClickHouse& server, const std::string& more = {}) const {
    return "clickhouse: {endpoints: ['" + server.url() + "']" + more + "}\n" + pipelines_yaml() +
           kQuickProbes;
  }
  // The lane waits for this reason, and metric and log say so; nothing was committed.
  void expect_waiting(const Millrace& millrace, const std::string& reason,
                      const std::string& log_names) {
    const auto waiting = [&] {
      return millrace.metric("millrace_lanes_waiting", {"reason=\"" + reason + "\""}).value_or(0) >
             0;
    };
    ASSERT_TRUE(eventually(waiting, kPatience, "a lane waits for " + reason))
        << millrace.get("/status").body;
    EXPECT_NE(millrace.log().find(reason), std::string::npos);
    EXPECT_NE(millrace.log().find(log_names), std::string::npos);
    EXPECT_NE(millrace.get("/status").body.find(reason), std::string::npos);
    EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
  }
  static void expect_all_rows(const RealClickHouse& server, const std::string& table) {
    EXPECT_TRUE(eventually(
        [&] { return server.try_number("SELECT count() FROM " + table).value_or(0) >= kRows; },
        kPatience, "all rows are there"));
    EXPECT_EQ(table_checksums(server, table), produced_checksums(server, kRows));
  }
};

TEST_F(WaitingTest, ClickHouseDownAtStart) {
  produce();
  create_rows_table(clickhouse(), name(), 1000);
  clickhouse().stop();
  Millrace millrace(folder(), config(kQuickProbes));
  millrace.start();
  const auto says_so = [&] {
    const HttpReply ready = millrace.get("/readyz");
    return ready.status == 503 &&
           ready.body.find(std::to_string(clickhouse().port())) != std::string::npos;
  };
  EXPECT_TRUE(eventually(says_so, kPatience, "/readyz names the endpoint"));
  EXPECT_EQ(millrace.get("/livez").status, 200);
  clickhouse().start();
  expect_all_rows(clickhouse(), name());
  EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, BrokerDownAtStart) {
  produce();
  create_rows_table(clickhouse(), name(), 1000);
  kafka().stop();
  Millrace millrace(folder(), config());
  millrace.start();
  const auto says_so = [&] {
    const HttpReply ready = millrace.get("/readyz");
    return ready.status == 503 && ready.body.find(kafka().brokers()) != std::string::npos;
  };
  EXPECT_TRUE(eventually(says_so, kPatience, "/readyz names the broker"));
  kafka().start();
  expect_all_rows(clickhouse(), name());
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, TopicThatIsMadeLater) {
  create_rows_table(clickhouse(), name(), 1000);
  Millrace millrace(folder(), config());
  millrace.start();
  const auto says_so = [&] {
    const HttpReply ready = millrace.get("/readyz");
    return ready.status == 503 && ready.body.find(name()) != std::string::npos;
  };
  EXPECT_TRUE(eventually(says_so, kPatience, "/readyz names the topic"));
  produce();
  expect_all_rows(clickhouse(), name());
  EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, TableThatIsMadeLater) {
  produce();
  Millrace millrace(folder(), config(kQuickProbes));
  millrace.start();
  expect_waiting(millrace, "UNKNOWN_TABLE", name());
  create_rows_table(clickhouse(), name(), 1000);
  expect_all_rows(clickhouse(), name());
  EXPECT_TRUE(eventually([&] { return millrace.metric("millrace_lanes_waiting").value_or(0) == 0; },
                         kPatience, "no lane waits"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, DatabaseThatIsMadeLater) {
  produce();
  Millrace millrace(folder(), clickhouse_yaml("database: later") + pipelines_yaml() + kQuickProbes);
  millrace.start();
  expect_waiting(millrace, "UNKNOWN_DATABASE", name());
  clickhouse().query("CREATE DATABASE later");
  create_rows_table(clickhouse(), "later." + name(), 1000);
  expect_all_rows(clickhouse(), "later." + name());
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, ColumnThatIsMadeLater) {
  produce();
  clickhouse().query("CREATE TABLE " + name() + " (n UInt64) ENGINE = MergeTree ORDER BY n");
  Millrace millrace(folder(), config(kQuickProbes));
  millrace.start();
  expect_waiting(millrace, "INCORRECT_DATA", "text");
  clickhouse().query("ALTER TABLE " + name() + " ADD COLUMN text String");
  expect_all_rows(clickhouse(), name());
  EXPECT_EQ(millrace.stop(), 0);
}

// `default` is the test's own user; `feeder` is millrace's.
std::string users(const std::string& password, const std::string& profile_settings = {}) {
  const std::string common = "<networks><ip>::/0</ip></networks><quota>default</quota><profile>";
  return "<profiles><default/><fed>" + profile_settings + "</fed></profiles>" +
         "<quotas><default/></quotas><users><default><password/>" + common +
         "default</profile></default><feeder><password>" + password + "</password>" + common +
         "fed</profile></feeder></users>";
}
// Found nowhere in the log, unless it is told there.
const std::string kPassword = "s3cr3t-7f1";
const std::string kFeeder = ", user: feeder, password: " + kPassword;

TEST_F(WaitingTest, PasswordThatIsCorrectedLater) {
  produce();
  RealClickHouse guarded({.folder = folder("clickhouse"), .users_xml = users("another")});
  guarded.start();
  create_rows_table(guarded, name(), 1000);
  Millrace millrace(folder(), config_for(guarded, kFeeder));
  millrace.start();
  expect_waiting(millrace, "AUTHENTICATION_FAILED", "feeder");
  EXPECT_EQ(millrace.log().find(kPassword), std::string::npos) << "the log holds the password";
  guarded.stop();
  guarded.configure(users(kPassword));
  guarded.start();
  expect_all_rows(guarded, name());
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, PasswordFileThatIsRotatedWhileItRuns) {
  RealClickHouse guarded({.folder = folder("clickhouse"), .users_xml = users("first")});
  guarded.start();
  create_rows_table(guarded, name(), 1000);
  kafka().create_topic(name(), kPartitions);
  Millrace millrace(
      folder(),
      config_for(guarded, ", user: feeder, password: '${file:" + folder("secret").string() + "}'"));
  write_file(folder("secret"), "first\n");
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready"));
  guarded.stop();
  guarded.configure(users(kPassword));
  guarded.start();
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  expect_waiting(millrace, "AUTHENTICATION_FAILED", "feeder");
  write_file(folder("secret"), kPassword);
  expect_all_rows(guarded, name());
  EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready"));
  EXPECT_NE(millrace.log().find("clickhouse.password: <redacted>"), std::string::npos);
  EXPECT_EQ(millrace.log().find(kPassword), std::string::npos) << "the log holds the password";
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, CheckNamesTheRightsThatAreMissing) {
  kafka().create_topic(name(), kPartitions);
  std::string xml = users(kPassword);
  xml.insert(xml.find("</feeder>"), "<grants><query>GRANT SELECT ON *.*</query></grants>");
  RealClickHouse guarded({.folder = folder("clickhouse"), .users_xml = xml});
  guarded.start();
  create_rows_table(guarded, name(), 1000);
  const auto file = folder("check.yaml");
  write_file(file, config_for(guarded, kFeeder));
  const ProgramResult result =
      run_program({built_program("millrace").string(), "check", "-c", file.string()}, kPatience,
                  sanitizer_environment());
  EXPECT_EQ(result.exit_code, 1) << result.output;
  for (const std::string& remedy :
       {"GRANT INSERT ON " + name() + " TO feeder",
        std::string("GRANT CREATE TABLE, INSERT ON millrace_dead_letters TO feeder")}) {
    EXPECT_NE(result.output.find(remedy), std::string::npos) << result.output;
  }
}

TEST_F(WaitingTest, ServerWithoutMemoryForTheInsert) {
  produce();
  RealClickHouse small({.folder = folder("clickhouse"),
                        .users_xml = users(kPassword,
                                           "<max_memory_usage>100000</max_memory_usage>"
                                           "<max_untracked_memory>0</max_untracked_memory>")});
  small.start();
  create_rows_table(small, name(), 1000);
  Millrace millrace(folder(), config_for(small, kFeeder));
  millrace.start();
  const auto retries = [&] {
    return millrace.metric("millrace_retries_total", {R"(code="MEMORY_LIMIT_EXCEEDED")"});
  };
  EXPECT_TRUE(eventually([&] { return retries().value_or(0) > 2; }, kPatience, "it is retried"));
  EXPECT_EQ(small.query("SELECT count() FROM " + name()), "0");
  small.stop();
  small.configure(users(kPassword));
  small.start();
  expect_all_rows(small, name());
  EXPECT_EQ(millrace.stop(), 0);
}

// Space that must stay free makes a disk a full one.
std::string disk_config(const std::string& keep_free_bytes) {
  return "<storage_configuration><disks><default><keep_free_space_bytes>" + keep_free_bytes +
         "</keep_free_space_bytes></default></disks></storage_configuration>";
}

TEST_F(WaitingTest, ServerWithoutSpaceOnItsDisk) {
  produce();
  RealClickHouse full({.folder = folder("clickhouse"),
                       .users_xml = users(kPassword),
                       .config_xml = disk_config("1000000000000000")});
  full.start();
  create_rows_table(full, name(), 1000);
  Millrace millrace(folder(), config_for(full, kFeeder));
  millrace.start();
  expect_waiting(millrace, "NOT_ENOUGH_SPACE", name());
  full.stop();
  full.configure(users(kPassword), disk_config("0"));
  full.start();
  expect_all_rows(full, name());
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, MessageThatIsNotJsonHoldsItsOwnLaneOnly) {
  const std::string other = name() + "_other";
  for (const auto& each : {name(), other}) {
    kafka().create_topic(each, kPartitions);
    create_rows_table(clickhouse(), each, 1000);
    produce_rows(kafka(), each, 0, kRows, kPartitions);
  }
  const auto send_bad_one = [&, sent = false](KafkaMessage& message) mutable {
    message.payload = "this is not JSON";
    message.partition = 0;
    return !std::exchange(sent, true);
  };
  ASSERT_TRUE(has_rows(name(), 0));
  kafka().produce(name(), send_bad_one);
  produce_rows(kafka(), name(), kRows, 2 * kRows, kPartitions);

  Millrace millrace(folder(), clickhouse_yaml() +
                                  "pipelines:\n  - {name: test, source: {kafka: " + "{brokers: '" +
                                  kafka().brokers() + "', group: " + name() + ", topics: [" +
                                  name() + ", " + other + "]}}, dead_letters: {store: none}}\n" +
                                  kQuickProbes + "shutdown: {grace: 1s}\n");
  millrace.start();
  const auto alarm = [&] {
    return millrace.metric("millrace_lanes_waiting", {"table=\"" + name() + "\""}) == 1;
  };
  ASSERT_TRUE(eventually(alarm, kPatience, "the lane with the bad message waits"));
  // The whole other topic, and the other partition of this one.
  expect_all_rows(clickhouse(), other);
  EXPECT_TRUE(has_rows("(SELECT n FROM " + name() + " WHERE n % 2 = 1)", kRows));
  EXPECT_NE(millrace.log().find(name()), std::string::npos);
  // Not one offset at or behind the bad message counts as done.
  EXPECT_LE(kafka().committed_offsets(name(), name())[0], static_cast<std::int64_t>(kRows) / 2);
  EXPECT_TRUE(alarm());
  // It can't be sent, so the drain is not complete; nothing is dropped for it.
  EXPECT_EQ(millrace.stop(), 3);
  EXPECT_LE(kafka().committed_offsets(name(), name())[0], static_cast<std::int64_t>(kRows) / 2);
}

TEST_F(WaitingTest, MessageLargerThanTheBudgetNamesTheSetting) {
  kafka().create_topic(name(), 1);
  create_rows_table(clickhouse(), name(), 1000);
  kafka().produce_texts(name(),
                        {row_json(0), R"({"n":1,"text":")" + std::string(990'000, 'x') + "\"}"});
  Millrace millrace(folder(), clickhouse_yaml() +
                                  // Columns would be made beside it, and need as much again.
                                  pipelines_yaml("prefetch: 64KiB",
                                                 "encoding: as_is, batch: {max_bytes: 64KiB}") +
                                  "memory: {budget: 1MiB}\n");
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.log().find("memory.budget") != std::string::npos; },
                         kPatience, "the log names the setting"));
  EXPECT_TRUE(has_rows(name(), 1)) << "the row before it";
  EXPECT_LE(total(kafka().committed_offsets(name(), name())), 1);
  millrace.signal(SIGTERM);
  EXPECT_TRUE(millrace.wait(kPatience).has_value());

  Millrace larger(folder("larger"), config());
  larger.start();
  EXPECT_TRUE(has_rows(name(), 2));
  EXPECT_EQ(larger.stop(), 0);
}

// It would fit beside the prefetch of its own consumer, but the other one's is not coming back.
TEST_F(WaitingTest, MessageLargerThanWhatAllConsumersLeaveNamesTheSetting) {
  kafka().create_topic(name(), 1);
  create_rows_table(clickhouse(), name(), 1000);
  kafka().produce_texts(name(),
                        {row_json(0), R"({"n":1,"text":")" + std::string(850'000, 'x') + "\"}"});
  Millrace millrace(
      folder(), clickhouse_yaml() +
                    pipelines_yaml("consumers: 2, prefetch: 128KiB", "batch: {max_bytes: 64KiB}") +
                    "memory: {budget: 1MiB}\n" + "shutdown: {grace: 1s}\n");
  millrace.start();
  EXPECT_TRUE(eventually([&] { return millrace.log().find("memory.budget") != std::string::npos; },
                         kPatience, "the log names the setting"));
  EXPECT_TRUE(has_rows(name(), 1)) << "the row before it";
  millrace.stop();
}

TEST_F(WaitingTest, MessageThatTakesNearlyTheWholeBudgetArrives) {
  kafka().create_topic(name(), 1);
  create_rows_table(clickhouse(), name(), 1000);
  kafka().produce_texts(
      name(), {row_json(0), R"({"n":1,"text":")" + std::string(900'000, 'x') + "\"}", row_json(2)});
  Millrace millrace(folder(), clickhouse_yaml() +
                                  // Columns would be made beside it, and need as much again.
                                  pipelines_yaml("prefetch: 64KiB",
                                                 "encoding: as_is, batch: {max_bytes: 64KiB}") +
                                  "memory: {budget: 1MiB}\n");
  millrace.start();
  EXPECT_TRUE(has_rows(name(), 3));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(WaitingTest, SecondSigtermStopsAtOnce) {
  produce();
  create_rows_table(clickhouse(), name(), 1000);
  clickhouse().freeze();
  Millrace millrace(folder(), config("shutdown: {grace: 1h}\n"));
  millrace.start();
  ASSERT_TRUE(eventually(
      [&] { return millrace.get("/status").body.find("describe table") != std::string::npos; },
      kPatience, "a worker asks how the table looks"));
  millrace.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return millrace.log().find("draining") != std::string::npos; },
                         kPatience, "it drains"));
  EXPECT_TRUE(millrace.running());
  millrace.signal(SIGTERM);
  EXPECT_EQ(millrace.wait(seconds{30}), 4);
  clickhouse().thaw();
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
}

TEST_F(WaitingTest, GraceThatIsTooShortIsAnExitCodeAndLosesNothing) {
  produce();
  create_rows_table(clickhouse(), name(), 1000);
  clickhouse().freeze();
  Millrace millrace(folder(), config("shutdown: {grace: 1s}\n"));
  millrace.start();
  ASSERT_TRUE(
      eventually([&] { return millrace.metric("millrace_read_rows_total").value_or(0) > 0; },
                 kPatience, "rows are read"));
  EXPECT_EQ(millrace.stop(), 3);
  EXPECT_NE(millrace.log().find("shutdown.grace"), std::string::npos);
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
  clickhouse().thaw();
  Millrace again(folder("again"), config());
  again.start();
  EXPECT_TRUE(eventually([&] { return missing_rows(clickhouse(), name(), kRows) == 0; }, kPatience,
                         "nothing is missing"));
  EXPECT_EQ(again.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
