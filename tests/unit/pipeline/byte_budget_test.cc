#include "pipeline/byte_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace {
namespace {

TEST(ByteBudgetTest, GrantsUpToTheLimitAndNotAByteMore) {
  ByteBudget budget(100);
  auto most = budget.try_reserve(99);
  ASSERT_TRUE(most);
  EXPECT_FALSE(budget.try_reserve(2));
  auto last = budget.try_reserve(1);
  ASSERT_TRUE(last);
  EXPECT_EQ(budget.used(), 100u);
  EXPECT_FALSE(budget.try_reserve(1));
}

TEST(ByteBudgetTest, BytesComeBackWhenTheReservationEnds) {
  ByteBudget budget(100);
  {
    auto paid = budget.try_reserve(60);
    ASSERT_TRUE(paid);
  }
  EXPECT_EQ(budget.used(), 0u);
  auto paid = budget.try_reserve(60);
  ASSERT_TRUE(paid);
  paid->release();
  EXPECT_EQ(budget.used(), 0u);
  paid->release();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteBudgetTest, AMovedReservationGivesBackOnce) {
  ByteBudget budget(100);
  ByteReservation target = budget.reserve_anyway(10);
  {
    ByteReservation source = budget.reserve_anyway(30);
    target = std::move(source);
    EXPECT_EQ(budget.used(), 30u) << "what it held before is free";
    ByteReservation next(std::move(target));
    EXPECT_EQ(next.bytes(), 30u);
    target = std::move(next);
  }
  EXPECT_EQ(budget.used(), 30u);
  target.release();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteBudgetTest, MergedReservationsEndTogether) {
  ByteBudget budget(100);
  {
    ByteReservation all;
    all.merge(budget.reserve_anyway(10));
    all.merge(budget.reserve_anyway(20));
    EXPECT_EQ(all.bytes(), 30u);
    EXPECT_EQ(budget.used(), 30u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteBudgetTest, ForcedReservationsPassTheLimitAndHoldOthersBack) {
  ByteBudget budget(100);
  ByteReservation forced = budget.reserve_anyway(150);
  EXPECT_EQ(budget.used(), 150u);
  EXPECT_FALSE(budget.try_reserve(0));
  forced.release();
  EXPECT_TRUE(budget.try_reserve(100));
}

TEST(ByteBudgetTest, AHugeRequestDoesNotWrapAround) {
  ByteBudget budget(100);
  ByteReservation some = budget.reserve_anyway(50);
  EXPECT_FALSE(budget.try_reserve(static_cast<std::size_t>(-10)));
}

TEST(ByteBudgetTest, ThreadsTogetherNeverHoldMoreThanTheLimit) {
  ByteBudget budget(10);
  std::atomic<int> holders{0}, too_many{0}, granted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5'000; ++round) {
        auto paid = budget.try_reserve(5);
        if (!paid) continue;
        ++granted;
        if (++holders > 2) ++too_many;
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(too_many, 0);
  EXPECT_GT(granted, 0);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace millrace
