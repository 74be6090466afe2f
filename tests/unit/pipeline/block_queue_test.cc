#include "pipeline/block_queue.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using std::chrono::steady_clock;
using testing::make_block;
using testing::make_lane;

const SteadyTime kFarAway = steady_clock::now() + std::chrono::hours(1);

class BlockQueueTest : public ::testing::Test {
 protected:
  InsertBlockPtr next_block() {
    const std::int64_t first = lane_->status().position + opened_++;
    return make_block(budget_, lane_, {first, first + 1});
  }

  ByteBudget budget_{1u << 30};
  std::shared_ptr<LaneProgress> lane_ = make_lane();
  std::int64_t opened_ = 0;
  BlockQueue queue_{std::chrono::hours(1)};  // a missing wake-up is a test that does not end
};

TEST_F(BlockQueueTest, BlocksOfOneProducerComeInTheirOrder) {
  auto inlet = queue_.make_inlet();
  auto outlet = queue_.make_outlet();
  for (int i = 0; i < 100; ++i) inlet.push(next_block());
  EXPECT_EQ(queue_.queued(), 100u);
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(outlet.pop()->cut.first, i);
  EXPECT_EQ(queue_.queued(), 0u);
}

TEST_F(BlockQueueTest, ABusyProducerDoesNotKeepAnotherWaiting) {
  auto one = queue_.make_inlet();
  auto other = queue_.make_inlet();
  auto outlet = queue_.make_outlet();
  for (int i = 0; i < 100; ++i) one.push(next_block());
  for (int i = 0; i < 100; ++i) other.push(next_block());
  std::set<bool> seen;
  for (int i = 0; i < 10; ++i) seen.insert(outlet.pop()->cut.first < 100);
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(BlockQueueTest, ASleepingWorkerIsWokenByABlock) {
  auto outlet = queue_.make_outlet();
  InsertBlockPtr popped;
  std::thread worker([&] { popped = outlet.pop(); });
  queue_.make_inlet().push(next_block());
  worker.join();
  ASSERT_NE(popped, nullptr);
}

TEST_F(BlockQueueTest, CloseWakesEverySleeperAndEveryLaterPopReturnsNull) {
  std::vector<std::thread> workers;
  std::atomic<int> nulls{0}, ready{0};
  for (int i = 0; i < 8; ++i) {
    workers.emplace_back([&] {
      auto outlet = queue_.make_outlet();
      ++ready;
      for (int repeat = 0; repeat < 3; ++repeat) nulls += outlet.pop() == nullptr ? 1 : 0;
    });
  }
  while (ready < 8) std::this_thread::yield();  // now they sleep, or are about to
  queue_.close();
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(nulls, 24);
}

TEST_F(BlockQueueTest, WhatIsQueuedAtCloseIsStillHandedOut) {
  auto inlet = queue_.make_inlet();
  for (int i = 0; i < 10; ++i) inlet.push(next_block());
  queue_.close();
  auto outlet = queue_.make_outlet();
  for (std::int64_t i = 0; i < 10; ++i) {
    const auto block = outlet.pop();
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block->cut.first, i);
  }
  EXPECT_EQ(outlet.pop(), nullptr);
}

TEST_F(BlockQueueTest, AParkedBlockComesBackWhenItIsDueAndNotBefore) {
  auto outlet = queue_.make_outlet();
  const SteadyTime due = steady_clock::now() + std::chrono::milliseconds(30);
  queue_.park(next_block(), due);
  EXPECT_EQ(queue_.parked(), 1u);
  EXPECT_NE(outlet.pop(), nullptr);
  EXPECT_GE(steady_clock::now(), due);
  EXPECT_EQ(queue_.parked(), 0u);
}

TEST_F(BlockQueueTest, AnEarlierDueTimeWakesASleeperThatHasALaterOneInMind) {
  std::atomic<bool> asleep{false};
  queue_.park(next_block(), kFarAway);
  std::thread worker([&] {
    auto outlet = queue_.make_outlet();
    asleep = true;
    EXPECT_EQ(outlet.pop()->cut.first, 1);
  });
  while (!asleep) std::this_thread::yield();
  queue_.park(next_block(), steady_clock::now());
  worker.join();
}

TEST_F(BlockQueueTest, AParkedBlockHoldsNobodyElseUp) {
  auto outlet = queue_.make_outlet();
  queue_.park(next_block(), kFarAway);
  queue_.make_inlet().push(next_block());
  EXPECT_EQ(outlet.pop()->cut.first, 1);
  EXPECT_EQ(queue_.parked(), 1u);
}

TEST_F(BlockQueueTest, TheEarliestDueComesFirst) {
  auto outlet = queue_.make_outlet();
  const SteadyTime past = steady_clock::now();
  queue_.park(next_block(), past - std::chrono::seconds(1));
  queue_.park(next_block(), past - std::chrono::seconds(3));
  queue_.park(next_block(), past - std::chrono::seconds(2));
  EXPECT_EQ(outlet.pop()->cut.first, 1);
  EXPECT_EQ(outlet.pop()->cut.first, 2);
  EXPECT_EQ(outlet.pop()->cut.first, 0);
}

TEST_F(BlockQueueTest, UnparkAllWakesSleepersNow) {
  auto outlet = queue_.make_outlet();
  queue_.park(next_block(), kFarAway);
  queue_.park(next_block(), kFarAway);
  std::thread operator_thread([&] { queue_.unpark_all(); });
  EXPECT_NE(outlet.pop(), nullptr);
  EXPECT_NE(outlet.pop(), nullptr);
  operator_thread.join();
  EXPECT_EQ(queue_.parked(), 0u);
  EXPECT_EQ(queue_.queued(), 0u);
}

TEST_F(BlockQueueTest, UnparkTakesTheBlocksOfItsLaneOnly) {
  auto outlet = queue_.make_outlet();
  const auto other = make_lane(0, "other");
  queue_.park(make_block(budget_, other, {0, 1}), kFarAway);
  queue_.park(next_block(), kFarAway);
  queue_.unpark(*other);
  EXPECT_EQ(outlet.pop()->lane, other);
  EXPECT_EQ(queue_.parked(), 1u);
  EXPECT_EQ(queue_.queued(), 0u);
}

TEST_F(BlockQueueTest, WhatIsParkedAtCloseStaysParked) {
  queue_.park(next_block(), steady_clock::now());
  queue_.close();
  EXPECT_EQ(queue_.make_outlet().pop(), nullptr);
  EXPECT_EQ(queue_.parked(), 1u);
}

TEST_F(BlockQueueTest, OldestAgeCountsQueuedAndParkedBlocks) {
  EXPECT_EQ(queue_.oldest_age_seconds(kFarAway), 0.0);
  auto outlet = queue_.make_outlet();
  queue_.make_inlet().push(next_block());
  InsertBlockPtr block = outlet.pop();
  EXPECT_EQ(queue_.oldest_age_seconds(kFarAway), 0.0);
  const SteadyTime queued_at = block->queued_at;
  queue_.park(std::move(block), kFarAway);
  queue_.make_inlet().push(next_block());
  EXPECT_DOUBLE_EQ(queue_.oldest_age_seconds(queued_at + std::chrono::seconds(7)), 7.0)
      << "the first time it was queued counts";
}

TEST_F(BlockQueueTest, AllBlocksOfManyProducersReachExactlyOneWorker) {
  constexpr int kProducers = 4, kWorkers = 4, kBlocks = 500;
  constexpr std::size_t kAll = std::size_t{kProducers} * kBlocks;
  std::vector<std::thread> threads;
  for (int id = 0; id < kProducers; ++id) {
    threads.emplace_back([&, id] {
      auto inlet = queue_.make_inlet();
      const auto lane = make_lane(0, "topic" + std::to_string(id));
      for (std::int64_t i = 0; i < kBlocks; ++i) {
        inlet.push(make_block(budget_, lane, {i, i + 1}));
      }
    });
  }
  Mutex mutex;
  std::multiset<std::string> tokens;
  std::atomic<std::size_t> done{0};
  for (int id = 0; id < kWorkers; ++id) {
    threads.emplace_back([&, id] {
      auto outlet = queue_.make_outlet();
      while (InsertBlockPtr block = outlet.pop()) {
        // Every seventh block goes round once more.
        if (block->failures == 0 && block->cut.first % 7 == id) {
          block->failures = 1;
          queue_.park(std::move(block), steady_clock::now() + std::chrono::milliseconds(id));
          continue;
        }
        const MutexLock lock(mutex);
        tokens.insert(block->token);
        if (++done == kAll) queue_.close();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tokens.size(), kAll);
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), tokens.size());
  EXPECT_EQ(queue_.queued() + queue_.parked(), 0u);
  EXPECT_EQ(budget_.used(), 0u);
}

}  // namespace
}  // namespace millrace
