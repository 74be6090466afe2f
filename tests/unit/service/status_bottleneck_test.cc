#include <gtest/gtest.h>

#include <set>

#include "service/bottleneck.h"

namespace millrace {
namespace {

// Ten seconds of two workers.
StageUse use(double encode, double session_wait, double send, double server) {
  StageUse made;
  made.window_seconds = 10;
  made.workers = 2;
  made.budget_limit_bytes = 1'000;
  made.stage_seconds[static_cast<std::size_t>(Stage::kEncode)] = encode;
  made.stage_seconds[static_cast<std::size_t>(Stage::kSessionWait)] = session_wait;
  made.stage_seconds[static_cast<std::size_t>(Stage::kSend)] = send;
  made.stage_seconds[static_cast<std::size_t>(Stage::kServer)] = server;
  return made;
}

TEST(LimitingStage, IsTheSourceWhileWorkersHaveTimeLeftAndNothingPilesUp) {
  EXPECT_EQ(limiting_stage(StageUse{}), Limit::kSource);
  EXPECT_EQ(limiting_stage(use(0, 0, 0, 0)), Limit::kSource);
  EXPECT_EQ(limiting_stage(use(1, 0, 3, 11)), Limit::kSource) << "15 of 20 seconds used";
}

TEST(LimitingStage, IsTheLargestStageOfFullWorkers) {
  EXPECT_EQ(limiting_stage(use(1, 0, 3, 13)), Limit::kServer);
  EXPECT_EQ(limiting_stage(use(9, 0, 3, 5)), Limit::kEncode);
  EXPECT_EQ(limiting_stage(use(1, 10, 3, 5)), Limit::kSessionWait);
  EXPECT_EQ(limiting_stage(use(1, 0, 12, 5)), Limit::kSend);
}

TEST(LimitingStage, IsTheLargestStageWhenSomethingPilesUp) {
  StageUse queued = use(4, 0, 3, 1);
  queued.queued_blocks = 1;
  EXPECT_EQ(limiting_stage(queued), Limit::kSource) << "one block for two workers is no pile";
  queued.queued_blocks = 2;
  EXPECT_EQ(limiting_stage(queued), Limit::kEncode);

  StageUse spent = use(0, 0, 3, 1);
  spent.budget_used_bytes = 899;
  EXPECT_EQ(limiting_stage(spent), Limit::kSource);
  spent.budget_used_bytes = 900;
  EXPECT_EQ(limiting_stage(spent), Limit::kSend);

  StageUse parked = use(0, 5, 3, 1);
  parked.parked_blocks = 1;
  EXPECT_EQ(limiting_stage(parked), Limit::kSessionWait);
}

TEST(LimitingStage, IsTheServerWhenBlocksPileUpAndNoneIsTaken) {
  StageUse stuck = use(0, 0, 0, 0);
  stuck.parked_blocks = 3;
  EXPECT_EQ(limiting_stage(stuck), Limit::kServer);
}

// Blocks wait for workers because of what the workers do.
TEST(LimitingStage, IsNeverTheQueueNorOtherTimeOutsideTheWorkers) {
  StageUse made = use(0, 0, 1, 0);
  made.queued_blocks = 100;
  made.stage_seconds[static_cast<std::size_t>(Stage::kQueue)] = 1'000;
  made.stage_seconds[static_cast<std::size_t>(Stage::kSource)] = 1'000;
  EXPECT_EQ(limiting_stage(made), Limit::kSend);
  made.queued_blocks = 0;
  EXPECT_EQ(limiting_stage(made), Limit::kSource) << "time outside says nothing of the workers";
}

// What the threads do says nothing while ClickHouse is away, a lane waits, or nothing is read.
TEST(WhatLimits, IsWhatStandsInTheWayBeforeAnyStage) {
  for (const Limit stage : {Limit::kSource, Limit::kEncode, Limit::kServer}) {
    EXPECT_EQ(what_limits({.pipelines = 1}, stage), stage);
    EXPECT_EQ(what_limits({.unreachable = true, .pipelines = 1}, stage), Limit::kUnreachable);
    EXPECT_EQ(what_limits({.waiting = true, .pipelines = 1}, stage), Limit::kWaiting);
    EXPECT_EQ(what_limits({.pipelines = 1, .paused_pipelines = 1}, stage), Limit::kPaused);
  }
}

TEST(WhatLimits, IsTheFirstOfSeveralObstacles) {
  Obstacles all{.unreachable = true, .waiting = true, .pipelines = 1, .paused_pipelines = 1};
  EXPECT_EQ(what_limits(all, Limit::kEncode), Limit::kUnreachable);
  all.unreachable = false;
  EXPECT_EQ(what_limits(all, Limit::kEncode), Limit::kWaiting);
}

TEST(WhatLimits, OnePausedPipelineOfSeveralCountsWhileTheOthersKeepUp) {
  const Obstacles one{.pipelines = 2, .paused_pipelines = 1};
  EXPECT_EQ(what_limits(one, Limit::kSource), Limit::kPaused);
  EXPECT_EQ(what_limits(one, Limit::kServer), Limit::kServer);
  EXPECT_EQ(what_limits({}, Limit::kSource), Limit::kSource) << "none is paused";
}

TEST(WhatLimits, EachHasANameAndAnAdvice) {
  std::set<std::string_view> names;
  std::set<std::string> advice;
  for (std::size_t i = 0; i < kLimits; ++i) {
    names.insert(to_string(static_cast<Limit>(i)));
    advice.insert(limit_advice(static_cast<Limit>(i)));
  }
  EXPECT_EQ(names.size(), kLimits);
  EXPECT_EQ(advice.size(), kLimits);
  EXPECT_EQ(names.count("") + advice.count(""), 0u);
  EXPECT_EQ(names.count("queue"), 0u);
}

}  // namespace
}  // namespace millrace
