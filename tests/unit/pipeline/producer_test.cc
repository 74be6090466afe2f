#include "pipeline/producer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using testing::make_record;
using testing::make_target;

const SteadyTime kStart = SteadyTime{} + std::chrono::hours(1);

class ProducerTest : public ::testing::Test {
 protected:
  Producer& producer(std::size_t budget_bytes = 1u << 30, BatchLimits limits = {}) {
    budget_ = std::make_unique<ByteBudget>(budget_bytes);
    queue_ = std::make_unique<BlockQueue>();
    outlet_ = std::make_unique<BlockQueue::Outlet>(queue_->make_outlet());
    flow_ = std::make_unique<FlowControl>(limits, LaneLimits{2});
    producer_ = std::make_unique<Producer>(*budget_, *queue_, *flow_, registry_);
    return *producer_;
  }
  Lane& open(std::int64_t offset = 0, const std::string& topic = "t") {
    return producer_->open_lane({"g", topic, 0}, target_, offset);
  }
  std::vector<std::int64_t> offsets(const InsertBlock& block) {
    std::vector<std::int64_t> result;
    for (const RecordEntry& entry : block.buffer.entries()) result.push_back(entry.offset);
    return result;
  }
  void append(Lane& lane, std::int64_t offset, std::string_view payload = "{}") {
    ASSERT_EQ(producer_->append(lane, make_record(offset, payload), kStart),
              AppendResult::kAppended);
  }

  std::shared_ptr<TableTarget> target_ = make_target();
  LaneRegistry registry_;
  std::unique_ptr<ByteBudget> budget_;
  std::unique_ptr<BlockQueue> queue_;
  std::unique_ptr<BlockQueue::Outlet> outlet_;
  std::unique_ptr<FlowControl> flow_;
  std::unique_ptr<Producer> producer_;
};

TEST_F(ProducerTest, AFullBlockIsCutAtOnceAndTheNextBeginsWhereItEnds) {
  producer(1u << 30, {3, 1u << 20, milliseconds(1'000)});
  Lane& lane = open(10);
  for (const std::int64_t offset : {10, 11, 15, 16}) append(lane, offset);
  ASSERT_EQ(queue_->queued(), 1u);
  const auto block = outlet_->pop();
  EXPECT_EQ(block->cut, (Cut{10, 16}));
  EXPECT_EQ(block->reason, CutReason::kRows);
  EXPECT_EQ(offsets(*block), (std::vector<std::int64_t>{10, 11, 15}));
  producer_->cut_all(CutReason::kLeaving);
  EXPECT_EQ(outlet_->pop()->cut, (Cut{16, 17}));
}

// What is cut then would only wait.
TEST_F(ProducerTest, ABlockGrowsOverItsTargetWhileNoWorkerWaits) {
  producer(1u << 30, {10, 1u << 20, milliseconds(1'000), 2, 1u << 20});
  Lane& lane = open();
  for (std::int64_t offset = 0; offset < 5; ++offset) append(lane, offset);
  producer_->cut_due(kStart);
  EXPECT_EQ(queue_->queued(), 0u);

  testing::WaitingWorker worker(*queue_);
  producer_->cut_due(kStart);  // without another record
  const auto block = worker.block();
  ASSERT_TRUE(block);
  EXPECT_EQ(block->cut, (Cut{0, 5}));
  EXPECT_EQ(block->reason, CutReason::kRows);
}

TEST_F(ProducerTest, AWorkerThatWaitsTakesOneBlock) {
  producer(1u << 30, {10, 1u << 20, milliseconds(1'000), 2, 1u << 20});
  Lane& first = open(0, "first");
  Lane& second = open(0, "second");
  for (std::int64_t offset = 0; offset < 3; ++offset) append(first, offset);
  for (std::int64_t offset = 0; offset < 3; ++offset) append(second, offset);
  testing::WaitingWorker worker(*queue_);
  producer_->cut_due(kStart);
  const auto block = worker.block();
  ASSERT_TRUE(block);
  EXPECT_EQ(block->cut, (Cut{0, 3}));
  EXPECT_EQ(queue_->queued(), 0u);
}

TEST_F(ProducerTest, ABlockGrowsToTheMaximumOnly) {
  producer(1u << 30, {4, 1u << 20, milliseconds(1'000), 2, 1u << 20});
  Lane& lane = open();
  for (std::int64_t offset = 0; offset < 6; ++offset) append(lane, offset);
  EXPECT_EQ(outlet_->pop()->cut, (Cut{0, 4}));
  EXPECT_EQ(queue_->queued(), 0u);
}

TEST_F(ProducerTest, NothingGrowsWhenMostOfTheBudgetIsUsed) {
  producer(1u << 30, {10, 1u << 20, milliseconds(1'000), 2, 1u << 20});
  Lane& lane = open();
  const auto others = budget_->try_reserve((3u << 28) + 1);
  for (std::int64_t offset = 0; offset < 4; ++offset) append(lane, offset);
  EXPECT_EQ(outlet_->pop()->cut, (Cut{0, 2}));
  EXPECT_EQ(outlet_->pop()->cut, (Cut{2, 4}));
}

TEST_F(ProducerTest, ABlockHasTheTraceOfItsFirstRecordThatNamesOne) {
  constexpr const char* kOne = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  constexpr const char* kOther = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01";
  producer(1u << 30, {4, 1u << 20, milliseconds(1'000)});
  const auto feed = [&](Lane& lane) {
    std::int64_t offset = 0;
    for (const char* trace : {"", "nonsense", kOne, kOther, "", "", kOther, ""}) {
      Record record = make_record(offset++, "{}");
      record.traceparent = trace;
      ASSERT_EQ(producer_->append(lane, record, kStart), AppendResult::kAppended);
    }
  };
  feed(open(0, "without"));
  EXPECT_EQ(outlet_->pop()->traceparent, "");
  EXPECT_EQ(outlet_->pop()->traceparent, "");
  target_->trace_context = TraceContext::kFirst;
  feed(open(0, "with"));
  EXPECT_EQ(outlet_->pop()->traceparent, kOne);
  EXPECT_EQ(outlet_->pop()->traceparent, kOther);
}

TEST_F(ProducerTest, TheByteLimitCutsToo) {
  producer(1u << 30, {1'000, 100, milliseconds(1'000)});
  Lane& lane = open();
  const std::string payload(60, 'x');
  append(lane, 0, payload);
  EXPECT_EQ(queue_->queued(), 0u);
  append(lane, 1, payload);
  EXPECT_EQ(outlet_->pop()->reason, CutReason::kBytes);
}

TEST_F(ProducerTest, OnlyBlocksWhoseAgeIsOverAreCut) {
  producer(1u << 30, {1'000, 1u << 20, milliseconds(50)});
  Lane& old_lane = open(0, "old");
  Lane& young_lane = open(0, "young");
  EXPECT_EQ(producer_->next_due(), std::nullopt);
  append(old_lane, 0);
  ASSERT_EQ(producer_->append(young_lane, make_record(0, "{}"), kStart + milliseconds(20)),
            AppendResult::kAppended);
  EXPECT_EQ(producer_->next_due(), kStart + milliseconds(50));
  producer_->cut_due(kStart + milliseconds(49));
  EXPECT_EQ(queue_->queued(), 0u);
  producer_->cut_due(kStart + milliseconds(50));
  EXPECT_EQ(queue_->queued(), 1u);
  EXPECT_EQ(producer_->next_due(), kStart + milliseconds(70));
  const auto block = outlet_->pop();
  EXPECT_EQ(block->lane->id().topic, "old");
  EXPECT_EQ(block->reason, CutReason::kAge);
}

// What is in flight gives its memory back; what is open may become larger meanwhile.
TEST_F(ProducerTest, ASpentBudgetCutsTheLargestOpenBlockWhenNothingElseGivesMemoryBack) {
  producer(200'000);
  Lane& quiet = open(0, "quiet");
  Lane& busy = open(0, "busy");
  append(quiet, 0);
  const std::string payload(20'000, 'x');
  std::int64_t offset = 0;
  const auto fill = [&] {
    for (;; ++offset) {
      const AppendResult result = producer_->append(busy, make_record(offset, payload), kStart);
      if (result != AppendResult::kAppended) return result;
    }
  };
  EXPECT_EQ(fill(), AppendResult::kBudgetSpent);
  const std::int64_t cut_end = offset;
  EXPECT_EQ(fill(), AppendResult::kBudgetSpent);
  ASSERT_EQ(queue_->queued(), 1u);
  EXPECT_EQ(busy.next_offset(), offset) << "the refused record is not taken";
  auto block = outlet_->pop();
  EXPECT_EQ(block->cut, (Cut{0, cut_end}));
  EXPECT_EQ(block->lane->id().topic, "busy");
  EXPECT_EQ(block->reason, CutReason::kBudget);
  block->lane->finish(block->cut);
  block.reset();
  EXPECT_EQ(producer_->append(busy, make_record(offset, payload), kStart), AppendResult::kAppended)
      << "what was acknowledged is free again";
  EXPECT_EQ(busy.progress().position(), cut_end);
}

TEST_F(ProducerTest, ASpentBudgetGivesEachWorkerThatWaitsABlock) {
  producer(200'000);
  Lane& small = open(0, "small");
  Lane& large = open(0, "large");
  append(small, 0);
  const auto others = budget_->try_reserve(budget_->limit() - budget_->used() - 50'000);
  append(large, 0, std::string(10'000, 'x'));
  testing::WaitingWorker one(*queue_), other(*queue_);
  EXPECT_EQ(producer_->append(large, make_record(1, std::string(90'000, 'x')), kStart),
            AppendResult::kBudgetSpent);
  for (auto* worker : {&one, &other}) {
    const auto block = worker->block();
    ASSERT_TRUE(block);
    EXPECT_EQ(block->reason, CutReason::kBudget);
  }
}

TEST_F(ProducerTest, ARecordLargerThanTheWholeBudgetIsSaidToBeTooLarge) {
  producer(100'000);
  Lane& lane = open();
  const std::string payload(200'000, 'x');
  EXPECT_EQ(producer_->append(lane, make_record(0, payload), kStart), AppendResult::kTooLarge);
  EXPECT_EQ(lane.next_offset(), 0);
  append(lane, 0);
}

TEST_F(ProducerTest, SkippedRecordsCountAsReadAndThePositionMovesOverThem) {
  producer();
  Lane& lane = open(5);
  producer_->skip(lane, 5);
  producer_->skip(lane, 9);
  EXPECT_FALSE(producer_->idle(lane));
  producer_->cut(lane, CutReason::kLeaving);
  EXPECT_EQ(queue_->queued(), 0u) << "no block for no rows";
  EXPECT_EQ(lane.progress().position(), 10);
  EXPECT_TRUE(producer_->idle(lane));
}

TEST_F(ProducerTest, ALaneOfSkippedRecordsOnlyMovesOnWithoutBeingCutByHand) {
  producer();
  Lane& lane = open(0);
  producer_->skip(lane, 0);
  producer_->cut_due(kStart);
  EXPECT_EQ(lane.progress().position(), 1);
}

TEST_F(ProducerTest, SkippedRecordsBehindABlockWaitForIt) {
  producer();
  Lane& lane = open(0);
  append(lane, 0);
  producer_->skip(lane, 1);
  producer_->cut(lane, CutReason::kAge);
  producer_->skip(lane, 2);
  producer_->cut(lane, CutReason::kLeaving);
  EXPECT_EQ(lane.progress().position(), 0);
  const auto block = outlet_->pop();
  EXPECT_EQ(block->cut, (Cut{0, 2}));
  block->lane->finish(block->cut);
  EXPECT_EQ(lane.progress().position(), 3);
}

TEST_F(ProducerTest, AnOffsetThatCameBeforeIsAFaultInTheSource) {
  producer();
  Lane& lane = open(5);
  append(lane, 7);
  EXPECT_THROW((void)producer_->append(lane, make_record(7, "{}"), kStart), std::logic_error);
  EXPECT_THROW((void)producer_->append(lane, make_record(4, "{}"), kStart), std::logic_error);
  EXPECT_THROW(producer_->skip(lane, 7), std::logic_error);
  EXPECT_EQ(lane.next_offset(), 8);
}

TEST_F(ProducerTest, PausesALaneWithTooManyBlocksInFlight) {
  producer();
  Lane& lane = open();
  for (std::int64_t i = 0; i < 2; ++i) {
    EXPECT_FALSE(producer_->wants_pause(lane));
    append(lane, i);
    producer_->cut(lane, CutReason::kAge);
  }
  EXPECT_TRUE(producer_->wants_pause(lane));
  lane.progress().finish({0, 1});
  EXPECT_FALSE(producer_->wants_pause(lane));
}

TEST_F(ProducerTest, PausesALaneWhoseBlockWaitsForSomebodyToAct) {
  producer();
  Lane& lane = open();
  append(lane, 0);
  producer_->cut(lane, CutReason::kAge);
  LaneWait wait;
  wait.disposition = Disposition::kWait;
  lane.progress().set_failed({0, 1}, wait);
  EXPECT_TRUE(producer_->wants_pause(lane));
}

TEST_F(ProducerTest, IdleOnlyWhenNothingIsOpenAndNothingUnfinished) {
  producer();
  Lane& lane = open();
  EXPECT_TRUE(producer_->all_idle());
  append(lane, 0);
  EXPECT_FALSE(producer_->idle(lane));
  producer_->cut_all(CutReason::kLeaving);
  EXPECT_FALSE(producer_->all_idle());
  lane.progress().finish({0, 1});
  EXPECT_TRUE(producer_->all_idle());
}

TEST_F(ProducerTest, AClosedLaneIsAbandonedAndItsParkedBlocksAreHandedToAWorker) {
  producer();
  Lane& lane = open();
  append(lane, 0);
  producer_->cut(lane, CutReason::kAge);
  queue_->park(outlet_->pop(), std::chrono::steady_clock::now() + std::chrono::hours(1));
  append(lane, 1);
  EXPECT_EQ(registry_.status().size(), 1u);
  producer_->close_lane(lane);
  EXPECT_TRUE(producer_->lanes().empty());
  EXPECT_TRUE(registry_.status().empty());
  const auto block = outlet_->pop();
  EXPECT_TRUE(block->lane->abandoned());
  EXPECT_EQ(budget_->used(), block->buffer.reserved_bytes()) << "what was open is forgotten";
}

TEST_F(ProducerTest, LimitsThatChangeHoldForTheOpenBlockToo) {
  producer(1u << 30, {1'000, 1u << 20, milliseconds(1'000)});
  Lane& lane = open();
  append(lane, 0);
  append(lane, 1);
  flow_->set_limits({2, 1u << 20, milliseconds(50)}, LaneLimits{1});
  producer_->cut_due(kStart);
  ASSERT_EQ(queue_->queued(), 1u);
  EXPECT_EQ(outlet_->pop()->reason, CutReason::kRows);
  EXPECT_TRUE(producer_->wants_pause(lane)) << "one block may be in flight now, no more";
  append(lane, 2);
  EXPECT_EQ(producer_->next_due(), kStart + milliseconds(50));
}

TEST_F(ProducerTest, APausedPipelineWantsNothingMoreOfAnyLane) {
  producer();
  Lane& lane = open();
  EXPECT_FALSE(producer_->wants_pause(lane));
  flow_->set_paused(true);
  EXPECT_TRUE(producer_->wants_pause(lane));
  flow_->set_paused(false);
  EXPECT_FALSE(producer_->wants_pause(lane));
}

TEST_F(ProducerTest, APausedPipelineReadsToTheEndWhatAFormerOwnerPlanned) {
  producer();
  Lane& lane = producer_->open_planned_lane({"g", "t", 0}, target_,
                                            {.position = 0, .ends = {2}, .incarnation = "i"});
  flow_->set_paused(true);
  append(lane, 0);
  EXPECT_FALSE(producer_->wants_pause(lane));
  append(lane, 1);
  EXPECT_TRUE(producer_->wants_pause(lane));
  EXPECT_EQ(outlet_->pop()->cut, (Cut{0, 2}));
}

TEST_F(ProducerTest, ALaneTakenAgainHasOtherTokens) {
  producer();
  Lane& first = open();
  const std::string token = first.progress().token({0, 1});
  producer_->close_lane(first);
  EXPECT_NE(open().progress().token({0, 1}), token);
}

TEST_F(ProducerTest, CountsWhatWasReadAndWhyItWasCut) {
  producer();
  Lane& lane = open();
  append(lane, 0, "{\"a\":1}");
  append(lane, 1, "{\"a\":2}");
  producer_->cut_all(CutReason::kLeaving);
  EXPECT_EQ(target_->stats->rows_read.value(), 2u);
  EXPECT_EQ(target_->stats->bytes_read.value(), 14u);
  EXPECT_EQ(target_->stats->cuts[static_cast<std::size_t>(CutReason::kLeaving)].value(), 1u);
  EXPECT_EQ(lane.progress().status().read, 2);
}

TEST_F(ProducerTest, TheByteLimitCountsKeysAndHeadersThatAreKept) {
  target_ = make_target({"", "", "", "", "k", "h"});
  producer(1u << 30, {1'000, 100, milliseconds(1'000)});
  Lane& lane = open();
  const std::string large(200, 'x');
  const RecordHeader headers[] = {{"n", large}};
  Record record = make_record(0, "{}");
  record.headers = headers;
  ASSERT_EQ(producer_->append(lane, record, kStart), AppendResult::kAppended);
  EXPECT_EQ(queue_->queued(), 1u);
}

TEST_F(ProducerTest, ABlockIsCutBelowWhatAProxyHasRefused) {
  producer(1u << 30, {1'000, 1u << 20, milliseconds(1'000)});
  Lane& lane = open();
  for (std::int64_t offset = 0; offset < 5; ++offset) append(lane, offset);
  EXPECT_EQ(queue_->queued(), 0u);
  target_->stats->body_limit.refused(2'000, 2'000);
  const std::string payload(200, 'x');
  for (std::int64_t offset = 5; queue_->queued() == 0; ++offset) append(lane, offset, payload);
  const auto block = outlet_->pop();
  EXPECT_EQ(block->reason, CutReason::kBytes);
  EXPECT_GE(block->buffer.used_bytes(), 1'000u);
  EXPECT_LT(block->buffer.used_bytes(), 1'500u);
}

}  // namespace
}  // namespace millrace
