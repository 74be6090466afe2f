// Which stage limits the flow. Pure.
//
// The rule, in this order:
// 1. The workers are not the limit while they have time left and nothing piles up before them:
//    then the source brings no more than is sent away (kSource), which is also the answer of an
//    idle process.
// 2. Something piles up when each worker has another block queued, when blocks are parked after a
//    failure, or when the byte budget is (nearly) spent; and workers are full when they spend four
//    fifths of their time on blocks. Then the limit is the stage in which workers spent most of
//    their time: encode, session wait, send, or server.
// 3. If nothing was finished in that time although it piles up, ClickHouse does not take it:
//    kServer.
// Never kQueue: time in the queue is a symptom, its cause is one of the others.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "pipeline/advice.h"
#include "pipeline/stats.h"

namespace millrace {

// What happened in a stretch of time, and what stood where at its end.
struct StageUse {
  double window_seconds = 0;
  std::array<double, kStages> stage_seconds{};  // spent in the window, of all threads together
  std::size_t workers = 0;
  std::size_t queued_blocks = 0, parked_blocks = 0;
  std::size_t budget_used_bytes = 0, budget_limit_bytes = 0;
};

Stage limiting_stage(const StageUse& use);
// By the stage's name: what it means, and which setting helps.
std::span<const AdviceRow> limit_advice();
std::string limiting_stage_advice(Stage stage);

}  // namespace millrace
