#include "service/bottleneck.h"

#include <algorithm>

namespace millrace {
namespace {

struct WorkerStage {
  Stage stage;
  Limit limit;
};
constexpr std::array<WorkerStage, 4> kWorkerStages{{{Stage::kEncode, Limit::kEncode},
                                                    {Stage::kSessionWait, Limit::kSessionWait},
                                                    {Stage::kSend, Limit::kSend},
                                                    {Stage::kServer, Limit::kServer}}};
constexpr double kBusyShare = 0.8;    // of the workers' time, above which they count as full
constexpr double kSpentBudget = 0.9;  // of the limit: producers pause a little before the very end

double seconds_in(const StageUse& use, Stage stage) {
  return use.stage_seconds[static_cast<std::size_t>(stage)];
}

bool workers_full(const StageUse& use) {
  double busy = 0;
  for (const WorkerStage& each : kWorkerStages) busy += seconds_in(use, each.stage);
  return busy > 0 && busy >= kBusyShare * use.window_seconds * static_cast<double>(use.workers);
}

bool piles_up(const StageUse& use) {
  const bool budget_spent = static_cast<double>(use.budget_used_bytes) >=
                            kSpentBudget * static_cast<double>(use.budget_limit_bytes);
  return use.parked_blocks > 0 || (use.queued_blocks > 0 && use.queued_blocks >= use.workers) ||
         (use.budget_limit_bytes > 0 && budget_spent);
}

}  // namespace

std::string_view to_string(Limit limit) {
  switch (limit) {
    case Limit::kUnreachable:
      return "unreachable";
    case Limit::kWaiting:
      return "waiting";
    case Limit::kPaused:
      return "paused";
    case Limit::kSource:
      return to_string(Stage::kSource);
    case Limit::kEncode:
      return to_string(Stage::kEncode);
    case Limit::kSessionWait:
      return to_string(Stage::kSessionWait);
    case Limit::kSend:
      return to_string(Stage::kSend);
    case Limit::kServer:
      return to_string(Stage::kServer);
  }
  return "";
}

Limit limiting_stage(const StageUse& use) {
  if (!workers_full(use) && !piles_up(use)) return Limit::kSource;
  const auto less = [&](const auto& a, const auto& b) {
    return seconds_in(use, a.stage) < seconds_in(use, b.stage);
  };
  const auto largest = *std::max_element(kWorkerStages.begin(), kWorkerStages.end(), less);
  return seconds_in(use, largest.stage) > 0 ? largest.limit : Limit::kServer;
}

Limit what_limits(const Obstacles& obstacles, Limit stage) {
  if (obstacles.unreachable) return Limit::kUnreachable;
  if (obstacles.waiting) return Limit::kWaiting;
  const std::size_t paused = obstacles.paused_pipelines;
  const bool all = paused > 0 && paused == obstacles.pipelines;
  return all || (paused > 0 && stage == Limit::kSource) ? Limit::kPaused : stage;
}

std::span<const AdviceRow> limit_advice() {
  static constexpr AdviceRow kRows[] = {
      {"unreachable", 0, "ClickHouse or a source can't be reached or read",
       "`/readyz` says which, and why; see `clickhouse.endpoints` and `source.kafka.brokers`"},
      {"waiting", 0, "lanes need an operator", "each says for what, in `/status` and in `/readyz`"},
      {"paused", 0, "an operator has paused it", "`millrace resume` reads on"},
      {"source", 0, "all that arrives is inserted at once",
       "if the lag grows all the same, raise `source.kafka.consumers`"},
      {"encode", 0, "workers build request bodies",
       "give the process more cores and raise `workers.count`, or use no metadata columns"},
      {"session_wait", 0, "workers wait for an HTTP session", "raise `clickhouse.pool.hard_limit`"},
      {"send", 0, "sending takes longest", "use a faster network to ClickHouse, or more endpoints"},
      {"server", 0, "ClickHouse takes longest",
       "raise `batch.target_rows`, `batch.target_bytes` and `batch.max_age`, then `workers.count`; "
       "else give ClickHouse more cores"},
  };
  return kRows;
}

std::string limit_advice(Limit limit) {
  const AdviceRow* row = find_advice(limit_advice(), to_string(limit));
  return row == nullptr ? "" : std::string(row->meaning) + ": " + std::string(row->advice);
}

}  // namespace millrace
