// Blocks that were planned, and perhaps inserted, so long ago that the table may have forgotten
// their tokens.
#include <gtest/gtest.h>

#include "tests/integration/failure_stage.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRemembers = 4;  // seconds

class ExpiredPlanTest : public FailureStage {
 protected:
  // A block that is in, of which Kafka knows only that it was planned. The table keeps a record's
  // place beside its row.
  void plan_into_a_table_with(const std::string& setting) {
    create_table(name(), "n UInt64, text String, topic String, part Int32, at Int64");
    clickhouse().query("ALTER TABLE " + name() + " MODIFY SETTING " + setting);
    kafka().create_topic(name(), 1);
    produce_rows(kafka(), name(), 0, kBlockRows, 1);
    start("planner", wishes(), "sent")->kill9();
    ASSERT_EQ(rows(), kBlockRows);
    ASSERT_EQ(position(), 0);
  }
  // Such a one, older than the table's memory.
  void let_a_plan_expire() {
    plan_into_a_table_with("replicated_deduplication_window_seconds = " +
                           std::to_string(kRemembers));
    // Its age counts from the newest insert. One of a row that is none of ours, and gone again.
    EXPECT_TRUE(eventually(
        [&] {
          return clickhouse().number(
                     "SELECT toUInt64(now() - max(modification_time)) FROM "
                     "system.parts WHERE table = '" +
                     name() + "'") > kRemembers;
        },
        kPatience, "the plan is older than what the table remembers"));
    insert_other_rows(1);
  }
  // So many inserts of somebody else, whose rows are gone again.
  void insert_other_rows(unsigned inserts) {
    for (unsigned i = 0; i < inserts; ++i) {
      clickhouse().query("INSERT INTO " + name() + " (n) VALUES (" + std::to_string(1'000'000 + i) +
                         ")");
    }
    clickhouse().query("DELETE FROM " + name() + " WHERE n >= 1000000");
  }
  static void expect_to_wait(const Millrace& millrace) {
    EXPECT_TRUE(eventually(
        [&] {
          return millrace.metric("millrace_lanes_waiting", {R"(reason="PLAN_EXPIRED")"}) == 1;
        },
        kPatience, "the lane waits"));
  }
  static Wishes wishes(const std::string& more = {}) {
    return {.pipeline_more = "columns: {topic: topic, partition: part, offset: at}" + more};
  }
};

TEST_F(ExpiredPlanTest, HoldsItsLaneUntilSomebodyDecides) {
  let_a_plan_expire();
  const auto careful = start("careful", wishes());
  expect_to_wait(*careful);
  EXPECT_NE(careful->get("/status").body.find("on_expired_plan: verify"), std::string::npos);
  EXPECT_EQ(rows(), kBlockRows);
  careful->kill9();
  const auto told = start("told", wishes(", on_expired_plan: verify"));
  expect_exact(kBlockRows);
  EXPECT_EQ(told->metric("millrace_repaired_rows_total").value_or(0), 0);
  EXPECT_EQ(told->stop(), 0);
}

TEST_F(ExpiredPlanTest, OfWhichRowsAreMissingIsSentWithoutThoseThatAreThere) {
  let_a_plan_expire();
  clickhouse().query("DELETE FROM " + name() + " WHERE n < 10");
  const auto told = start("told", wishes(", on_expired_plan: verify"));
  expect_exact(kBlockRows);
  EXPECT_EQ(told->metric("millrace_repaired_rows_total"), 10);
  EXPECT_EQ(told->stop(), 0);
}

TEST_F(ExpiredPlanTest, IsOneAfterWhichTheTableTookMoreInsertsThanItRemembers) {
  plan_into_a_table_with("replicated_deduplication_window = 20");
  insert_other_rows(30);
  const auto careful = start("careful", wishes());
  expect_to_wait(*careful);
  careful->kill9();
  const auto told = start("told", wishes(", on_expired_plan: verify"));
  expect_exact(kBlockRows);
  EXPECT_EQ(told->stop(), 0);
}

TEST_F(ExpiredPlanTest, IsNotOneAfterWhichTheTableTookFew) {
  plan_into_a_table_with("replicated_deduplication_window = 200");
  insert_other_rows(30);
  const auto successor = start("successor", wishes());
  expect_exact(kBlockRows);
  EXPECT_EQ(successor->stop(), 0);
}

TEST_F(ExpiredPlanTest, IsSentAgainWhereThatIsAskedFor) {
  let_a_plan_expire();
  const auto told = start("told", wishes(", on_expired_plan: resend"));
  EXPECT_TRUE(commits(kBlockRows));
  EXPECT_GE(rows(), kBlockRows);
  EXPECT_EQ(told->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
