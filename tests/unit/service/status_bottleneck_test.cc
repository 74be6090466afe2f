#include <gtest/gtest.h>

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
  EXPECT_EQ(limiting_stage(StageUse{}), Stage::kSource);
  EXPECT_EQ(limiting_stage(use(0, 0, 0, 0)), Stage::kSource);
  EXPECT_EQ(limiting_stage(use(1, 0, 3, 11)), Stage::kSource) << "15 of 20 seconds used";
}

TEST(LimitingStage, IsTheLargestStageOfFullWorkers) {
  EXPECT_EQ(limiting_stage(use(1, 0, 3, 13)), Stage::kServer);
  EXPECT_EQ(limiting_stage(use(9, 0, 3, 5)), Stage::kEncode);
  EXPECT_EQ(limiting_stage(use(1, 10, 3, 5)), Stage::kSessionWait);
  EXPECT_EQ(limiting_stage(use(1, 0, 12, 5)), Stage::kSend);
}

TEST(LimitingStage, IsTheLargestStageWhenSomethingPilesUp) {
  StageUse queued = use(4, 0, 3, 1);
  queued.queued_blocks = 1;
  EXPECT_EQ(limiting_stage(queued), Stage::kSource) << "one block for two workers is no pile";
  queued.queued_blocks = 2;
  EXPECT_EQ(limiting_stage(queued), Stage::kEncode);

  StageUse spent = use(0, 0, 3, 1);
  spent.budget_used_bytes = 899;
  EXPECT_EQ(limiting_stage(spent), Stage::kSource);
  spent.budget_used_bytes = 900;
  EXPECT_EQ(limiting_stage(spent), Stage::kSend);

  StageUse parked = use(0, 5, 3, 1);
  parked.parked_blocks = 1;
  EXPECT_EQ(limiting_stage(parked), Stage::kSessionWait);
}

TEST(LimitingStage, IsTheServerWhenBlocksPileUpAndNoneIsTaken) {
  StageUse stuck = use(0, 0, 0, 0);
  stuck.parked_blocks = 3;
  EXPECT_EQ(limiting_stage(stuck), Stage::kServer);
}

// Blocks wait for workers because of what the workers do.
TEST(LimitingStage, IsNeverTheQueueNorOtherTimeOutsideTheWorkers) {
  StageUse made = use(0, 0, 1, 0);
  made.queued_blocks = 100;
  made.stage_seconds[static_cast<std::size_t>(Stage::kQueue)] = 1'000;
  made.stage_seconds[static_cast<std::size_t>(Stage::kSource)] = 1'000;
  EXPECT_EQ(limiting_stage(made), Stage::kSend);
  made.queued_blocks = 0;
  EXPECT_EQ(limiting_stage(made), Stage::kSource) << "time outside says nothing of the workers";
}

}  // namespace
}  // namespace millrace
