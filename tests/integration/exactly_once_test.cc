// `delivery: exactly_once`: whatever happens to millrace and to its group, each row is there once.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr int kPartitions = 8;
constexpr std::uint64_t kRows = kSanitized ? 60'000 : 400'000;
// So that many blocks come between two faults, and all of them are known at the end.
constexpr unsigned kWindow = 100'000;

class ExactlyOnceTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), kPartitions);
    create_rows_table(clickhouse(), name(), kWindow);
  }
  std::string exact_config(const std::string& pipeline_more = {}) const {
    // The broker gives a dead member's partitions away when its session is over: soon.
    return clickhouse_yaml() +
           pipelines_yaml("options: {session.timeout.ms: '6000'}",
                          "delivery: exactly_once, batch: {max_rows: 1000}" + pipeline_more) +
           "workers: {count: 2}\n";
  }
  std::unique_ptr<Millrace> start(const std::string& sub, const std::string& config) const {
    auto millrace = std::make_unique<Millrace>(folder(sub), config);
    millrace->start();
    return millrace;
  }
  testing::AssertionResult reaches(std::uint64_t rows) const {
    return eventually(
        [&] {
          return clickhouse().try_number("SELECT count() FROM " + name()).value_or(0) >= rows;
        },
        kPatience, std::to_string(rows) + " rows in " + name(), Millis{5});
  }
  testing::AssertionResult commits(std::uint64_t rows) {
    return eventually(
        [&] {
          return total(kafka().committed_offsets(name(), name())) ==
                 static_cast<std::int64_t>(rows);
        },
        kPatience, "all offsets are committed", Millis{200});
  }
  // Each row once, and nothing left to do.
  void expect_exact(std::uint64_t rows) {
    const auto done = [&] { return missing_rows(clickhouse(), name(), rows) == 0; };
    EXPECT_TRUE(eventually(done, kPatience, "no row is missing", Millis{300}));
    EXPECT_TRUE(commits(rows));
    EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
    EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), rows));
  }
};

TEST_F(ExactlyOnceTest, KilledMillraceLosesAndDoublesNothing) {
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  for (const std::uint64_t part : {1UL, 2UL, 3UL, 4UL}) {
    const auto millrace = start("killed", exact_config());
    ASSERT_TRUE(reaches(part * kRows / 20));
    millrace->kill9();
  }
  EXPECT_GT(missing_rows(clickhouse(), name(), kRows), 0u);
  const auto last = start("last", exact_config());
  expect_exact(kRows);
  EXPECT_EQ(last->stop(), 0);
}

// It wakes up with blocks in its hands that have another owner now.
TEST_F(ExactlyOnceTest, SleeperThatWakesDoublesNothing) {
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  const auto sleeper = start("sleeper", exact_config());
  ASSERT_TRUE(reaches(kRows / 10));
  sleeper->signal(SIGSTOP);
  const auto other = start("other", exact_config());
  ASSERT_TRUE(eventually([&] { return other->metric("millrace_lanes") == kPartitions; }, kPatience,
                         "the other one has all partitions"));
  ASSERT_TRUE(reaches(kRows / 3));
  sleeper->signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return sleeper->metric("millrace_lanes") == kPartitions / 2; },
                         kPatience, "the sleeper is back in the group"));
  expect_exact(kRows);
  EXPECT_EQ(sleeper->stop(), 0);
  EXPECT_EQ(other->stop(), 0);
}

TEST_F(ExactlyOnceTest, ConsumersComeAndGo) {
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  const auto first = start("first", exact_config());
  ASSERT_TRUE(reaches(kRows / 20));
  for (int i = 1; i <= 3; ++i) {
    const auto second = start("second", exact_config());
    ASSERT_TRUE(eventually([&] { return second->metric("millrace_lanes") == kPartitions / 2; },
                           kPatience, "the second one has half of the partitions"));
    if (i == 2) {
      second->kill9();
    } else {
      EXPECT_EQ(second->stop(), 0);
    }
  }
  expect_exact(kRows);
  EXPECT_EQ(first->stop(), 0);
}

TEST_F(ExactlyOnceTest, KilledBrokerDoublesNothing) {
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  const auto millrace = start("millrace", exact_config());
  ASSERT_TRUE(reaches(kRows / 10));
  kafka().kill9();
  kafka().start();
  expect_exact(kRows);
  EXPECT_EQ(millrace->stop(), 0);
}

// Its progress and plan are gone; the borders are where they were.
TEST_F(ExactlyOnceTest, AGroupThatIsSetBackDoublesNothingAtStrides) {
  constexpr std::uint64_t kStrides = 6'000;  // of 1,000 rows, in one partition
  produce_rows(kafka(), name(), 0, kStrides + 10, 1);
  const auto config = exact_config(", boundary: stride");
  {
    const auto killed = start("killed", config);
    ASSERT_TRUE(reaches(kStrides / 2));
    killed->kill9();
  }
  EXPECT_TRUE(eventually([&] { return kafka().commit(name(), name(), 0, 0); }, kPatience,
                         "the group has no member, and is set back"));
  const auto again = start("again", config);
  EXPECT_TRUE(commits(kStrides));
  EXPECT_EQ(missing_rows(clickhouse(), name(), kStrides), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
  EXPECT_EQ(again->stop(), 0);
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), kStrides)
      << "rows behind the last border wait";
}

TEST_F(ExactlyOnceTest, PlanOfAnotherConfigurationIsNotTouched) {
  const std::uint64_t rows = 8'000;
  {
    const auto planner = start("planner", exact_config());
    ASSERT_TRUE(eventually([&] { return planner->metric("millrace_lanes") == kPartitions; },
                           kPatience, "all partitions are assigned"));
    clickhouse().freeze();
    produce_rows(kafka(), name(), 0, rows, 1);  // one lane has a plan, the others have no rows
    const auto planned = [&] {                  // the lengths of planned blocks end the text
      const auto text = kafka().committed_metadata(name(), name(), 0);
      return text && !text->empty() && !text->ends_with(';');
    };
    EXPECT_TRUE(eventually(planned, kPatience, "blocks are planned", Millis{100}));
    planner->kill9();
    clickhouse().thaw();
  }
  {
    const auto other = start("other", exact_config(", columns: {offset: o}"));
    EXPECT_TRUE(eventually(
        [&] {
          return other->get("/status").body.find("PLAN_OF_ANOTHER_CONFIGURATION") !=
                 std::string::npos;
        },
        kPatience, "the lane says why it stands"));
    other->stop();
  }
  const auto former = start("former", exact_config());
  expect_exact(rows);
  EXPECT_EQ(former->stop(), 0);
}

// Nothing is sent to a table that would take a repeat for new rows.
TEST_F(ExactlyOnceTest, ATableThatCanNotGiveItIsRefusedUntilItCan) {
  const std::uint64_t rows = 8'000;
  clickhouse().query("ALTER TABLE " + name() +
                     " MODIFY SETTING non_replicated_deduplication_window = 0");
  produce_rows(kafka(), name(), 0, rows, kPartitions);
  const auto millrace = start("refused", exact_config());
  EXPECT_TRUE(eventually(
      [&] {
        return millrace->metric("millrace_lanes_waiting", {R"(reason="NOT_EXACTLY_ONCE")"}) ==
               kPartitions;
      },
      kPatience, "all lanes wait"))
      << millrace->get("/status").body;
  const std::string remedy =
      "ALTER TABLE " + name() + " MODIFY SETTING non_replicated_deduplication_window = 100000";
  EXPECT_NE(millrace->log().find(remedy), std::string::npos);
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), 0u);
  clickhouse().query(remedy);
  expect_exact(rows);
  EXPECT_EQ(millrace->stop(), 0);
}

class GuaranteeCheckTest : public ExactlyOnceTest {
 protected:
  // What `millrace check` says of a pipeline into the table.
  void expect_check(const std::string& table, const std::string& says, int exit_code,
                    const std::string& pipeline_more = "delivery: exactly_once") {
    const TempDir dir;
    const auto file = dir / "check.yaml";
    write_file(file, clickhouse_yaml() + "pipelines:\n  - {name: test, table: " + table +
                         ", source: {kafka: {brokers: '" + kafka().brokers() + "', topics: [" +
                         name() + "]}}, " + pipeline_more + "}\n");
    const ProgramResult result =
        run_program({built_program("millrace").string(), "check", "-c", file.string()}, kPatience,
                    sanitizer_environment());
    EXPECT_EQ(result.exit_code, exit_code) << result.output;
    EXPECT_NE(result.output.find(says), std::string::npos) << result.output;
  }
};

TEST_F(GuaranteeCheckTest, SaysWhichTablesCanGiveIt) {
  create_rows_table(clickhouse(), "forgetful", 0);
  create_rows_table(clickhouse(), "short", 100);
  clickhouse().query("CREATE TABLE nothing (n UInt64, text String) ENGINE = Null");
  const std::string plain = "holds only while ClickHouse itself is not killed";
  expect_check(name(), plain, 1);
  expect_check("default." + name(), plain, 1);
  expect_check(name(), "at_least_once: exactly_once " + plain, 0, "delivery: auto");
  expect_check("forgetful",
               "ALTER TABLE forgetful MODIFY SETTING non_replicated_deduplication_window = 100000",
               1);
  expect_check("forgetful", "at_least_once: exactly_once does not hold", 0, "delivery: auto");
  expect_check("short", "ALTER TABLE short MODIFY SETTING", 1);
  expect_check("nothing", "engine Null remembers no deduplication tokens", 1);
  expect_check("nothing", "table nothing, 2 columns", 0, "delivery: at_least_once");
}

TEST_F(GuaranteeCheckTest, CountsColumnsByWhichRowsAreFoundAndAllThatIsBehindViews) {
  const std::string named =
      "delivery: exactly_once, columns: {topic: topic, partition: part, offset: at}";
  clickhouse().query(
      "CREATE TABLE named (n UInt64, text String, topic String, part Int32, at "
      "Int64) ENGINE = MergeTree ORDER BY n SETTINGS "
      "non_replicated_deduplication_window = 100000");
  expect_check("named", "exactly_once: non_replicated_deduplication_window is 100000", 0, named);
  create_rows_table(clickhouse(), "far", 0);
  create_rows_table(clickhouse(), "near", kWindow);
  clickhouse().query("CREATE MATERIALIZED VIEW first_view TO near AS SELECT n, text FROM named");
  clickhouse().query("CREATE MATERIALIZED VIEW second_view TO far AS SELECT * FROM near");
  expect_check("named", "ALTER TABLE default.far MODIFY SETTING", 1, named);
  expect_check("named", "by a view into default.near: exactly_once holds only while", 1, named);
}

TEST_F(GuaranteeCheckTest, LooksWhereDeadLettersWillBeKept) {
  create_rows_table(clickhouse(), "any", 0);
  const auto into = [](const std::string& where) { return "dead_letters: {" + where + "}"; };
  const TempDir dir;
  const std::string file = (dir / "letters").string();
  expect_check("any", "dead letters: file " + file, 0, into("store: file, file: " + file));
  EXPECT_FALSE(std::filesystem::exists(file)) << "it changes nothing";
  expect_check("any", "/letters: No such file or directory; mend that", 1,
               into("store: file, file: " + file + "/letters"));
  kafka().create_topic("letters", 1);
  expect_check("any", "dead letters: topic letters", 0, into("store: kafka, topic: letters"));
  expect_check("any", "dead letters: topic nowhere: ", 1, into("store: kafka, topic: nowhere"));
}

}  // namespace
}  // namespace millrace::test
