#include "pipeline/batcher.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

using std::chrono::milliseconds;

const SteadyTime kStart = SteadyTime{} + std::chrono::hours(1);
const BatchLimits kLimits{3, 100, milliseconds(50)};

TEST(BatcherTest, FullAtTheRowLimitAndNotOneBefore) {
  Batcher batcher(kLimits);
  batcher.add(2, 1, kStart);
  EXPECT_EQ(batcher.full(), std::nullopt);
  batcher.add(1, 1, kStart);
  EXPECT_EQ(batcher.full(), CutReason::kRows);
}

TEST(BatcherTest, FullAtTheByteLimitAndNotOneBefore) {
  Batcher batcher(kLimits);
  batcher.add(1, 99, kStart);
  EXPECT_EQ(batcher.full(), std::nullopt);
  batcher.add(1, 1, kStart);
  EXPECT_EQ(batcher.full(), CutReason::kBytes);
}

TEST(BatcherTest, EnoughAtTheTargetsAndFullAtTheMaxima) {
  const BatchLimits limits{30, 1000, milliseconds(50), 3, 100};
  Batcher rows(limits), bytes(limits);
  rows.add(2, 1, kStart);
  bytes.add(1, 99, kStart);
  EXPECT_EQ(rows.enough(), std::nullopt);
  EXPECT_EQ(bytes.enough(), std::nullopt);
  rows.add(1, 1, kStart);
  bytes.add(1, 1, kStart);
  EXPECT_EQ(rows.enough(), CutReason::kRows);
  EXPECT_EQ(bytes.enough(), CutReason::kBytes);
  EXPECT_EQ(rows.full(), std::nullopt);
  EXPECT_EQ(bytes.full(), std::nullopt);
  EXPECT_EQ(rows.due(kStart + milliseconds(50)), CutReason::kAge);  // however large it may grow
}

TEST(BatcherTest, AMaximumBelowTheTargetIsTheTarget) {
  Batcher batcher(BatchLimits{3, 1000, milliseconds(50), 30, 10'000});
  batcher.add(3, 1, kStart);
  EXPECT_EQ(batcher.enough(), CutReason::kRows);
  EXPECT_EQ(BatchLimits({3, 1000, milliseconds(50), 30, 10'000}).enough_bytes(), 1000u);
}

TEST(BatcherTest, AgeCountsFromTheFirstRecordOfTheBlock) {
  Batcher batcher(kLimits);
  batcher.add(1, 1, kStart);
  batcher.add(1, 1, kStart + milliseconds(40));
  EXPECT_EQ(batcher.deadline(), kStart + milliseconds(50));
  EXPECT_EQ(batcher.due(kStart + milliseconds(49)), std::nullopt);
  EXPECT_EQ(batcher.due(kStart + milliseconds(50)), CutReason::kAge);
}

TEST(BatcherTest, AnEmptyBlockIsNeverDue) {
  Batcher batcher(kLimits);
  EXPECT_EQ(batcher.deadline(), std::nullopt);
  EXPECT_EQ(batcher.due(kStart + std::chrono::hours(9)), std::nullopt);
}

TEST(BatcherTest, AfterACutTheNextBlockStartsFromNothing) {
  Batcher batcher(kLimits);
  batcher.add(3, 100, kStart);
  batcher.reset();
  EXPECT_TRUE(batcher.empty());
  EXPECT_EQ(batcher.full(), std::nullopt);
  batcher.add(1, 1, kStart + milliseconds(500));
  EXPECT_EQ(batcher.deadline(), kStart + milliseconds(550));
  EXPECT_EQ(batcher.full(), std::nullopt);
}

TEST(BatcherTest, NewLimitsHoldForTheOpenBlock) {
  Batcher batcher(kLimits);
  batcher.add(2, 50, kStart);
  batcher.set_limits({2, 100, milliseconds(10)});
  EXPECT_EQ(batcher.full(), CutReason::kRows);
  EXPECT_EQ(batcher.deadline(), kStart + milliseconds(10));
}

}  // namespace
}  // namespace millrace
