// A lane with exactly once: what is held back, what is built again, what is forgotten.
#include <gtest/gtest.h>

#include <stdexcept>

#include "pipeline/producer.h"
#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using testing::make_record;

const SteadyTime kStart = SteadyTime{} + std::chrono::hours(1);

class PlannedLane : public ::testing::Test {
 protected:
  Lane& open(const Checkpoint& from, std::size_t budget_bytes = 1u << 30) {
    budget_.emplace(budget_bytes);
    producer_.emplace(*budget_, queue_, flow_, registry_);
    return producer_->open_planned_lane({"g", "t", 0}, target_, from);
  }
  // Borders at the multiples of 3.
  Lane& open_strides(const Checkpoint& from, std::size_t budget_bytes = 1u << 30) {
    target_->boundary = Boundary::kStride;
    return open(from, budget_bytes);
  }
  void append(Lane& lane, std::int64_t first, std::int64_t end, std::string_view payload = "{}") {
    for (std::int64_t offset = first; offset < end; ++offset) {
      ASSERT_EQ(producer_->append(lane, make_record(offset, payload), kStart),
                AppendResult::kAppended);
    }
  }
  InsertBlockPtr pop() { return queue_.queued() == 0 ? nullptr : outlet_.pop(); }

  std::shared_ptr<TableTarget> target_ = testing::make_target();
  LaneRegistry registry_;
  FlowControl flow_{BatchLimits{3, 1u << 20, milliseconds(50)}};
  std::optional<ByteBudget> budget_;
  BlockQueue queue_;
  BlockQueue::Outlet outlet_ = queue_.make_outlet();
  std::optional<Producer> producer_;
};

TEST_F(PlannedLane, HoldsWhatItCutUntilItsEndIsDurable) {
  Lane& lane = open({.position = 10});
  append(lane, 10, 17);
  EXPECT_EQ(queue_.queued(), 0u);
  EXPECT_EQ(producer_->checkpoint(lane).position, 10);
  EXPECT_EQ(producer_->checkpoint(lane).ends, (std::vector<std::int64_t>{13, 16}));
  producer_->planned(lane, 13);
  EXPECT_EQ(pop()->cut, (Cut{10, 13}));
  EXPECT_EQ(pop(), nullptr);
  producer_->planned(lane, 16);
  EXPECT_EQ(pop()->cut, (Cut{13, 16}));
}

TEST_F(PlannedLane, AHeldBlockIsMeantForAWorkerThatWaits) {
  Lane& leaving = open({.position = 0});
  Lane& growing = producer_->open_planned_lane({"g", "t", 1}, target_, {.position = 0});
  flow_.set_limits(BatchLimits{6, 1u << 20, milliseconds(50), 3, 1u << 20}, LaneLimits{});
  producer_->cut_due(kStart);  // takes the limits
  testing::WaitingWorker worker(queue_);
  const auto ends = [&] { return producer_->checkpoint(growing).ends; };
  append(leaving, 0, 3);
  append(growing, 0, 5);
  EXPECT_EQ(ends(), (std::vector<std::int64_t>{}));
  producer_->forget_unplanned(leaving);
  producer_->cut_due(kStart);
  EXPECT_EQ(ends(), (std::vector<std::int64_t>{5}));
  producer_->planned(growing, 5);
  const auto block = worker.block();
  ASSERT_TRUE(block);
  EXPECT_EQ(block->cut, (Cut{0, 5}));
}

TEST_F(PlannedLane, KeepsTheIncarnationOfThePlanAndDrawsOneWithout) {
  Lane& lane = open({.position = 0, .ends = {2}, .incarnation = "inc"});
  append(lane, 0, 2);
  EXPECT_EQ(pop()->token, "g/t/0/inc/0-2");
  EXPECT_EQ(producer_->checkpoint(lane).incarnation, "inc");
  EXPECT_FALSE(producer_->checkpoint(open({.position = 0})).incarnation.empty());
}

TEST_F(PlannedLane, CutsAtThePlannedBordersAndNowhereElse) {
  Lane& lane = open({.position = 0, .ends = {5, 6, 8}, .incarnation = "inc"});
  append(lane, 0, 4);  // more rows than a block may have
  producer_->cut_all(CutReason::kBudget);
  producer_->cut_due(kStart + milliseconds(100));
  EXPECT_EQ(producer_->next_due(), std::nullopt);
  EXPECT_EQ(pop(), nullptr);
  EXPECT_EQ(producer_->checkpoint(lane).ends, (std::vector<std::int64_t>{5, 6, 8}));
  append(lane, 4, 5);
  const auto first = pop();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->cut, (Cut{0, 5}));
  EXPECT_EQ(first->reason, CutReason::kPlanned);
  // 5 to 7 are gone: compacted away, or never visible.
  append(lane, 8, 9);
  EXPECT_FALSE(lane.replaying());
  EXPECT_EQ(pop(), nullptr) << "blocks without rows are not sent";
  first->lane->finish(first->cut);
  EXPECT_EQ(lane.progress().position(), 8);
}

// A former owner may have sent it: the worker asks whether the server can have lost the rows.
TEST_F(PlannedLane, ABlockOfAPlanIsInDoubtSinceThePlanWasMade) {
  const std::chrono::sys_seconds made{std::chrono::seconds(1'000'000'000)};
  Lane& lane = open({.position = 0, .ends = {2}, .incarnation = "inc", .written = made});
  append(lane, 0, 5);
  producer_->planned(lane, 5);
  const InsertBlockPtr planned = pop(), own = pop();
  EXPECT_EQ(planned->unknown_since, FirstTry(made));
  EXPECT_FALSE(own->unknown_since);
}

TEST_F(PlannedLane, PassedOffsetsFinishAPlannedBlock) {
  Lane& lane = open({.position = 0, .ends = {5}, .incarnation = "inc"});
  append(lane, 0, 2);
  producer_->skip(lane, 3);
  EXPECT_EQ(pop(), nullptr);
  producer_->advance(lane, 7);
  EXPECT_EQ(pop()->cut, (Cut{0, 5}));
  EXPECT_EQ(lane.next_offset(), 7);
}

TEST_F(PlannedLane, ForgetsWhatNoCheckpointNamesAndTakesNoMore) {
  Lane& lane = open({.position = 0});
  append(lane, 0, 3);
  producer_->planned(lane, 3);
  append(lane, 3, 8);  // a held block and an open one
  producer_->forget_unplanned(lane);
  EXPECT_EQ(producer_->checkpoint(lane).ends, (std::vector<std::int64_t>{3}));
  EXPECT_FALSE(producer_->idle(lane));
  const auto sent = pop();
  sent->lane->finish(sent->cut);
  EXPECT_TRUE(producer_->idle(lane));
  EXPECT_EQ(lane.progress().position(), 3);
  EXPECT_THROW((void)producer_->append(lane, make_record(8, "{}"), kStart), std::logic_error);
}

TEST_F(PlannedLane, APlannedBlockThatIsNotReadToItsEndIsForgottenAndStaysPlanned) {
  Lane& lane = open({.position = 0, .ends = {3, 8}, .incarnation = "inc"});
  append(lane, 0, 5);
  const auto sent = pop();
  EXPECT_FALSE(producer_->idle(lane));
  producer_->forget_unplanned(lane);
  EXPECT_FALSE(producer_->idle(lane)) << "the first block is on its way";
  sent->lane->finish(sent->cut);
  EXPECT_TRUE(producer_->idle(lane));
  EXPECT_EQ(producer_->checkpoint(lane).position, 3);
  EXPECT_EQ(producer_->checkpoint(lane).ends, (std::vector<std::int64_t>{8}));
}

// It can't be cut smaller, and nothing else is in flight that could make room.
// The topic was deleted: the rest of the block will never come.
TEST_F(PlannedLane, APlanThatCanNotBeCarriedOutIsGivenUpWithWhatWasRead) {
  Lane& lane = open({.position = 0, .ends = {5, 9}, .incarnation = "inc"});
  append(lane, 0, 2);
  producer_->give_plan_up(lane);
  EXPECT_FALSE(lane.replaying());
  EXPECT_EQ(producer_->checkpoint(lane).ends, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(pop(), nullptr);
  producer_->planned(lane, 2);
  EXPECT_EQ(pop()->token, "g/t/0/inc/0-2");
}

TEST_F(PlannedLane, APlannedBlockMayGoOverTheBudget) {
  Lane& lane = open({.position = 0, .ends = {100}, .incarnation = "inc"}, 64u << 10);
  append(lane, 0, 100, std::string(2'000, 'x'));
  EXPECT_GT(budget_->used(), budget_->limit());
  EXPECT_EQ(pop()->buffer.records(), 100u);
}

TEST_F(PlannedLane, APlanThatGrowsTooLongPausesTheLane) {
  Lane& lane = open({.position = 0});
  std::int64_t next = 0;
  append(lane, next, next + 3);
  producer_->planned(lane, 3);
  const auto hole = pop();
  for (std::size_t i = 1; i < kMaxPlannedBlocks; ++i) {
    EXPECT_FALSE(producer_->wants_pause(lane)) << i;
    next += 3;
    append(lane, next, next + 3);
    producer_->planned(lane, next + 3);
    const auto block = pop();
    block->lane->finish(block->cut);
  }
  EXPECT_TRUE(producer_->wants_pause(lane));
  hole->lane->finish(hole->cut);
  EXPECT_FALSE(producer_->wants_pause(lane));
}

TEST_F(PlannedLane, StridesEndAtTheirBordersWhateverIsInThem) {
  Lane& lane = open_strides({.position = 1});
  append(lane, 1, 5);
  append(lane, 14, 15);  // what was between is gone
  producer_->cut_due(kStart + std::chrono::hours(1));
  EXPECT_EQ(producer_->next_due(), std::nullopt);
  producer_->planned(lane, 15);
  EXPECT_EQ(pop()->token, "g/t/0/stride/1-3");
  EXPECT_EQ(pop()->token, "g/t/0/stride/3-6");
  const auto last = pop();
  EXPECT_EQ(last->cut, (Cut{12, 15}));
  EXPECT_EQ(last->reason, CutReason::kStride);
  EXPECT_EQ(pop(), nullptr);
}

TEST_F(PlannedLane, RowsBehindTheLastStrideAreLeftToWhoReadsOn) {
  Lane& lane = open_strides({.position = 0});
  append(lane, 0, 5);
  producer_->planned(lane, 3);
  const auto sent = pop();
  producer_->cut_all(CutReason::kLeaving);
  sent->lane->finish(sent->cut);
  EXPECT_TRUE(producer_->idle(lane));
  EXPECT_EQ(producer_->checkpoint(lane).position, 3);
  EXPECT_TRUE(producer_->checkpoint(lane).ends.empty());
}

TEST_F(PlannedLane, TombstonesMoveStridesToTheirBordersOnly) {
  Lane& lane = open_strides({.position = 0});
  for (std::int64_t offset = 0; offset < 5; ++offset) producer_->skip(lane, offset);
  producer_->cut_due(kStart + std::chrono::hours(1));
  EXPECT_EQ(lane.progress().position(), 3);
}

// Else all would wait for each other.
TEST_F(PlannedLane, AStrideForWhichMemoryIsShortIsCutOnceNothingElseCanMakeRoom) {
  const std::string payload(10'000, 'x');
  target_->boundary = Boundary::kStride;
  budget_.emplace(64u << 10);
  flow_.set_limits(BatchLimits{100, 1u << 20, milliseconds(50)}, LaneLimits{});
  producer_.emplace(*budget_, queue_, flow_, registry_);
  Lane& lane = producer_->open_planned_lane({"g", "t", 0}, target_, {});
  std::int64_t next = 0;
  AppendResult result = AppendResult::kAppended;
  while (result == AppendResult::kAppended)
    result = producer_->append(lane, make_record(next++, payload), kStart);
  EXPECT_EQ(result, AppendResult::kBudgetSpent);
  producer_->planned(lane, next);
  const auto block = pop();
  ASSERT_TRUE(block);
  EXPECT_EQ(block->reason, CutReason::kBudget);
  EXPECT_EQ(block->cut, (Cut{0, next - 1}));
  EXPECT_FALSE(producer_->nothing_in_flight());
}

TEST_F(PlannedLane, RowsOfStridesThatCanNotBeReadAgainAreSentAsTheyAre) {
  Lane& lane = open_strides({.position = 0});
  append(lane, 0, 2);
  producer_->give_plan_up(lane);
  producer_->planned(lane, 2);
  EXPECT_EQ(pop()->cut, (Cut{0, 2}));
}

}  // namespace
}  // namespace millrace
