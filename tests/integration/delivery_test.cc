// Nothing is lost: not when all goes well, not when a part of the machine dies under way.
#include <gtest/gtest.h>

#include <csignal>
#include <iostream>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr int kPartitions = 8;
constexpr std::uint64_t kMillion = kSanitized ? 100'000 : 1'000'000;
constexpr std::uint64_t kRows = kSanitized ? 200'000 : 400'000;

// One worker, small blocks and few of them in flight: the run takes long enough for something to
// happen in it.
constexpr const char* kSlow = "workers: {count: 1}\n";
constexpr const char* kSmallBlocks = "batch: {max_rows: 1000}, lanes: {max_blocks_in_flight: 2}";

class DeliveryTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), kPartitions);
    std::cout << "rows: " << kMillion << " in the large run, " << kRows << " in others\n";
  }
  std::string slow_config() const {
    return clickhouse_yaml() + pipelines_yaml({}, kSmallBlocks) + kSlow;
  }
  std::uint64_t inserted() const {
    return clickhouse().try_number("SELECT count() FROM " + name()).value_or(0);
  }
  // Stops the world at a moment when some rows are in and others are not.
  testing::AssertionResult reaches(std::uint64_t rows) const {
    return eventually([&] { return inserted() >= rows; }, kPatience,
                      std::to_string(rows) + " rows in " + name(), Millis{5});
  }
  testing::AssertionResult misses_nothing(std::uint64_t rows) const {
    auto result = eventually([&] { return missing_rows(clickhouse(), name(), rows) == 0; },
                             kPatience, "all rows are in ClickHouse", Millis{300});
    if (!result) return result << ", missing " << missing_rows(clickhouse(), name(), rows);
    std::cout << "duplicates: " << duplicate_rows(clickhouse(), name()) << '\n';
    return result;
  }
  testing::AssertionResult commits(std::uint64_t rows) {
    const auto committed = [&] { return kafka().committed_offsets(name(), name()); };
    return eventually([&] { return total(committed()) == static_cast<std::int64_t>(rows); },
                      kPatience, "all offsets are committed", Millis{200});
  }
  void kill_clickhouse_under_way(unsigned deduplication_window);
};

void DeliveryTest::kill_clickhouse_under_way(unsigned deduplication_window) {
  create_rows_table(clickhouse(), name(), deduplication_window);
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  Millrace millrace(folder(), slow_config());
  millrace.start();
  for (const std::uint64_t part : {1UL, 2UL, 3UL}) {
    ASSERT_TRUE(reaches(part * kRows / 10));
    clickhouse().kill9();
    EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").status == 503; }, kPatience,
                           "not ready without ClickHouse"));
    EXPECT_LT(millrace.metric("millrace_inserted_rows_total"), kRows);
    clickhouse().start();
  }
  ASSERT_TRUE(misses_nothing(kRows));
  EXPECT_GT(millrace.metric("millrace_retries_total").value_or(0), 0);
  EXPECT_TRUE(commits(kRows));
  EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready again"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(DeliveryTest, AMillionMessagesArriveOnceAndUnchanged) {
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, kMillion, kPartitions);
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), kMillion));
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), kMillion));
  EXPECT_TRUE(commits(kMillion));
  EXPECT_EQ(millrace.metric("millrace_inserted_rows_total"), kMillion);
  EXPECT_TRUE(eventually([&] { return millrace.metric("millrace_lane_lag_messages") == 0; },
                         kPatience, "no lag"));
  EXPECT_EQ(millrace.stop(), 0);
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), kMillion));
}

TEST_F(DeliveryTest, KilledClickHouseLosesNothing) { kill_clickhouse_under_way(0); }

// A plain MergeTree that is killed between its deduplication log and the part knows the token and
// has no rows.
TEST_F(DeliveryTest, KilledClickHouseWithADeduplicationWindowLosesNothing) {
  kill_clickhouse_under_way(1000);
}

TEST_F(DeliveryTest, StoppedOrKilledBrokerLosesNothing) {
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  Millrace millrace(folder(), slow_config());
  millrace.start();
  ASSERT_TRUE(reaches(kRows / 10));
  kafka().kill9();
  kafka().start();
  produce_rows(kafka(), name(), kRows, 2 * kRows, kPartitions);
  kafka().stop();
  kafka().start();
  produce_rows(kafka(), name(), 2 * kRows, 2 * kRows + 1000, kPartitions);
  ASSERT_TRUE(misses_nothing(2 * kRows + 1000));
  EXPECT_TRUE(commits(2 * kRows + 1000));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(DeliveryTest, KilledMillraceLosesNothingAndNeverCommitsAhead) {
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  for (const std::uint64_t part : {1UL, 2UL, 3UL}) {
    // The broker gives a dead member's partitions away when its session is over: soon.
    Millrace millrace(folder("killed"),
                      clickhouse_yaml() +
                          pipelines_yaml("options: {session.timeout.ms: '6000'}", kSmallBlocks) +
                          kSlow);
    millrace.start();
    ASSERT_TRUE(reaches(part * kRows / 20));
    millrace.kill9();
    EXPECT_LE(total(kafka().committed_offsets(name(), name())),
              clickhouse().number("SELECT uniqExact(n) FROM " + name()));
  }
  EXPECT_GT(missing_rows(clickhouse(), name(), kRows), 0U);
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(misses_nothing(kRows));
  EXPECT_TRUE(commits(kRows));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(DeliveryTest, SigtermCommitsExactlyWhatWasInserted) {
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  Millrace first(folder("first"), slow_config());
  first.start();
  ASSERT_TRUE(reaches(kRows / 10));
  EXPECT_EQ(first.stop(), 0);
  const std::uint64_t rows = inserted();
  EXPECT_LT(rows, kRows);
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), rows);

  Millrace second(folder("second"), config());
  second.start();
  ASSERT_TRUE(has_rows(name(), kRows));
  EXPECT_EQ(second.stop(), 0);
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), kRows));
}

TEST_F(DeliveryTest, SecondConsumerJoinsAndLeaves) {
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, kRows, kPartitions);
  Millrace first(folder("first"), slow_config());
  first.start();
  ASSERT_TRUE(reaches(kRows / 10));
  Millrace second(folder("second"), slow_config());
  second.start();
  ASSERT_TRUE(eventually(
      [&] {
        return second.metric("millrace_lanes") == kPartitions / 2 &&
               first.metric("millrace_lanes") == kPartitions / 2;
      },
      kPatience, "each has half of the partitions"));
  produce_rows(kafka(), name(), kRows, 2 * kRows, kPartitions);
  ASSERT_TRUE(
      eventually([&] { return second.metric("millrace_inserted_rows_total").value_or(0) > 0; },
                 kPatience, "the second one inserts"));
  EXPECT_EQ(second.stop(), 0);
  EXPECT_TRUE(eventually([&] { return first.metric("millrace_lanes") == kPartitions; }, kPatience,
                         "the first one has all partitions again"));
  ASSERT_TRUE(misses_nothing(2 * kRows));
  EXPECT_TRUE(commits(2 * kRows));
  EXPECT_EQ(first.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
