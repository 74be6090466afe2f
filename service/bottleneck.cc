#include "service/bottleneck.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::array kWorkerStages{Stage::kEncode, Stage::kSessionWait, Stage::kSend,
                                   Stage::kServer};
constexpr double kBusyShare = 0.8;    // of the workers' time, above which they count as full
constexpr double kSpentBudget = 0.9;  // of the limit: producers pause a little before the very end

double seconds_in(const StageUse& use, Stage stage) {
  return use.stage_seconds[static_cast<std::size_t>(stage)];
}

bool workers_full(const StageUse& use) {
  double busy = 0;
  for (const Stage stage : kWorkerStages) busy += seconds_in(use, stage);
  return busy > 0 && busy >= kBusyShare * use.window_seconds * static_cast<double>(use.workers);
}

bool piles_up(const StageUse& use) {
  const bool budget_spent = static_cast<double>(use.budget_used_bytes) >=
                            kSpentBudget * static_cast<double>(use.budget_limit_bytes);
  return use.parked_blocks > 0 || (use.queued_blocks > 0 && use.queued_blocks >= use.workers) ||
         (use.budget_limit_bytes > 0 && budget_spent);
}

}  // namespace

Stage limiting_stage(const StageUse& use) {
  if (!workers_full(use) && !piles_up(use)) return Stage::kSource;
  const auto less = [&](Stage a, Stage b) { return seconds_in(use, a) < seconds_in(use, b); };
  const Stage largest = *std::max_element(kWorkerStages.begin(), kWorkerStages.end(), less);
  return seconds_in(use, largest) > 0 ? largest : Stage::kServer;
}

std::span<const AdviceRow> limit_advice() {
  static constexpr AdviceRow kRows[] = {
      {"source", 0, "all that arrives is inserted at once",
       "if the lag grows all the same, raise `source.kafka.consumers`"},
      {"queue", 0, "blocks wait for a worker", "raise `workers.count`"},
      {"encode", 0, "workers build request bodies",
       "give the process more cores and raise `workers.count`, or use no metadata columns"},
      {"session_wait", 0, "workers wait for an HTTP session", "raise `clickhouse.pool.hard_limit`"},
      {"send", 0, "sending takes longest", "use a faster network to ClickHouse, or more endpoints"},
      {"server", 0, "ClickHouse takes longest",
       "see the lanes that wait, raise `batch.target_rows`, `batch.target_bytes` and "
       "`batch.max_age`, then `workers.count`; else give ClickHouse more cores"},
  };
  return kRows;
}

std::string limiting_stage_advice(Stage stage) {
  const AdviceRow* row = find_advice(limit_advice(), to_string(stage));
  return row == nullptr ? "" : std::string(row->meaning) + ": " + std::string(row->advice);
}

}  // namespace millrace
