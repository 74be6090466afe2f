// The rows of the failure table (failure_table_test.cc has it) in which the servers, the network
// between, or what lies in them fails or changes.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/integration/failure_stage.h"

namespace millrace::test {
namespace {

class FailureTableOfServers : public FailureStage {
 protected:
  // One worker, which has sent one block of this table already: all it asks a server before its
  // first insert is answered, and of two blocks the second is on its way.
  std::unique_ptr<Millrace> start_before_second_send(Wishes wishes = {}) const {
    wishes.workers = 1;
    return start("millrace", wishes, "before_send:2");
  }
  // The second block is in the table, and its answer stays in the proxy.
  std::unique_ptr<Millrace> insert_second_without_answer(const Wishes& wishes = {}) const {
    auto millrace = start_before_second_send(wishes);
    EXPECT_EQ(rows(), kBlockRows);
    to_clickhouse().hold_answers(true);
    millrace->signal(SIGCONT);
    EXPECT_TRUE(reaches(2 * kBlockRows));
    EXPECT_EQ(millrace->metric("millrace_inserted_blocks_total"), 1);
    return millrace;
  }
  // … and is lost there, and so is that of a repeat on another connection.
  static void lose_answers(const Millrace& millrace) {
    to_clickhouse().refuse(true);
    to_clickhouse().reset_all();
    EXPECT_TRUE(eventually([&] { return retries(millrace) > 0; }, kPatience, "it has failed"));
    to_clickhouse().calm();
  }
  static double retries(const Millrace& millrace, const std::vector<std::string>& labels = {}) {
    return millrace.metric("millrace_retries_total", labels).value_or(0);
  }
  // The server is older than any insert of this test: it can't be taken for one that was restarted.
  static testing::AssertionResult clickhouse_is_no_longer_new() {
    return eventually([] { return clickhouse().number("SELECT uptime()") >= 5; }, kPatience,
                      "ClickHouse runs for some time");
  }
  // Of some other table, behind a view.
  static void expect_view_target_exact(const std::string& target, std::uint64_t rows) {
    const std::string all = std::to_string(rows);
    EXPECT_EQ(clickhouse().query("SELECT count(), uniqExact(n) FROM " + target), all + "\t" + all);
  }
};

TEST_F(FailureTableOfServers, NetworkCutInMidBody) {
  set_up_rows(1000);
  to_clickhouse().cut_request_after(20'000);
  const auto millrace = start("millrace", {.max_rows = 1000});
  expect_exact(1000);
  EXPECT_TRUE(to_clickhouse().request_was_cut());
  EXPECT_EQ(millrace->stop(), 0);
}

// The way to Keeper is so slow that each partition takes its time.
TEST_F(FailureTableOfServers, ClickHouseKilledBetweenTwoPartitions) {
  create_table(name(), "n UInt64, text String", "PARTITION BY n % 100 ORDER BY n");
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), 0, 1000, 1);
  const auto millrace = start("millrace", {.max_rows = 1000}, "before_send");
  to_keeper().limit(40'000);
  millrace->signal(SIGCONT);
  ASSERT_TRUE(reaches(1));
  clickhouse().kill9();
  to_clickhouse().hold(true);
  to_keeper().calm();
  clickhouse().start();
  EXPECT_GT(rows(), 0u);
  EXPECT_LT(rows(), 1000u) << "it was killed too late";
  to_clickhouse().calm();
  expect_exact(1000);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTableOfServers, ClickHouseKilledBetweenTableAndView) {
  set_up_rows(kBlockRows);
  create_table("behind_slow", "n UInt64");
  // Two seconds, or for ever: the server is killed meanwhile.
  clickhouse().query("CREATE MATERIALIZED VIEW slow TO behind_slow AS SELECT n FROM " + name() +
                     " WHERE sleep(2) = 0");
  const auto millrace = start("millrace", {});
  ASSERT_TRUE(reaches(kBlockRows));
  clickhouse().kill9();
  to_clickhouse().hold(true);
  clickhouse().start();
  EXPECT_EQ(rows(), kBlockRows);
  EXPECT_EQ(count("behind_slow"), 0u);
  to_clickhouse().calm();
  expect_exact(kBlockRows);
  expect_view_target_exact("behind_slow", kBlockRows);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTableOfServers, ViewThatFailsBehindOneThatDoesNot) {
  set_up_rows(kBlockRows);
  create_table("behind_good", "n UInt64");
  create_table("behind_bad", "n UInt64, CONSTRAINT small CHECK n < 50");
  for (const char* kind : {"good", "bad"}) {
    clickhouse().query("CREATE MATERIALIZED VIEW " + std::string(kind) + "_view TO behind_" + kind +
                       " AS SELECT n FROM " + name());
  }
  const auto millrace = start("millrace", {});
  ASSERT_TRUE(eventually([&] { return retries(*millrace, {R"(code="VIOLATED_CONSTRAINT")"}) > 1; },
                         kPatience, "it is tried again"));
  EXPECT_EQ(rows(), kBlockRows);
  EXPECT_EQ(position(), 0);
  clickhouse().query("ALTER TABLE behind_bad DROP CONSTRAINT small");
  expect_exact(kBlockRows);
  expect_view_target_exact("behind_good", kBlockRows);
  expect_view_target_exact("behind_bad", kBlockRows);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTableOfServers, AnswerThatIsLost) {
  set_up_rows(2 * kBlockRows);
  const auto millrace = insert_second_without_answer();
  lose_answers(*millrace);
  expect_exact(2 * kBlockRows);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTableOfServers, ClickHouseRestartBetweenTwoTries) {
  for (const bool killed : {false, true}) {
    SCOPED_TRACE(killed);
    clickhouse().query("DROP TABLE IF EXISTS " + name() + " SYNC");
    if (killed) kafka().delete_topic(name());
    set_up_rows(2 * kBlockRows);
    const auto millrace = insert_second_without_answer();
    if (killed) {
      clickhouse().kill9();
    } else {
      clickhouse().stop();
    }
    clickhouse().start();
    lose_answers(*millrace);
    expect_exact(2 * kBlockRows);
    EXPECT_EQ(millrace->stop(), 0);
  }
}

TEST_F(FailureTableOfServers, KeeperThatIsAway) {
  set_up_rows(2 * kBlockRows);
  const auto millrace = start_before_second_send(
      {.clickhouse_more = "insert_settings: {insert_keeper_max_retries: 0}"});
  keeper().kill9();
  ASSERT_TRUE(eventually(
      [&] {
        return clickhouse().number("SELECT is_readonly FROM system.replicas WHERE table = '" +
                                   name() + "'") == 1;
      },
      kPatience, "the table is read-only"));
  millrace->signal(SIGCONT);
  ASSERT_TRUE(eventually(
      [&] {
        return millrace->metric("millrace_lanes_waiting", {R"(reason="TABLE_IS_READ_ONLY")"}) == 1;
      },
      kPatience, "the lane waits"));
  EXPECT_GT(retries(*millrace, {R"(code="TABLE_IS_READ_ONLY")"}), 0);
  EXPECT_EQ(rows(), kBlockRows);
  keeper().start();
  expect_exact(2 * kBlockRows);
  EXPECT_EQ(millrace->metric("millrace_lanes_waiting").value_or(0), 0);
  EXPECT_EQ(millrace->stop(), 0);
}

// Keeper's answers get lost before and behind what they answer: parts can be seen that go again.
TEST_F(FailureTableOfServers, KeeperWithFaults) {
  constexpr std::uint64_t kRows = kSanitized ? 2'000 : 10'000;
  set_up_rows(kRows);
  const auto millrace =
      start("millrace", {.clickhouse_more = "insert_settings: {insert_keeper_fault_injection_"
                                            "probability: 0.1, insert_keeper_max_retries: 0}"});
  ASSERT_TRUE(commits(kRows));
  EXPECT_GT(retries(*millrace), 0);
  std::cout << retries(*millrace) << " tries met a fault of Keeper\n";
  EXPECT_EQ(millrace->stop(), 0);
  // A restart lets go at once of what was not meant to stay.
  clickhouse().stop();
  clickhouse().start();
  expect_exact(kRows);
}

// What a window is for: the block comes twice when others have pushed it out. And nobody gets into
// this without being told.
TEST_F(FailureTableOfServers, WindowThatIsTooSmallDoublesAndIsRefused) {
  create_rows_table(clickhouse(), name(), 100'000);
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), 0, 2 * kBlockRows, 1);
  ASSERT_TRUE(clickhouse_is_no_longer_new());
  const auto millrace = insert_second_without_answer();
  const auto check = [&] {
    return run_program(
        {built_program("millrace").string(), "check", "-c", millrace->config_file().string()},
        kPatience, sanitizer_environment());
  };
  const std::string setting = "non_replicated_deduplication_window";
  clickhouse().query("ALTER TABLE " + name() + " MODIFY SETTING " + setting + " = 2");
  for (const char* other : {"1000000", "1000001"}) {
    clickhouse().query("INSERT INTO " + name() + " VALUES (" + other + ", 'another block')");
  }
  lose_answers(*millrace);
  ASSERT_TRUE(commits(2 * kBlockRows));
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), kBlockRows);
  EXPECT_EQ(millrace->log().find("token_renewed"), std::string::npos);

  const ProgramResult refused = check();
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  const std::string remedy = "ALTER TABLE " + name() + " MODIFY SETTING " + setting + " = 100000";
  EXPECT_NE(refused.output.find(setting + " is 2"), std::string::npos) << refused.output;
  EXPECT_NE(refused.output.find(remedy), std::string::npos) << refused.output;
  EXPECT_EQ(millrace->stop(), 0);
}

// ClickHouse forgets the tokens with the rows.
TEST_F(FailureTableOfServers, TruncatedBlockComesBackIfItHadNoAnswer) {
  set_up_rows(2 * kBlockRows);
  const auto millrace = insert_second_without_answer();
  clickhouse().query("TRUNCATE TABLE " + name() + " SYNC");
  lose_answers(*millrace);
  ASSERT_TRUE(commits(2 * kBlockRows));
  EXPECT_EQ(clickhouse().query("SELECT count(), min(n), max(n) FROM " + name()), "100\t100\t199");
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(FailureTableOfServers, RecordsThatAreDeletedBetweenTwoTriesAreFewerAndNeverTwice) {
  struct Case {
    const char* sub;
    const char* stop_at;
    std::int64_t deleted_below;
    std::uint64_t missing;  // of those that were not in yet
  };
  const std::uint64_t landed = kBlockRows;
  for (const Case& each :
       {Case{"planned", "planned", 150, 150}, Case{"sent", "sent", 150, 150 - landed},
        Case{"all", "sent", 300, 300 - landed}}) {
    SCOPED_TRACE(each.sub);
    if (each.sub != std::string("planned")) {
      clickhouse().query("DROP TABLE " + name() + " SYNC");
      kafka().delete_topic(name());
    }
    set_up_rows(3 * kBlockRows);
    const auto killed = start(each.sub, {.workers = 1}, each.stop_at);
    EXPECT_TRUE(plan().starts_with("100")) << plan();
    killed->kill9();
    kafka().delete_records(name(), 0, each.deleted_below);
    const auto next = start(std::string("next_") + each.sub, {.max_rows = 70});
    ASSERT_TRUE(commits(3 * kBlockRows)) << next->get("/status").body;
    EXPECT_EQ(missing_rows(clickhouse(), name(), 3 * kBlockRows), each.missing);
    EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
    EXPECT_NE(next->log().find("offsets before they were read"), std::string::npos);
    EXPECT_EQ(next->stop(), 0);
  }
}

TEST_F(FailureTableOfServers, TopicThatIsMadeAgainIsNotTakenForWhatItWas) {
  set_up_rows(kBlockRows);
  {
    const auto first = start("first", {.member = ""});
    expect_exact(kBlockRows);
    EXPECT_EQ(first->stop(), 0);
  }
  kafka().delete_topic(name());
  kafka().create_topic(name(), 1);
  ASSERT_TRUE(eventually([&] { return kafka().committed_offsets(name(), name()).empty(); },
                         kPatience, "the group has forgotten the topic"));
  // The same rows under the same offsets, in a block with the same borders: new all the same.
  produce_rows(kafka(), name(), 0, kBlockRows, 1);
  const auto second = start("second", {.member = ""});
  ASSERT_TRUE(commits(kBlockRows));
  EXPECT_EQ(rows(), 2 * kBlockRows);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), kBlockRows);
  // And once more, while it is read.
  kafka().delete_topic(name());
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), kBlockRows, kBlockRows + 50, 1);
  ASSERT_TRUE(commits(50)) << second->get("/status").body;
  EXPECT_EQ(rows(), 2 * kBlockRows + 50);
  EXPECT_EQ(missing_rows(clickhouse(), name(), kBlockRows + 50), 0u);
  EXPECT_EQ(second->stop(), 0);
}

// Nobody else may commit in its group: the plan is gone. What was in flight is there twice, no
// more.
TEST_F(FailureTableOfServers, CommitByAnotherToolDoublesOnlyWhatWasInFlight) {
  set_up_rows(3 * kBlockRows);
  {
    const auto first =
        insert_second_without_answer({.member = "", .other = "shutdown: {grace: 100ms}\n"});
    ASSERT_TRUE(
        eventually([&] { return position() == kBlockRows; }, kPatience, "the first block is done"));
    EXPECT_EQ(first->stop(), 3);  // not complete
  }
  to_clickhouse().reset_all();
  to_clickhouse().calm();
  EXPECT_TRUE(plan().starts_with("100")) << plan();
  ASSERT_TRUE(eventually([&] { return kafka().commit(name(), name(), 0, kBlockRows); }, kPatience,
                         "the group is empty"));
  EXPECT_EQ(plan(), "");
  const auto next = start("next", {.member = ""});
  ASSERT_TRUE(commits(3 * kBlockRows));
  EXPECT_EQ(missing_rows(clickhouse(), name(), 3 * kBlockRows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), kBlockRows);
  EXPECT_EQ(next->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
