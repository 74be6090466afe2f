// Each thing that can go wrong between Kafka and ClickHouse, by itself, at an exact point.
//
// clang-format off
//   fault                                test
//   crash before the cut                 CrashBeforeTheCut
//   crash before the plan is acknowledgedCrashBeforeThePlanIsAcknowledged
//   plan sent, its answer lost           PlanWhoseAnswerIsLost, PlanThatNeverArrives, PlanOfAClientThatLivesOn
//   crash between plan and send          CrashBetweenPlanAndSend
//   network cut in mid-body              NetworkCutInMidBody (…_servers_test)
//   ClickHouse killed in mid-insert      ClickHouseKilledBetween… (…_servers_test)
//   the same, plain MergeTree            restart_check_test
//   error in a partition, in a view      ViewThatFailsBehindOneThatDoesNot (…_servers_test)
//   committed, answer lost               AnswerThatIsLost (…_servers_test)
//   inserted, not acknowledged, crash    CrashBetweenSendAndAcknowledgement
//   acknowledged, not committed, crash   CrashBeforeThePositionIsCommitted
//   acknowledged out of order, crash     CrashWithAHoleBelowWhatIsDone
//   crash in the middle of a split       CrashBetweenTwoParts, CrashBehindDeadLetters,
//                                        CrashBehindTheRestOfARefusedBlock
//   rebalance with inserts in flight     RebalanceWithInsertsInFlight
//   sleeper with unplanned blocks        SleeperWithUnplannedBlocks
//   sleeper with planned blocks          SleeperBetweenCheckAndSend; exactly_once_test
//   asleep for longer than the window    none: not closed; the gap between check and send is microseconds
//   stale commit after a re-join         CommitThatWasHeldBackDoesNotRewind
//   Keeper is lost                       KeeperThatIsAway, KeeperWithFaults (…_servers_test)
//   another replica, quorum              none: the development server does not live through a fetch
//   another shard                        none: a pipeline has no shards
//   ClickHouse restarted between tries   ClickHouseRestartBetweenTwoTries (…_servers_test)
//   power loss of ClickHouse             none: takes a machine that goes down
//   window too small for the retry       WindowThatIsTooSmall… (…_servers_test)
//   plan older than the window           expired_plan_test
//   TRUNCATE between two tries           TruncatedBlockComesBack… (…_servers_test)
//   another configuration between tries  exactly_once_test
//   table altered, other encoding        encoding_test
//   records deleted between two tries    RecordsThatAreDeleted… (…_servers_test)
//   topic deleted and made again         TopicThatIsMadeAgain… (…_servers_test)
//   commit by somebody else              CommitByAnotherTool… (…_servers_test)
//   rows that are refused                refusal_test, refusal_codes_test
// clang-format on
#include <gtest/gtest.h>

#include "tests/integration/failure_stage.h"

namespace millrace::test {
namespace {

class FailureTable : public FailureStage {
 protected:
  // Someone who cuts in another way than who was there before, so that borders that are not kept
  // are seen.
  static Wishes another() { return {.max_rows = 70}; }
  void expect_next_is_exact(std::uint64_t rows) const {
    const auto next = start("next", another());
    expect_exact(rows);
    EXPECT_EQ(next->metric("millrace_ledger_difference_records"), 0);
    EXPECT_EQ(next->stop(), 0);
  }
  // One block was cut, and no commit is in the air: the next one is that of its plan.
  std::unique_ptr<Millrace> start_before_plan(const Wishes& wishes = {}) {
    set_up_rows(0);
    auto millrace = std::make_unique<Millrace>(folder("planner"), config(wishes));
    millrace->start("cut");
    EXPECT_TRUE(eventually(
        [&] { return millrace->metric("millrace_source_commits_total").value_or(0) > 0; },
        kPatience, "the first commit, without a plan, is acknowledged"));
    produce_rows(kafka(), name(), 0, kBlockRows, 1);
    EXPECT_TRUE(millrace->comes_to_stop()) << millrace->log();
    EXPECT_EQ(plan(), "");
    return millrace;
  }
  // It takes some seconds, in which a block that does not wait for the commit would be sent.
  static constexpr const char* kShortPatience =
      "socket.timeout.ms: '2000', fetch.wait.max.ms: '100'";
  static testing::AssertionResult misses_broker(const Millrace& millrace) {
    return eventually(
        [&] { return millrace.metric("millrace_source_errors_total").value_or(0) > 0; }, kPatience,
        "it notices that the broker does not answer");
  }
  static testing::AssertionResult has_in_flight(const Millrace& millrace, const std::string& kind,
                                                int operations) {
    const std::string label = "kind=\"" + kind + "\"";
    return eventually(
        [&] { return millrace.metric("millrace_operations_in_flight", {label}) == operations; },
        kPatience, std::to_string(operations) + " of " + kind + " in flight");
  }
  // One block; `refusal` in the table makes a row whose text is "bad" one that it does not take.
  void set_up_refused_row(std::uint64_t bad, const std::string& refusal) const {
    create_table(name(), "n UInt64, text String, " + refusal);
    kafka().create_topic(name(), 1);
    std::vector<std::string> payloads;
    for (std::uint64_t n = 0; n < kBlockRows; ++n) payloads.push_back(row_json(n));
    payloads[bad] = R"({"text":"bad","n":)" + std::to_string(bad) + "}";
    kafka().produce_texts(name(), payloads);
  }
  void expect_refused_row_is_aside(std::uint64_t bad) const {
    ASSERT_TRUE(commits(kBlockRows));
    EXPECT_EQ(missing_rows(clickhouse(), name(), kBlockRows), 1u);
    EXPECT_EQ(rows(), kBlockRows - 1);
    EXPECT_EQ(clickhouse().query("SELECT offset FROM millrace_dead_letters FINAL WHERE topic = '" +
                                 name() + "'"),
              std::to_string(bad));
  }
};

TEST_F(FailureTable, CrashBeforeTheCut) {
  set_up_rows(kBlockRows);
  // The block stays open: it is neither full nor old.
  const auto killed = start("killed", {.max_rows = 10 * kBlockRows, .max_age = "1h"});
  ASSERT_TRUE(
      eventually([&] { return killed->metric("millrace_source_messages_total") == kBlockRows; },
                 kPatience, "all rows are read"));
  killed->kill9();
  EXPECT_EQ(plan(), "");
  EXPECT_EQ(rows(), 0u);
  expect_next_is_exact(kBlockRows);
}

TEST_F(FailureTable, CrashBeforeThePlanIsAcknowledged) {
  set_up_rows(3 * kBlockRows);
  const auto killed = start("killed", {}, "cut");
  EXPECT_EQ(plan(), "");
  EXPECT_EQ(rows(), 0u);
  killed->kill9();
  expect_next_is_exact(3 * kBlockRows);
}

TEST_F(FailureTable, PlanWhoseAnswerIsLost) {
  const auto killed = start_before_plan({.kafka_options = kShortPatience});
  to_kafka().hold_answers(true);
  killed->signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return plan() == "100"; }, kPatience, "the broker has the plan"));
  EXPECT_TRUE(misses_broker(*killed));
  EXPECT_EQ(rows(), 0u);
  killed->kill9();
  to_kafka().calm();
  expect_next_is_exact(kBlockRows);
}

TEST_F(FailureTable, PlanThatNeverArrives) {
  const auto killed = start_before_plan({.kafka_options = kShortPatience});
  to_kafka().hold(true);
  killed->signal(SIGCONT);
  EXPECT_TRUE(misses_broker(*killed));
  killed->kill9();
  to_kafka().reset_all();
  to_kafka().calm();
  EXPECT_EQ(plan(), "");
  EXPECT_EQ(rows(), 0u);
  expect_next_is_exact(kBlockRows);
}

TEST_F(FailureTable, PlanOfAClientThatLivesOn) {
  const auto millrace = start_before_plan();
  to_kafka().hold_answers(true);
  millrace->signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return plan() == "100"; }, kPatience, "the broker has the plan"));
  to_kafka().reset_all();
  to_kafka().calm();
  expect_exact(kBlockRows);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTable, CrashBetweenPlanAndSend) {
  set_up_rows(3 * kBlockRows);
  const auto killed = start("killed", {}, "planned");
  EXPECT_TRUE(plan().starts_with("100")) << plan();
  EXPECT_EQ(rows(), 0u);
  killed->kill9();
  expect_next_is_exact(3 * kBlockRows);
}

TEST_F(FailureTable, CrashBetweenSendAndAcknowledgement) {
  set_up_rows(3 * kBlockRows);
  const auto killed = start("killed", {.workers = 1}, "sent");
  EXPECT_EQ(rows(), kBlockRows);
  killed->kill9();
  EXPECT_EQ(position(), 0);
  EXPECT_TRUE(plan().starts_with("100")) << plan();
  expect_next_is_exact(3 * kBlockRows);
}

TEST_F(FailureTable, CrashBeforeThePositionIsCommitted) {
  set_up_rows(kBlockRows);
  const auto killed = start("killed", {}, "position");
  EXPECT_EQ(rows(), kBlockRows);
  killed->kill9();
  EXPECT_EQ(position(), 0);
  EXPECT_EQ(plan(), "100");
  expect_next_is_exact(kBlockRows);
}

TEST_F(FailureTable, CrashWithAHoleBelowWhatIsDone) {
  set_up_rows(3 * kBlockRows);
  // The first block does not get through a view.
  create_table("held_back", "n UInt64, CONSTRAINT small CHECK n >= 100");
  clickhouse().query("CREATE MATERIALIZED VIEW hole TO held_back AS SELECT n FROM " + name());
  const auto killed = start("killed", {}, "cut:3");
  killed->signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return count("held_back") == 2 * kBlockRows; }, kPatience,
                         "the second and the third are done"));
  ASSERT_TRUE(eventually([&] { return killed->metric("millrace_inserted_blocks_total") == 2; },
                         kPatience, "and acknowledged"));
  killed->kill9();
  EXPECT_EQ(position(), 0);
  EXPECT_EQ(plan(), "100,100,100");
  clickhouse().query("ALTER TABLE held_back DROP CONSTRAINT small");
  expect_next_is_exact(3 * kBlockRows);
  EXPECT_EQ(clickhouse().query("SELECT count(), uniqExact(n) FROM held_back"), "300\t300");
}

// ClickHouse does not say which row it was: the block is halved.
constexpr const char* kNotNamed = "y UInt8 DEFAULT throwIf(text = 'bad')";
constexpr const char* kNamed = "CONSTRAINT good CHECK text != 'bad'";

TEST_F(FailureTable, CrashBetweenTwoParts) {
  set_up_refused_row(90, kNotNamed);
  const auto killed = start("killed", {}, "sent:2");
  EXPECT_EQ(rows(), 75u);  // a half and a quarter
  killed->kill9();
  const auto next = start("next", another());
  expect_refused_row_is_aside(90);
  EXPECT_EQ(next->stop(), 0);
}

TEST_F(FailureTable, CrashBehindDeadLetters) {
  set_up_refused_row(50, kNamed);
  const auto killed = start("killed", {}, "dead_letters_stored");
  EXPECT_EQ(rows(), 0u);
  killed->kill9();
  const auto next = start("next", another());
  expect_refused_row_is_aside(50);
  EXPECT_EQ(next->stop(), 0);
}

TEST_F(FailureTable, CrashBehindTheRestOfARefusedBlock) {
  set_up_refused_row(50, kNamed);
  const auto killed = start("killed", {}, "sent");
  EXPECT_EQ(rows(), kBlockRows - 1);
  killed->kill9();
  const auto next = start("next", another());
  expect_refused_row_is_aside(50);
  EXPECT_EQ(next->stop(), 0);
}

// The first one's inserts are half on their way when the group gives one of its partitions away.
TEST_F(FailureTable, RebalanceWithInsertsInFlight) {
  set_up_rows(2 * kBlockRows, 2);
  to_clickhouse().hold_request_after(4'000);
  const auto first = start("first", {.member = ""});
  ASSERT_TRUE(has_in_flight(*first, "insert", 2));
  const auto second = start("second", {.through_proxies = false, .max_rows = 70, .member = ""});
  ASSERT_TRUE(reaches(kBlockRows)) << "the new owner of one partition sends its block";
  EXPECT_EQ(rows(), kBlockRows);
  to_clickhouse().calm();
  expect_exact(2 * kBlockRows);
  EXPECT_EQ(first->stop(), 0);
  EXPECT_EQ(second->stop(), 0);
}

TEST_F(FailureTable, SleeperWithUnplannedBlocks) {
  set_up_rows(3 * kBlockRows);
  const auto sleeper = start("sleeper", {.member = ""}, "cut");
  const auto other = start("other", {.max_rows = 70, .member = ""});
  ASSERT_TRUE(commits(3 * kBlockRows));
  sleeper->signal(SIGCONT);
  const auto knows = [&] {
    return sleeper->metric("millrace_source_commit_errors_total").value_or(0) > 0 ||
           sleeper->metric("millrace_source_rebalances_total", {R"(kind="lost")"}).value_or(0) > 0;
  };
  ASSERT_TRUE(eventually(knows, kPatience, "its plan is refused, or it hears that it is out"));
  EXPECT_EQ(sleeper->metric("millrace_inserted_blocks_total").value_or(0), 0);
  produce_rows(kafka(), name(), 3 * kBlockRows, 4 * kBlockRows, 1);
  expect_exact(4 * kBlockRows);
  EXPECT_EQ(other->stop(), 0);
  EXPECT_EQ(sleeper->stop(), 0);
}

TEST_F(FailureTable, SleeperBetweenCheckAndSend) {
  set_up_rows(kBlockRows);
  const auto sleeper = start("sleeper", {.member = ""}, "before_send");
  const auto other = start("other", {.max_rows = 70, .member = ""});
  ASSERT_TRUE(commits(kBlockRows));
  sleeper->signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return sleeper->metric("millrace_inserted_blocks_total") == 1; },
                         kPatience, "it has sent its block, too"));
  expect_exact(kBlockRows);
  EXPECT_EQ(other->stop(), 0);
  // 3: its consumer was just being replaced, and did not leave the group in order.
  const int exit_code = sleeper->stop();
  EXPECT_TRUE(exit_code == 0 || exit_code == 3) << exit_code;
}

// librdkafka keeps a commit back while the coordinator can't be reached, and stamps the generation
// when it sends it: it must not go out under that of a later membership.
TEST_F(FailureTable, CommitThatWasHeldBackDoesNotRewind) {
  set_up_rows(kBlockRows);
  const auto lonely = start("lonely", {.member = ""}, "position");
  to_kafka().refuse(true);
  to_kafka().reset_all();
  lonely->signal(SIGCONT);
  const auto other = start("other", {.through_proxies = false, .max_rows = 70, .member = ""});
  ASSERT_TRUE(commits(kBlockRows));
  produce_rows(kafka(), name(), kBlockRows, 3 * kBlockRows, 1);
  ASSERT_TRUE(commits(3 * kBlockRows));
  to_kafka().calm();
  const auto joined = [&] {
    return lonely->metric("millrace_source_rebalances_total", {R"(kind="assign")"}).value_or(0) > 1;
  };
  ASSERT_TRUE(eventually(joined, kPatience, "it is back in the group"));
  EXPECT_EQ(position(), 3 * static_cast<std::int64_t>(kBlockRows));
  EXPECT_EQ(lonely->stop(), 0);
  EXPECT_EQ(other->stop(), 0);
  expect_exact(3 * kBlockRows);
}

}  // namespace
}  // namespace millrace::test
