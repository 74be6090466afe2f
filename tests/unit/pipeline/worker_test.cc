#include "pipeline/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "pipeline/worker_pool.h"
#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::kQuick;
using testing::make_block;
using testing::make_lane;
using testing::make_target;

void fail_with_code(int code, bool applied = false) {
  testing::throw_clickhouse_error(code, "no", applied);
}

class WorkerTest : public ::testing::Test {
 protected:
  // Sends the blocks with one worker until nothing is unfinished or parked for ever.
  void run_until(const std::function<bool()>& done) {
    Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), retry_, budget_,
                  stats_, log_.sink());
    std::thread thread([&] { worker.run(); });
    while (!done()) std::this_thread::yield();
    queue_.close();
    thread.join();
  }
  void run_until_position(std::int64_t position) {
    run_until([&] { return lane_->position() == position; });
  }
  void push(Cut cut, const std::vector<std::string>& payloads = {"{\"a\":1}"}) {
    queue_.make_inlet().push(make_block(budget_, lane_, cut, payloads, target_));
  }

  ByteBudget budget_{1u << 30};
  std::shared_ptr<LaneProgress> lane_ = make_lane();
  std::shared_ptr<TableTarget> target_ = make_target();
  std::shared_ptr<testing::SendScript> script_ = std::make_shared<testing::SendScript>();
  testing::LogRecorder log_;
  RetryPolicy retry_ = kQuick;
  WorkerStats stats_;
  BlockQueue queue_;
};

TEST_F(WorkerTest, ASentBlockIsAcknowledgedAndItsMemoryGivenBack) {
  push({0, 2}, {"{\"a\":1}", "{\"a\":2}"});
  run_until_position(2);
  ASSERT_EQ(script_->sent().size(), 1u);
  EXPECT_EQ(script_->sent()[0].token, "g/t/0/inc/0-2");
  EXPECT_EQ(script_->sent()[0].body, "{\"a\":1}\n{\"a\":2}\n");
  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_EQ(target_->stats->rows.value(), 2u);
  EXPECT_EQ(target_->stats->bytes.value(), 14u);
  EXPECT_EQ(target_->stats->blocks.value(), 1u);
  EXPECT_EQ(stats_.inserts_in_flight.value(), 0);
  EXPECT_TRUE(log_.events().empty());
}

struct FailureCase {
  const char* name;
  std::function<void()> fail;
  const char* reason;
};

class WorkerFailureTest : public WorkerTest, public ::testing::WithParamInterface<FailureCase> {};

TEST_P(WorkerFailureTest, TheSameRowsAndTokenAreSentUntilTheyAreIn) {
  push({0, 2}, {"{\"a\":1}", "{\"a\":2}"});
  script_->then(GetParam().fail);
  script_->then(GetParam().fail);
  run_until_position(2);

  const auto sent = script_->sent();
  ASSERT_EQ(sent.size(), 3u);
  for (const testing::Sent& each : sent) {
    EXPECT_EQ(each.token, sent[0].token);
    EXPECT_EQ(each.body, sent[0].body);
  }
  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_EQ(target_->stats->rows.value(), 2u) << "counted once";
  EXPECT_EQ(target_->stats->retries.values(),
            (std::map<std::string, std::uint64_t>{{GetParam().reason, 2}}));
  EXPECT_FALSE(lane_->status().waiting);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, WorkerFailureTest,
    ::testing::Values(
        FailureCase{"Busy", [] { fail_with_code(252); }, "TOO_MANY_PARTS"},
        FailureCase{"MissingTable", [] { fail_with_code(60); }, "UNKNOWN_TABLE"},
        FailureCase{"BadRows", [] { fail_with_code(27); }, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"},
        FailureCase{"NoAnswer",
                    [] { throw NetworkError(NetworkError::Kind::kTimeout, "no answer", true); },
                    "timeout"},
        FailureCase{"PoolSpent", [] { throw PoolTimeoutError("none free"); }, "pool_timeout"},
        FailureCase{"DeadLetter",
                    [] { throw TransportError("row", Disposition::kDeadLetter, false); },
                    "transport"},
        FailureCase{"ProgramFault", [] { throw std::logic_error("oops"); }, "internal_error"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(WorkerTest, WhatTheServerHasAlreadyIsSuccess) {
  push({0, 1});
  script_->then([] { throw TransportError("there already", Disposition::kDone, false); });
  run_until_position(1);
  EXPECT_EQ(script_->sent().size(), 1u);
  EXPECT_EQ(target_->stats->blocks.value(), 1u);
}

void fail_unanswered() {
  throw NetworkError(NetworkError::Kind::kClosed, "connection closed", true);
}

TEST_F(WorkerTest, AnUnansweredInsertIsRepeatedUnderItsTokenWhileTheServerLives) {
  script_->then(fail_unanswered);
  push({0, 1});
  run_until_position(1);
  ASSERT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->sent()[1].token, "g/t/0/inc/0-1");
  EXPECT_EQ(script_->restart_questions(), 2u);  // before the repeat and after it
}

TEST_F(WorkerTest, AnUnansweredInsertGetsANewTokenWhenTheServerWasRestarted) {
  script_->then(fail_unanswered);
  script_->then_proof(RepeatProof::kNone);
  push({0, 1});
  run_until_position(1);
  ASSERT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->sent()[1].token, "g/t/0/inc/0-1~1");
  EXPECT_EQ(script_->sent()[1].body, script_->sent()[0].body);
}

TEST_F(WorkerTest, ARestartBetweenQuestionAndRepeatIsFoundBeforeTheBlockIsAcknowledged) {
  script_->then(fail_unanswered);
  script_->then_proof(RepeatProof::kComplete);
  script_->then_proof(RepeatProof::kNone);
  push({0, 1});
  run_until_position(1);
  ASSERT_EQ(script_->sent().size(), 3u);
  EXPECT_EQ(script_->sent()[1].token, "g/t/0/inc/0-1");
  EXPECT_EQ(script_->sent()[2].token, "g/t/0/inc/0-1~1");
}

TEST_F(WorkerTest, AnInsertThatTheClientRepeatedIsAskedAboutBeforeItIsAcknowledged) {
  script_->repeated = true;
  script_->then_proof(RepeatProof::kNone);
  push({0, 1});
  run_until([&] { return script_->sent().size() == 2; });
  EXPECT_EQ(script_->sent()[1].token, "g/t/0/inc/0-1~1");
}

TEST_F(WorkerTest, AQuestionWithoutAnAnswerPutsNoInsertInDoubt) {
  push({0, 1});
  script_->then([] { fail_with_code(60); });
  script_->then_probe([] { fail_unanswered(); });
  run_until_position(1);
  EXPECT_EQ(script_->restart_questions(), 0u);
}

TEST_F(WorkerTest, ARefusedInsertIsNotAskedAbout) {
  script_->then([] { fail_with_code(241); });
  push({0, 1});
  run_until_position(1);
  EXPECT_EQ(script_->sent()[1].token, "g/t/0/inc/0-1");
  EXPECT_EQ(script_->restart_questions(), 0u);
}

TEST_F(WorkerTest, AWaitingBlockIsNotUploadedAgainBeforeAProbeSucceeds) {
  push({0, 1});
  script_->then([] { fail_with_code(60); });
  for (int i = 0; i < 3; ++i) script_->then_probe([] { fail_with_code(60); });
  run_until_position(1);
  EXPECT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->probes(), 4u);
}

TEST_F(WorkerTest, AWaitingBlockHoldsItsLaneAndNoOther) {
  const auto other = make_lane(0, "other");
  push({0, 1});
  retry_.wait_probe = retry_.wait_probe_max = std::chrono::hours(1);
  script_->then([] { fail_with_code(60); });
  queue_.make_inlet().push(make_block(budget_, other, {0, 1}));
  run_until([&] { return other->position() == 1 && lane_->blocked(); });
  const LaneStatus status = lane_->status();
  EXPECT_EQ(status.position, 0);
  EXPECT_TRUE(status.waiting);
  EXPECT_EQ(status.wait.code, 60);
  EXPECT_EQ(status.wait.reason, "UNKNOWN_TABLE");
  EXPECT_EQ(status.wait.disposition, Disposition::kWait);
  EXPECT_EQ(queue_.parked(), 1u);
}

TEST_F(WorkerTest, TheAlarmNamesAllThatAnOperatorNeeds) {
  push({0, 3});
  script_->then([] { fail_with_code(27, true); });
  run_until_position(3);
  const auto events = log_.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].level, LogLevel::kError);
  EXPECT_EQ(events[0].key, "insert_failed/p/t/0");
  EXPECT_THAT(events[0].message, HasSubstr("events"));
  EXPECT_THAT(events[0].message, HasSubstr("code 27"));
  EXPECT_EQ(testing::field(events[0], "table"), "events");
  EXPECT_EQ(testing::field(events[0], "lane"), "t/0");
  EXPECT_EQ(testing::field(events[0], "offsets"), "0-3");
  EXPECT_EQ(testing::field(events[0], "code"), "27");
  EXPECT_EQ(testing::field(events[0], "may_have_been_applied"), "yes");
  EXPECT_THAT(testing::field(events[0], "advice"), HasSubstr("kept"));
  EXPECT_EQ(events[1].level, LogLevel::kInfo);
  EXPECT_EQ(events[1].key, "lane_recovered/p/t/0");
  EXPECT_THAT(events[1].message, HasSubstr("1 failed attempt"));
}

TEST_F(WorkerTest, AnAbandonedBlockIsNeitherSentNorAcknowledged) {
  push({0, 1});
  lane_->abandon();
  run_until([&] { return target_->stats->abandoned_blocks.value() == 1; });
  EXPECT_TRUE(script_->sent().empty());
  EXPECT_EQ(lane_->position(), 0);
  EXPECT_EQ(budget_.used(), 0u);
}

// Its process slept: another one may own the lane by now.
TEST_F(WorkerTest, ABlockWaitsUntilTheLaneIsKnownToBeOurs) {
  push({0, 1});
  lane_->set_owned_until(std::chrono::steady_clock::now());
  bool known = false;
  run_until([&] {
    if (!known && queue_.parked() == 1) {
      EXPECT_TRUE(script_->sent().empty());
      lane_->set_owned_until(SteadyTime::max());
      known = true;
    }
    return lane_->position() == 1;
  });
  EXPECT_EQ(script_->sent().size(), 1u);
  EXPECT_TRUE(target_->stats->retries.values().empty());
}

TEST_F(WorkerTest, AnAbortKeepsTheBlockUnacknowledgedAndTheWorkerLeaves) {
  push({0, 1});
  script_->then([] { throw AbortedError("stopping", true); });
  run_until([&] { return queue_.parked() == 1; });
  EXPECT_EQ(lane_->position(), 0);
  EXPECT_EQ(lane_->unfinished(), 1u);
  EXPECT_TRUE(log_.events().empty()) << "a stop is no failure";
}

TEST_F(WorkerTest, ABodyLargerThanWasPaidForIsReservedWhileItIsSent) {
  target_ = make_target({"a_long_name_for_the_topic", "a_long_name_for_the_partition",
                         "a_long_name_for_the_offset", "", "", ""});
  std::vector<std::string> payloads(20'000, "{}");
  push({0, 20'000}, payloads);
  const std::size_t before = budget_.used();
  std::size_t during = 0, body = 0;
  script_->then([&] {
    during = budget_.used();
    body = script_->sent()[0].body.size();
  });
  run_until_position(20'000);
  EXPECT_GT(during, before);
  EXPECT_GE(during, body + payloads.size() * sizeof(RecordEntry));
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(WorkerTest, TimeOfEachStageIsCounted) {
  InsertBlockPtr block = make_block(budget_, lane_, {0, 1}, {"{\"a\":1}"}, target_);
  block->opened_at = std::chrono::steady_clock::now() - milliseconds(1);
  queue_.make_inlet().push(std::move(block));
  run_until_position(1);
  for (const Stage stage : {Stage::kSource, Stage::kQueue, Stage::kEncode, Stage::kSessionWait,
                            Stage::kSend, Stage::kServer}) {
    EXPECT_GT(target_->stats->stage_nanoseconds[static_cast<std::size_t>(stage)].value(), 0u)
        << to_string(stage);
  }
}

// What is tried in vain again and again would look as if it limited the flow.
TEST_F(WorkerTest, OnlyInsertsThatAreAcknowledgedCountAsTimeOfAStage) {
  std::vector<std::uint64_t> encoded;
  const auto note_and_fail = [&] {
    encoded.push_back(
        target_->stats->stage_nanoseconds[static_cast<std::size_t>(Stage::kEncode)].value());
    throw NetworkError(NetworkError::Kind::kConnect, "refused", false);
  };
  for (int i = 0; i < 3; ++i) script_->then(note_and_fail);
  push({0, 1});
  run_until_position(1);
  EXPECT_EQ(encoded, (std::vector<std::uint64_t>{0, 0, 0}));
  EXPECT_GT(target_->stats->stage_nanoseconds[static_cast<std::size_t>(Stage::kEncode)].value(),
            0u);
}

TEST_F(WorkerTest, StatusSaysWhatTheWorkerIsDoing) {
  Worker worker(3, queue_, std::make_unique<testing::FakeSender>(script_), retry_, budget_, stats_,
                log_.sink());
  const SteadyTime now = std::chrono::steady_clock::now();
  EXPECT_EQ(worker.status(now).operation, "idle");
  WorkerStatus during;
  std::int64_t in_flight = 0;
  script_->then([&] {
    during = worker.status(now + std::chrono::seconds(60));
    in_flight = stats_.inserts_in_flight.value();
  });
  push({0, 1});
  queue_.close();
  worker.run();
  EXPECT_EQ(during.id, 3u);
  EXPECT_EQ(during.operation, "insert");
  EXPECT_EQ(during.lane, "t/0");
  EXPECT_EQ(during.table, "events");
  EXPECT_EQ(during.session_id, "fake-session");
  EXPECT_GT(during.seconds, 50);
  EXPECT_EQ(in_flight, 1);
  EXPECT_EQ(worker.status(now).operation, "idle");
}

TEST_F(WorkerTest, APoolOfWorkersSettlesAllBlocksWhateverFails) {
  constexpr std::int64_t kBlocks = 400;
  for (int i = 0; i < 100; ++i) {
    script_->then([] { throw NetworkError(NetworkError::Kind::kClosed, "reset", true); });
    script_->then([] {});
    script_->then([] { fail_with_code(60); });
  }
  WorkerPool pool(4, queue_, testing::fake_senders(script_), kQuick, budget_, log_.sink());
  pool.start();
  for (std::int64_t i = 0; i < kBlocks; ++i) push({i, i + 1});
  while (lane_->position() < kBlocks) std::this_thread::yield();
  pool.stop();
  EXPECT_EQ(target_->stats->rows.value(), static_cast<std::uint64_t>(kBlocks));
  EXPECT_EQ(script_->sent().size(), static_cast<std::size_t>(kBlocks + 200));
  EXPECT_EQ(pool.status(std::chrono::steady_clock::now()).size(), 4u);
  EXPECT_EQ(budget_.used(), 0u);
}

}  // namespace
}  // namespace millrace
