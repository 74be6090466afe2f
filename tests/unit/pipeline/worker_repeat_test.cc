// A repeat that ClickHouse confirms although it has lost the rows, or may have forgotten them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <utility>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kQuick;
using testing::make_block;
using testing::make_lane;
using testing::make_target;

const MetadataColumns kNamed{"t", "p", "o", "", "", ""};

// Takes each token once. Of the next inserts it loses the rows of some offsets, and knows the token
// all the same. Used by the worker's thread; read when that has ended.
class ForgetfulTable {
 public:
  void insert(const testing::Sent& sent) {
    if (!tokens_.insert(sent.token).second) return;
    std::set<std::int64_t> lost;
    if (!loses.empty()) {
      lost = loses.front();
      loses.pop_front();
    }
    const std::string name = "\"o\":";
    for (std::size_t at = sent.body.find(name); at != std::string::npos;
         at = sent.body.find(name, at + 1)) {
      const std::int64_t offset = std::stoll(sent.body.substr(at + name.size()));
      if (!lost.contains(offset)) ++rows[offset];
    }
  }
  std::deque<std::set<std::int64_t>> loses;
  RowsByOffset rows;

 private:
  std::set<std::string> tokens_;
};

class WorkerRepeatTest : public ::testing::Test {
 protected:
  WorkerRepeatTest() {
    script_->always([this](const testing::Sent& sent) {
      table_.insert(sent);
      if (unanswered_ == 0) return;
      --unanswered_;
      throw NetworkError(NetworkError::Kind::kClosed, "connection closed", true);
    });
    script_->rows_of_records = [this](Cut, std::optional<FirstTry>) { return table_.rows; };
  }
  void run_until(InsertBlockPtr block, const std::function<bool()>& done) {
    queue_.make_inlet().push(std::move(block));
    Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), kQuick, budget_,
                  stats_, log_.sink());
    std::thread thread([&] { worker.run(); });
    while (!done()) std::this_thread::yield();
    queue_.close();
    thread.join();
  }
  void deliver(const std::vector<std::string>& payloads) {
    const auto end = static_cast<std::int64_t>(payloads.size());
    run_until(make_block(budget_, lane_, {0, end}, payloads, target_),
              [&] { return lane_->position() == end; });
  }
  InsertBlockPtr planned(std::int64_t end) {
    BlockBuffer rows(budget_, target_->layout());
    for (std::int64_t offset = 0; offset < end; ++offset)
      EXPECT_TRUE(rows.try_append(testing::make_record(offset, "{}")));
    lane_->open({0, end}, static_cast<std::size_t>(end));
    auto block = std::make_unique<InsertBlock>(lane_, target_, Cut{0, end}, std::move(rows),
                                               CutReason::kPlanned);
    block->unknown_since = std::chrono::steady_clock::now();
    return block;
  }
  std::vector<std::string> tokens() const {
    std::vector<std::string> all;
    for (const testing::Sent& sent : script_->sent()) all.push_back(sent.token);
    return all;
  }

  ByteBudget budget_{1u << 30};
  std::shared_ptr<LaneProgress> lane_ = make_lane();
  std::shared_ptr<TableTarget> target_ = make_target(kNamed);
  std::shared_ptr<testing::SendScript> script_ = std::make_shared<testing::SendScript>();
  ForgetfulTable table_;
  unsigned unanswered_ = 0;  // of the next inserts
  bool refuses_questions_ = false;
  testing::LogRecorder log_;
  WorkerStats stats_;
  BlockQueue queue_;
};

TEST_F(WorkerRepeatTest, RowsThatAKilledServerLostAreSentAgainAndNoOthers) {
  table_.loses = {{1, 3}};
  unanswered_ = 1;
  script_->then_proof(RepeatProof::kLook);
  script_->then_proof(RepeatProof::kLook);
  deliver({"{}", "{}", "{}", "{}"});
  EXPECT_EQ(table_.rows, (RowsByOffset{{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
  EXPECT_THAT(tokens(), ElementsAre("g/t/0/inc/0-4", "g/t/0/inc/0-4", "g/t/0/inc/0-4~1"));
  EXPECT_EQ(target_->stats->repaired_rows.value(), 2u);
  EXPECT_EQ(target_->stats->rows.value(), 4u);
}

TEST_F(WorkerRepeatTest, ARepairThatIsLostTooIsRepaired) {
  table_.loses = {{0, 1}, {0}};
  unanswered_ = 1;
  script_->then_proof(RepeatProof::kLook);
  script_->then_proof(RepeatProof::kLook);
  deliver({"{}", "{}"});
  EXPECT_EQ(table_.rows, (RowsByOffset{{0, 1}, {1, 1}}));
  EXPECT_EQ(tokens().back(), "g/t/0/inc/0-2~2");
}

TEST_F(WorkerRepeatTest, AMessageThatIsThereInPartIsSentAgain) {
  script_->rows_of_records = [asked = 0](Cut, std::optional<FirstTry>) mutable {
    return ++asked <= 2 ? RowsByOffset{{0, 1}} : RowsByOffset{{0, 3}};  // of two rows
  };
  unanswered_ = 1;
  script_->then_proof(RepeatProof::kLook);
  script_->then_proof(RepeatProof::kLook);
  deliver({"{} {}"});
  EXPECT_EQ(tokens().back(), "g/t/0/inc/0-1~1");
}

// Parts that are merged meanwhile are missed by the short question.
TEST_F(WorkerRepeatTest, WhatTheShortQuestionOverlooksIsNotSentAgain) {
  script_->rows_of_records = [](Cut range, std::optional<FirstTry> since) {
    RowsByOffset all;
    for (std::int64_t at = range.first; at < range.end; ++at) all[at] = 1;
    return since ? RowsByOffset{} : all;
  };
  unanswered_ = 1;
  script_->then_proof(RepeatProof::kLook);
  script_->then_proof(RepeatProof::kLook);
  deliver({"{}", "{}"});
  EXPECT_THAT(tokens(), ElementsAre("g/t/0/inc/0-2", "g/t/0/inc/0-2"));
}

TEST_F(WorkerRepeatTest, RowsThatNeverShowUpHoldTheLane) {
  std::atomic<bool> visible{false};
  script_->rows_of_records = [&](Cut, std::optional<FirstTry>) {
    return visible ? RowsByOffset{{0, 1}} : RowsByOffset{};
  };
  unanswered_ = 1;
  for (int i = 0; i < 100; ++i) script_->then_proof(RepeatProof::kLook);
  run_until(make_block(budget_, lane_, {0, 1}, {"{}"}, target_), [&] {
    if (lane_->status().wait.reason == "ROWS_NOT_FOUND") visible = true;
    return lane_->position() == 1;
  });
  EXPECT_EQ(target_->stats->retries.values().count("ROWS_NOT_FOUND"), 1u);
}

TEST_F(WorkerRepeatTest, AnExpiredPlanWaitsForSomebodyToDecide) {
  script_->may_have_forgotten = true;
  run_until(planned(2), [&] { return lane_->blocked(); });
  EXPECT_TRUE(tokens().empty());
  EXPECT_EQ(lane_->status().wait.reason, "PLAN_EXPIRED");
  EXPECT_THAT(testing::field(log_.events()[0], "advice"), HasSubstr("on_expired_plan"));
}

TEST_F(WorkerRepeatTest, AnExpiredPlanIsSentAgainWhereThatIsAskedFor) {
  script_->may_have_forgotten = true;
  target_->on_expired_plan = ExpiredPlan::kResend;
  run_until(planned(2), [&] { return lane_->position() == 2; });
  EXPECT_THAT(tokens(), ElementsAre("g/t/0/inc/0-2"));
}

TEST_F(WorkerRepeatTest, OfAnExpiredPlanOnlyWhatIsMissingIsSentWhereThatIsAskedFor) {
  script_->may_have_forgotten = true;
  target_->on_expired_plan = ExpiredPlan::kVerify;
  table_.rows = {{0, 1}};
  run_until(planned(2), [&] { return lane_->position() == 2; });
  EXPECT_EQ(table_.rows, (RowsByOffset{{0, 1}, {1, 1}}));
  EXPECT_THAT(tokens(), ElementsAre("g/t/0/inc/0-2~1"));
}

TEST_F(WorkerRepeatTest, APlanThatIsFreshIsSentUnderItsToken) {
  target_->on_expired_plan = ExpiredPlan::kVerify;
  run_until(planned(2), [&] { return lane_->position() == 2; });
  EXPECT_THAT(tokens(), ElementsAre("g/t/0/inc/0-2"));
}

TEST_F(WorkerRepeatTest, AQuestionThatIsRefusedSaysNothingOfTheRows) {
  script_->rows_of_records = [this](Cut, std::optional<FirstTry>) {
    if (std::exchange(refuses_questions_, false))
      throw ClickHouseError({.code = 53, .name = "TYPE_MISMATCH", .message = "no such comparison"});
    return table_.rows;
  };
  refuses_questions_ = true;
  script_->may_have_forgotten = true;
  target_->on_expired_plan = ExpiredPlan::kVerify;
  run_until(planned(2), [&] { return lane_->position() == 2; });
  EXPECT_EQ(table_.rows, (RowsByOffset{{0, 1}, {1, 1}}));
  EXPECT_EQ(target_->stats->retries.values().count("QUESTION_FAILED"), 1u);
}

TEST(MayBeForgottenTest, HalfOfTheSecondsOrOfTheInserts) {
  const TableMemory replicated{.inserts = 1'000, .seconds = 60};
  EXPECT_FALSE(may_be_forgotten(replicated, {.seconds = 30, .of_partitions = 500}));
  EXPECT_TRUE(may_be_forgotten(replicated, {.seconds = 31}));
  EXPECT_TRUE(may_be_forgotten(replicated, {.seconds = 30, .of_partitions = 501}));
  const TableMemory plain{.inserts = 1'000};
  EXPECT_FALSE(may_be_forgotten(plain, {.seconds = 1'000, .of_partitions = 900, .of_table = 500}));
  EXPECT_TRUE(may_be_forgotten(plain, {.seconds = 1'000, .of_table = 501}));
}

// A merge of many old parts just after a restart.
TEST(MayBeForgottenTest, MoreInsertsThanATableCanTakeAreMerges) {
  EXPECT_FALSE(may_be_forgotten({.inserts = 10'000}, {.seconds = 10, .of_table = 1'000'000}));
}

}  // namespace
}  // namespace millrace
