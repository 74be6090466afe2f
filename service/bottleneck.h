// What limits the flow. Pure.
//
// The rule, in this order:
// 1. ClickHouse or a source can't be reached: kUnreachable. A lane waits for somebody to act, or
//    ClickHouse refuses us: kWaiting. All pipelines are paused by an operator: kPaused. What the
//    threads do meanwhile says nothing.
// 2. The workers are not the limit while they have time left and nothing piles up before them:
//    then the source brings no more than is sent away (kSource), which is also the answer of an
//    idle process; kPaused while some pipeline is paused.
// 3. Something piles up when each worker has another block queued, when blocks are parked after a
//    failure, or when the byte budget is (nearly) spent; and workers are full when they spend four
//    fifths of their time on inserts that are acknowledged. Then the limit is the stage in which
//    they spent most of it: encode, session wait, send, or server.
// 4. If nothing was finished in that time although it piles up, ClickHouse does not take it:
//    kServer.
// Time in the queue limits nothing: it is a symptom, its cause is one of the others.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "pipeline/advice.h"
#include "pipeline/stats.h"

namespace millrace {

enum class Limit {
  kUnreachable,
  kWaiting,
  kPaused,
  kSource,
  kEncode,
  kSessionWait,
  kSend,
  kServer
};
inline constexpr std::size_t kLimits = 8;
std::string_view to_string(Limit limit);

// What stands in the way, whatever the threads do.
struct Obstacles {
  bool unreachable = false;  // ClickHouse, or what a pipeline reads
  bool waiting = false;      // for somebody to act
  std::size_t pipelines = 0, paused_pipelines = 0;
};

// What happened in a stretch of time, and what stood where at its end.
struct StageUse {
  double window_seconds = 0;
  std::array<double, kStages> stage_seconds{};  // spent in the window, of all threads together
  std::size_t workers = 0;
  std::size_t queued_blocks = 0, parked_blocks = 0;
  std::size_t budget_used_bytes = 0, budget_limit_bytes = 0;
};

// Among the stages, as if nothing stood in the way.
Limit limiting_stage(const StageUse& use);
// Of all: `stage` is what limiting_stage() said.
Limit what_limits(const Obstacles& obstacles, Limit stage);
// By the name of the limit: what it means, and which setting helps.
std::span<const AdviceRow> limit_advice();
// The row of one limit as a sentence.
std::string limit_advice(Limit limit);

}  // namespace millrace
