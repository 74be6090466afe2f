// A block whose rows ClickHouse refuses: the good ones arrive, the bad ones are dead letters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::FakeLetters;
using ::testing::HasSubstr;
using testing::kQuick;
using testing::make_block;
using testing::make_lane;
using testing::make_target;
using testing::throw_clickhouse_error;

// Takes each row once: a token that is known is a repeat. Refuses bodies in which "bad" stands,
// with the number of its row. Owned by the worker's thread; read when that has ended.
class FakeTable {
 public:
  explicit FakeTable(int code, bool names_rows) : code_(code), names_rows_(names_rows) {}
  void insert(const testing::Sent& sent) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < sent.body.size();) {
      const std::size_t end = std::min(sent.body.find('\n', at), sent.body.size());
      lines.push_back(sent.body.substr(at, end - at));
      at = end + 1;
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find("bad") == std::string::npos) continue;
      throw_clickhouse_error(code_,
                             names_rows_ ? "no: (at row " + std::to_string(i + 1) + ")" : "no");
    }
    if (!tokens.insert(sent.token).second) return;
    for (std::string& row : lines) rows.push_back(std::move(row));
  }
  std::vector<std::string> rows;
  std::set<std::string> tokens;

 private:
  const int code_;
  const bool names_rows_;
};

class WorkerSplitTest : public ::testing::Test {
 protected:
  void run(FakeTable& table, const std::vector<std::string>& payloads) {
    script_->always([&](const testing::Sent& sent) { table.insert(sent); });
    const auto end = static_cast<std::int64_t>(payloads.size());
    queue_.make_inlet().push(make_block(budget_, lane_, {0, end}, payloads, target_));
    run_until_position(end);
  }
  void run_until_position(std::int64_t position) {
    Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), retry_, budget_,
                  stats_, log_.sink());
    std::thread thread([&] { worker.run(); });
    while (lane_->position() != position) std::this_thread::yield();
    queue_.close();
    thread.join();
  }
  // Of a table that may have kept a part of what it refuses: the same block, whole, under its own
  // token, until it is taken.
  void expect_to_wait_as_a_whole() {
    script_->keeps_parts = "other shards have the rest";
    std::atomic<bool> corrected{false};
    script_->always([&](const testing::Sent&) {
      if (!corrected) throw_clickhouse_error(469, "Constraint `c` is violated at row 2.");
    });
    queue_.make_inlet().push(make_block(budget_, lane_, {0, 3}, {"{}", "{}", "{}"}, target_));
    Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), retry_, budget_,
                  stats_, log_.sink());
    std::thread thread([&] { worker.run(); });
    while (script_->sent().size() < 3) std::this_thread::yield();
    const LaneWait wait = lane_->status().wait;
    corrected = true;
    while (lane_->position() != 3) std::this_thread::yield();
    queue_.close();
    thread.join();
    EXPECT_EQ(wait.reason, "REFUSED_IN_PART");
    EXPECT_EQ(wait.code, 469);
    EXPECT_EQ(wait.disposition, Disposition::kWait);
    EXPECT_THAT(wait.message, HasSubstr("other shards have the rest"));
    EXPECT_THAT(wait.message, HasSubstr("violated at row 2"));
    for (const testing::Sent& sent : script_->sent()) EXPECT_EQ(sent.token, "g/t/0/inc/0-3");
    EXPECT_TRUE(letters_->letters.empty());
  }
  static std::shared_ptr<TableTarget> target_with(std::shared_ptr<DeadLetterStore> store) {
    auto target = make_target();
    target->dead_letters = std::move(store);
    return target;
  }

  ByteBudget budget_{1u << 30};
  std::shared_ptr<LaneProgress> lane_ = make_lane();
  std::shared_ptr<FakeLetters> letters_ = std::make_shared<FakeLetters>();
  std::shared_ptr<TableTarget> target_ = target_with(letters_);
  std::shared_ptr<testing::SendScript> script_ = std::make_shared<testing::SendScript>();
  testing::LogRecorder log_;
  RetryPolicy retry_ = kQuick;
  WorkerStats stats_;
  BlockQueue queue_;
};

TEST_F(WorkerSplitTest, WhereARefusalLeavesAPartBehindNothingIsSentUnderAnotherToken) {
  expect_to_wait_as_a_whole();
}

TEST_F(WorkerSplitTest, NorWhereTheConfigurationWantsDeadLettersOfThatCode) {
  retry_.dispositions[469] = Disposition::kDeadLetter;
  expect_to_wait_as_a_whole();
}

TEST_F(WorkerSplitTest, TheBadRowIsADeadLetterAndTheOthersArriveUnderTheToken) {
  FakeTable table(27, true);
  run(table, {"one", "bad", "three"});
  EXPECT_THAT(table.rows, ElementsAre("one", "three"));
  EXPECT_THAT(table.tokens, ElementsAre("g/t/0/inc/0-3"));
  EXPECT_EQ(script_->sent().size(), 3u);

  ASSERT_EQ(letters_->letters.size(), 1u);
  const DeadLetter& letter = letters_->letters[0];
  EXPECT_EQ(letter.pipeline, "p");
  EXPECT_EQ(letter.table, "events");
  EXPECT_EQ(letter.format, "JSONEachRow");
  EXPECT_EQ(letter.group, "g");
  EXPECT_EQ(letter.topic, "t");
  EXPECT_EQ(letter.partition, 0);
  EXPECT_EQ(letter.offset, 1);
  EXPECT_EQ(letter.token, "g/t/0/inc/0-3#1-2");
  EXPECT_EQ(letter.code, 27);
  EXPECT_EQ(letter.reason, "CANNOT_PARSE_INPUT_ASSERTION_FAILED");
  EXPECT_THAT(letter.message, HasSubstr("(at row 1)")) << "of the row alone";
  EXPECT_EQ(letter.attempts, 1u);
  EXPECT_EQ(letter.payload, "bad");
  EXPECT_EQ(letter.row(), "bad");

  EXPECT_EQ(target_->stats->rows.value(), 2u);
  EXPECT_EQ(target_->stats->dead_letters.values(),
            (std::map<std::string, std::uint64_t>{{"CANNOT_PARSE_INPUT_ASSERTION_FAILED", 1}}));
  ASSERT_EQ(target_->stats->newest_dead_letters.notes().size(), 1u);
  EXPECT_EQ(target_->stats->newest_dead_letters.notes()[0].offset, 1);
  EXPECT_TRUE(target_->stats->retries.values().empty()) << "nothing was put back";
  const LaneLedger ledger = lane_->status().ledger;
  EXPECT_EQ(ledger.read, 3u);
  EXPECT_EQ(ledger.done.inserted, 2u);
  EXPECT_EQ(ledger.done.dead_lettered, 1u);
  EXPECT_EQ(ledger.in_flight, 0u);
  EXPECT_EQ(ledger.difference(), 0);
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(WorkerSplitTest, TheAlarmNamesStoreOffsetAndCommand) {
  FakeTable table(27, true);
  run(table, {"one", "bad"});
  const auto events = log_.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].level, LogLevel::kWarning);
  EXPECT_THAT(events[0].message, HasSubstr("table letters"));
  EXPECT_THAT(events[0].message, HasSubstr("offset 1"));
  EXPECT_THAT(events[0].message, HasSubstr("events"));
  EXPECT_EQ(testing::field(events[0], "code"), "27");
  EXPECT_THAT(testing::field(events[0], "advice"), HasSubstr("millrace dead-letters"));
}

TEST_F(WorkerSplitTest, ARowThatNobodyNamesIsFoundByHalves) {
  FakeTable table(349, false);
  run(table, {"one", "two", "three", "bad", "five"});
  EXPECT_THAT(table.rows, ElementsAre("one", "two", "three", "five"));
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].offset, 3);
  EXPECT_THAT(table.tokens,
              ElementsAre("g/t/0/inc/0-5#0-2", "g/t/0/inc/0-5#2-3", "g/t/0/inc/0-5#4-5"));
}

TEST_F(WorkerSplitTest, ABlockOfBadRowsOnlyIsDone) {
  FakeTable table(27, true);
  run(table, {"bad 1", "bad 2", "bad 3"});
  EXPECT_TRUE(table.rows.empty());
  EXPECT_EQ(letters_->letters.size(), 3u);
  EXPECT_EQ(lane_->status().ledger.difference(), 0);
}

// Otherwise a crash between the two would lose it: the repeat of the whole block is a success then.
TEST_F(WorkerSplitTest, TheDeadLetterIsStoredBeforeTheRestIsSent) {
  FakeTable table(27, true);
  letters_->on_store = [&] { EXPECT_TRUE(table.rows.empty()); };
  run(table, {"one", "bad", "three"});
  EXPECT_EQ(letters_->letters.size(), 1u);
}

TEST_F(WorkerSplitTest, WhileDeadLettersCanNotBeStoredTheLaneWaits) {
  FakeTable table(27, true);
  letters_->failures = 2;
  run(table, {"one", "bad", "three"});
  EXPECT_EQ(target_->stats->retries.values(),
            (std::map<std::string, std::uint64_t>{{"DEAD_LETTERS_NOT_STORED", 2}}));
  EXPECT_THAT(table.rows, ElementsAre("one", "three"));
  EXPECT_EQ(letters_->letters.size(), 1u) << "once";
  const auto events = log_.events();
  ASSERT_FALSE(events.empty());
  EXPECT_THAT(events[0].message, HasSubstr("table letters"));
  EXPECT_THAT(events[0].message, HasSubstr("the disk is full"));
  EXPECT_THAT(testing::field(events[0], "advice"), HasSubstr("dead_letters"));
}

TEST_F(WorkerSplitTest, AFailureInMidSplitGoesOnWhereItWas) {
  FakeTable table(27, true);
  script_->then([] {});  // the whole: refused by the table below
  script_->then([] { throw NetworkError(NetworkError::Kind::kClosed, "reset", false); });
  run(table, {"one", "bad", "three"});
  EXPECT_THAT(table.rows, ElementsAre("one", "three"));
  EXPECT_EQ(script_->sent().size(), 4u) << "the whole is not sent again";
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].attempts, 2u);
}

TEST_F(WorkerSplitTest, WithoutAStoreTheBlockWaitsAsItIs) {
  target_->dead_letters = nullptr;
  for (int i = 0; i < 2; ++i) script_->then([] { throw_clickhouse_error(27, "no: (at row 1)"); });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 2}, {"one", "bad"}, target_));
  run_until_position(2);
  ASSERT_EQ(script_->sent().size(), 3u);
  for (const testing::Sent& sent : script_->sent()) EXPECT_EQ(sent.body, "one\nbad\n");
}

TEST_F(WorkerSplitTest, TooManyPartitionsAreSentInHalvesAndNoRowIsAtFault) {
  target_->dead_letters = nullptr;
  script_->always([](const testing::Sent& sent) {
    if (std::count(sent.body.begin(), sent.body.end(), '\n') > 2) {
      throw_clickhouse_error(252, "Too many partitions for single INSERT block (more than 2).");
    }
  });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 5}, {"1", "2", "3", "4", "5"}, target_));
  run_until_position(5);
  std::vector<std::string> bodies;
  for (const testing::Sent& sent : script_->sent()) bodies.push_back(sent.body);
  EXPECT_THAT(bodies, ElementsAre("1\n2\n3\n4\n5\n", "1\n2\n", "3\n4\n5\n", "3\n", "4\n5\n"));
}

// The table has the rows; in parts they would be there twice.
TEST_F(WorkerSplitTest, AFailureInAViewIsNotSplit) {
  script_->then([] { throw_clickhouse_error(27, "no: (at row 1): while pushing to view d.mv"); });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 2}, {"one", "two"}, target_));
  run_until_position(2);
  ASSERT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->sent()[1].body, "one\ntwo\n");
  EXPECT_EQ(script_->sent()[1].token, script_->sent()[0].token);
  EXPECT_EQ(script_->probes(), 1u) << "it waited";
  EXPECT_TRUE(letters_->letters.empty());
}

TEST_F(WorkerSplitTest, TheConfigurationCanSendABlockToTheDeadLettersByCode) {
  retry_.dispositions = {{60, Disposition::kDeadLetter}};
  script_->then([] { throw_clickhouse_error(60, "no such table"); });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 2}, {"one", "two"}, target_));
  run_until_position(2);
  EXPECT_EQ(script_->sent().size(), 1u);
  ASSERT_EQ(letters_->letters.size(), 2u);
  EXPECT_EQ(letters_->letters[1].token, "g/t/0/inc/0-2#1-2");
}

// Memory exhausted: some of it may have landed, so that parts could be there twice.
TEST_F(WorkerSplitTest, NothingIsSplitThatMayHaveLanded) {
  retry_.dispositions = {{241, Disposition::kSplit}};
  script_->then([] { throw_clickhouse_error(241, "no memory", true); });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 2}, {"one", "two"}, target_));
  run_until_position(2);
  ASSERT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->sent()[1].body, "one\ntwo\n");
}

TEST_F(WorkerSplitTest, SplicedColumnsGoWithTheDeadLetter) {
  target_ = make_target({"", "", "o", "", "", ""});
  target_->dead_letters = letters_;
  FakeTable table(27, true);
  run(table, {R"({"a":1})", R"({"a":"bad"})"});
  EXPECT_THAT(table.rows, ElementsAre(R"({"o":0,"a":1})"));
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].payload, R"({"a":"bad"})");
  EXPECT_EQ(letters_->letters[0].row(), "{\"o\":1,\"a\":\"bad\"}\n");
}

TEST_F(WorkerSplitTest, ALaneThatLeavesInMidSplitSendsNoMore) {
  FakeTable table(27, true);
  script_->always([&](const testing::Sent& sent) {
    lane_->abandon();
    table.insert(sent);
  });
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 2}, {"one", "bad"}, target_));
  queue_.close();
  Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), retry_, budget_, stats_,
                log_.sink());
  worker.run();
  EXPECT_EQ(script_->sent().size(), 1u);
  EXPECT_TRUE(letters_->letters.empty());
  EXPECT_EQ(lane_->position(), 0);
  EXPECT_EQ(target_->stats->abandoned_blocks.value(), 1u);
}

// A proxy before the table that takes no larger bodies.
void refuse_above(std::size_t limit, const testing::Sent& sent) {
  if (sent.body.size() <= limit) return;
  throw ClickHouseError({.message = "<html>413 Request Entity Too Large</html>",
                         .http_status = 413,
                         .endpoint = "http://proxy"});
}

class WorkerBodyLimitTest : public WorkerSplitTest {
 protected:
  void run_behind(std::size_t limit, FakeTable& table, const std::vector<std::string>& payloads) {
    script_->always([&table, limit](const testing::Sent& sent) {
      refuse_above(limit, sent);
      table.insert(sent);
    });
    const auto end = static_cast<std::int64_t>(payloads.size());
    queue_.make_inlet().push(make_block(budget_, lane_, {0, end}, payloads, target_));
    run_until_position(end);
  }
};

TEST_F(WorkerBodyLimitTest, ABodyThatIsTooLargeGoesInPartsAndTheLimitIsLearned) {
  FakeTable table(27, true);
  run_behind(12, table, {"aaaa", "bbbb", "cccc", "dddd", "eeee"});
  EXPECT_THAT(table.rows, ::testing::UnorderedElementsAre("aaaa", "bbbb", "cccc", "dddd", "eeee"));
  EXPECT_THAT(table.tokens,
              ElementsAre("g/t/0/inc/0-5#0-2", "g/t/0/inc/0-5#2-3", "g/t/0/inc/0-5#3-5"));
  EXPECT_TRUE(letters_->letters.empty());
  EXPECT_TRUE(target_->stats->retries.values().empty()) << "nothing was put back";
  const std::size_t limit = target_->stats->body_limit.body_bytes();
  EXPECT_GT(limit, 5u);
  EXPECT_LE(limit, 12u);
  EXPECT_GT(target_->stats->body_limit.block_bytes(), 0u);
  EXPECT_EQ(lane_->status().ledger.difference(), 0);
  ASSERT_FALSE(log_.events().empty());
  EXPECT_THAT(log_.events()[0].message, HasSubstr("refuses a body of 25 bytes for events"));
}

// Nothing of the block is in while it waits: after a crash it may go as a whole.
TEST_F(WorkerBodyLimitTest, ARecordThatIsTooLargeAloneWaitsBeforeAnythingOfItsBlockIsIn) {
  FakeTable table(27, true);
  std::atomic<bool> raised{false};
  script_->always([&](const testing::Sent& sent) {
    if (!raised) refuse_above(12, sent);
    table.insert(sent);
  });
  script_->then_probe([&] {
    EXPECT_TRUE(table.rows.empty());
    EXPECT_EQ(lane_->status().wait.reason, "HTTP_413");
    EXPECT_THAT(lane_->status().wait.message, HasSubstr("the record at t/0 offset 3"));
    raised = true;
  });
  queue_.make_inlet().push(make_block(
      budget_, lane_, {0, 5}, {"aaaa", "bbbb", "cccc", std::string(20, 'd'), "eeee"}, target_));
  run_until_position(5);
  EXPECT_EQ(table.rows.size(), 5u);
  EXPECT_EQ(target_->stats->retries.values(),
            (std::map<std::string, std::uint64_t>{{"HTTP_413", 1}}));
}

TEST_F(WorkerBodyLimitTest, ADispositionMakesARecordThatIsTooLargeADeadLetter) {
  retry_.dispositions[-413] = Disposition::kDeadLetter;
  FakeTable table(27, true);
  run_behind(12, table, {"aaaa", std::string(20, 'b'), "cccc"});
  EXPECT_THAT(table.rows, ::testing::UnorderedElementsAre("aaaa", "cccc"));
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].offset, 1);
  EXPECT_EQ(letters_->letters[0].reason, "HTTP_413");
}

}  // namespace
}  // namespace millrace
