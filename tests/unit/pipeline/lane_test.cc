#include "pipeline/lane.h"

#include <gtest/gtest.h>

#include <thread>

namespace millrace {
namespace {

LaneProgress make_progress(std::int64_t position = 0) {
  return LaneProgress({"g", "topic", 3}, "events", "inc", position);
}

LaneWait failure(Disposition disposition, unsigned attempts) {
  LaneWait wait;
  wait.disposition = disposition;
  wait.attempts = attempts;
  wait.reason = "REASON";
  return wait;
}

TEST(LaneProgressTest, TokenNamesGroupTopicPartitionIncarnationAndOffsets) {
  EXPECT_EQ(make_progress().token({10, 250}), "g/topic/3/inc/10-250");
}

TEST(LaneProgressTest, ASingleFailureThatPassesDoesNotBlock) {
  LaneProgress lane = make_progress();
  lane.open({0, 1});
  lane.set_failed({0, 1}, failure(Disposition::kRetry, 2));
  EXPECT_TRUE(lane.status().waiting);
  EXPECT_FALSE(lane.blocked());
  lane.set_failed({0, 1}, failure(Disposition::kRetry, 3));
  EXPECT_TRUE(lane.blocked()) << "several in a row do";
}

TEST(LaneProgressTest, EveryDispositionThatNeedsSomebodyBlocksAtOnce) {
  for (const Disposition each :
       {Disposition::kWait, Disposition::kSplit, Disposition::kDeadLetter}) {
    LaneProgress lane = make_progress();
    lane.open({0, 1});
    lane.set_failed({0, 1}, failure(each, 1));
    EXPECT_TRUE(lane.blocked());
  }
}

TEST(LaneProgressTest, WaitingEndsOnlyWhenTheLastFailedBlockIsIn) {
  LaneProgress lane = make_progress();
  for (std::int64_t i = 0; i < 3; ++i) lane.open({i, i + 1});
  lane.set_failed({1, 2}, failure(Disposition::kWait, 1));
  lane.set_failed({2, 3}, failure(Disposition::kRetry, 5));
  EXPECT_FALSE(lane.finish({0, 1})) << "it never failed";
  EXPECT_TRUE(lane.blocked());
  EXPECT_FALSE(lane.finish({1, 2})) << "another block still waits";
  EXPECT_TRUE(lane.blocked());
  const auto recovered = lane.finish({2, 3});
  ASSERT_TRUE(recovered);
  EXPECT_EQ(recovered->attempts, 5u);
  EXPECT_FALSE(lane.blocked());
  EXPECT_FALSE(lane.status().waiting);
}

TEST(LaneProgressTest, StatusShowsTheFailureThatHoldsThePosition) {
  LaneProgress lane = make_progress();
  lane.open({0, 1});
  lane.open({1, 2});
  lane.set_failed({1, 2}, failure(Disposition::kWait, 9));
  lane.set_failed({0, 1}, failure(Disposition::kSplit, 1));
  EXPECT_EQ(lane.status().wait.disposition, Disposition::kSplit);
}

TEST(LaneProgressTest, SinceIsTheTimeOfTheFirstFailure) {
  LaneProgress lane = make_progress();
  lane.open({0, 1});
  lane.set_failed({0, 1}, failure(Disposition::kWait, 1));
  const auto since = lane.status().wait.since;
  EXPECT_GT(since.time_since_epoch().count(), 0);
  lane.set_failed({0, 1}, failure(Disposition::kWait, 2));
  EXPECT_EQ(lane.status().wait.since, since);
}

TEST(LaneProgressTest, StatusCarriesWhatTheSourceSays) {
  LaneProgress lane = make_progress(5);
  EXPECT_EQ(lane.status().read, 5);
  lane.set_read(9);
  lane.set_committed(4);
  lane.set_high_watermark(100);
  lane.set_paused(true);
  const LaneStatus status = lane.status();
  EXPECT_EQ(status.position, 5);
  EXPECT_EQ(status.read, 9);
  EXPECT_EQ(status.committed, 4);
  EXPECT_EQ(status.high_watermark, 100);
  EXPECT_TRUE(status.paused);
  EXPECT_EQ(status.id.to_string(), "topic/3");
}

TEST(LaneProgressTest, WhatTheSourceWaitsForIsShownWhileNoBlockHasFailedAndHoldsNothing) {
  LaneProgress lane = make_progress();
  LaneWait open;
  open.reason = "OPEN_TRANSACTION";
  lane.set_source_wait(open);
  EXPECT_TRUE(lane.status().waiting);
  EXPECT_EQ(lane.status().wait.reason, "OPEN_TRANSACTION");
  EXPECT_FALSE(lane.blocked());
  const auto since = lane.status().wait.since;
  lane.set_source_wait(open);
  EXPECT_EQ(lane.status().wait.since, since);
  LaneWait failed;
  failed.reason = "UNKNOWN_TABLE";
  lane.open({0, 1});
  lane.set_failed({0, 1}, failed);
  EXPECT_EQ(lane.status().wait.reason, "UNKNOWN_TABLE");
  lane.finish({0, 1});
  EXPECT_EQ(lane.status().wait.reason, "OPEN_TRANSACTION");
  lane.set_source_wait(std::nullopt);
  EXPECT_FALSE(lane.status().waiting);
}

TEST(LaneProgressTest, WorkersMayFinishWhileTheProducerOpens) {
  LaneProgress lane = make_progress();
  constexpr std::int64_t kCuts = 2'000;
  std::atomic<std::int64_t> opened{0};
  std::vector<std::thread> workers;
  for (std::int64_t worker = 0; worker < 2; ++worker) {
    workers.emplace_back([&, worker] {
      for (std::int64_t i = worker; i < kCuts; i += 2) {
        while (opened.load() <= i) std::this_thread::yield();
        lane.finish({i, i + 1});
      }
    });
  }
  for (std::int64_t i = 0; i < kCuts; ++i) {
    lane.open({i, i + 1});
    opened = i + 1;
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(lane.position(), kCuts);
  EXPECT_EQ(lane.unfinished(), 0u);
}

}  // namespace
}  // namespace millrace
