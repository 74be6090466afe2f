// A lane goes to another host whose clock is wrong: no row is lost and none comes twice.
//
// The hosts are processes with libfaketime. What a killed server leaves of an insert whose part it
// had not renamed yet is made by hand, as in restart_check_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRows = 200;
constexpr const char* kPlaces = ", topic String, part Int32, at Int64";
constexpr const char* kPlaceColumns = ", columns: {topic: topic, partition: part, offset: at}";

struct Skews {
  seconds former, next;
};

class ClockSkewTest : public WithServers {
 protected:
  static constexpr seconds kDay{86'400};

  void create_table(const std::string& more_columns, unsigned window) const {
    clickhouse().query("CREATE TABLE " + name() + " (n UInt64, text String" + more_columns +
                       ") ENGINE = MergeTree PARTITION BY n % 2 ORDER BY n SETTINGS "
                       "non_replicated_deduplication_window = " +
                       std::to_string(window));
    clickhouse().query("SYSTEM STOP MERGES " + name());
  }
  // A static member: it has its lane as soon as it is started.
  std::unique_ptr<Millrace> start(const std::string& sub, const std::string& columns, seconds skew,
                                  const std::string& stop_at = {}) const {
    auto millrace = std::make_unique<Millrace>(
        folder(sub),
        clickhouse_yaml() +
            pipelines_yaml(
                "options: {session.timeout.ms: '60000', group.instance.id: member}",
                "batch: {max_rows: " + std::to_string(kRows) + ", max_age: 60s}" + columns) +
            "workers: {count: 1, retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n");
    millrace->set_clock_skew(skew);
    millrace->start(stop_at);
    return millrace;
  }
  // A block is in, of which Kafka knows only that it was planned.
  void plan(const std::string& columns, seconds skew) {
    kafka().create_topic(name(), 1);
    produce_rows(kafka(), name(), 0, kRows, 1);
    const auto former = start("former", columns, skew, "sent");
    ASSERT_TRUE(former->comes_to_stop()) << former->log();
    former->kill9();
    ASSERT_EQ(clickhouse().number("SELECT count() FROM " + name() + " WHERE n < 1000000"), kRows);
  }
  // The server knows the token of the block, and has lost its odd rows.
  void lose_odd_rows() const {
    const std::filesystem::path part = clickhouse().query(
        "SELECT path FROM system.parts WHERE active AND partition = '1' AND table = '" + name() +
        "'");
    clickhouse().kill9();
    EXPECT_GT(std::filesystem::remove_all(part.parent_path()), 1u) << part;  // it ends in a slash
    clickhouse().start();
    EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), kRows / 2);
  }
  testing::AssertionResult commits() const {
    return eventually(
        [&] {
          return total(kafka().committed_offsets(name(), name())) ==
                 static_cast<std::int64_t>(kRows);
        },
        kPatience, "the position is at its end", Millis{50});
  }
  void expect_exact() const {
    EXPECT_EQ(missing_rows(clickhouse(), name(), kRows), 0u);
    EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
  }
  void expect_rows_survive(Skews skews) {
    create_table(kPlaces, 100'000);
    plan(kPlaceColumns, skews.former);
    lose_odd_rows();
    const auto next = start("next", kPlaceColumns, skews.next);
    ASSERT_TRUE(commits()) << next->log();
    expect_exact();
    EXPECT_EQ(next->metric("millrace_repaired_rows_total"), kRows / 2);
    EXPECT_EQ(next->stop(), 0);
  }
};

TEST_F(ClockSkewTest, RowsAreLookedForThoughTheNewOwnersClockIsSecondsBehind) {
  expect_rows_survive({seconds(0), seconds(-4)});
}

TEST_F(ClockSkewTest, RowsAreLookedForThoughTheFormerOwnersClockIsADayAhead) {
  expect_rows_survive({kDay, seconds(0)});
}

// They can't be looked for: the whole block comes again, as the guarantee says of such a table.
TEST_F(ClockSkewTest, WithoutColumnsThatNameARecordNoRowIsMissingEither) {
  create_table("", 100'000);
  plan("", seconds(1'800));
  lose_odd_rows();
  const auto next = start("next", "", seconds(-1'800));
  ASSERT_TRUE(commits()) << next->log();
  EXPECT_EQ(missing_rows(clickhouse(), name(), kRows), 0u);
  EXPECT_EQ(next->stop(), 0);
}

// And none comes twice while the server is not killed.
TEST_F(ClockSkewTest, WithoutColumnsThatNameARecordABlockKeepsItsToken) {
  create_table("", 100'000);
  plan("", -kDay);
  const auto next = start("next", "", kDay);
  ASSERT_TRUE(commits()) << next->log();
  expect_exact();
  EXPECT_EQ(next->stop(), 0);
}

// More inserts than the table remembers came before the plan, and none after it.
TEST_F(ClockSkewTest, APlanDoesNotExpireByTheHostsClocks) {
  constexpr unsigned kWindow = 20;
  create_table(kPlaces, kWindow);
  for (unsigned i = 0; i < 2 * kWindow; ++i) {
    clickhouse().query("INSERT INTO " + name() + " (n) VALUES (" + std::to_string(1'000'000 + i) +
                       ")");
  }
  plan(kPlaceColumns, seconds(0));
  const auto next = start("next", kPlaceColumns, kDay);
  ASSERT_TRUE(commits()) << next->log();
  expect_exact();
  EXPECT_EQ(next->metric("millrace_lanes_waiting", {R"(reason="PLAN_EXPIRED")"}).value_or(0), 0);
  EXPECT_EQ(next->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
