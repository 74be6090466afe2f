// What the process is doing, as one value.
//
//   counters of all layers --gather()--> StatusSnapshot --+--> to_json         (/status)
//                                                         +--> render_metrics  (/metrics)
// Whoever looks pays for the looking: nothing is summed up before somebody asks.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/block_queue.h"
#include "pipeline/stats.h"
#include "pipeline/table_target.h"
#include "pipeline/worker_pool.h"
#include "service/bottleneck.h"
#include "service/clickhouse_monitor.h"
#include "service/config_reload.h"
#include "transport/http_session_pool.h"

namespace millrace {

class KafkaReader;
struct KafkaStats;

using SystemTime = std::chrono::system_clock::time_point;

// TableStats at one moment, summed over all targets of the pipeline with this table.
struct TableSnapshot {
  std::string table;
  std::uint64_t rows = 0, bytes = 0, blocks = 0;
  std::uint64_t rows_read = 0, bytes_read = 0, tombstones = 0, abandoned_blocks = 0;
  std::array<std::uint64_t, kCutReasons> cuts{};
  std::array<double, kStages> stage_seconds{};
  std::uint64_t unwritten_rows = 0, repaired_rows = 0;
  std::uint64_t body_limit_bytes = 0;  // learned from a proxy's 413; 0: none
  // Exactly once; nothing while it is not known, or at least once is all that was asked for.
  std::optional<GuaranteeNote::Value> guarantee;
  std::map<std::string, std::uint64_t> retries;       // by code
  std::map<std::string, std::uint64_t> dead_letters;  // by code
  std::deque<NewestDeadLetters::Note> newest_dead_letters;
  std::map<std::string, std::uint64_t> encoded_blocks;  // by format
  std::map<std::string, std::uint64_t> passed_on;       // by the column that can't be encoded
  Histogram::Snapshot insert_seconds, block_rows, block_bytes;
};

// What all readers of a pipeline have counted together, whichever broker they read.
struct SourceSnapshot {
  std::string kind = "kafka";
  std::uint64_t messages = 0, bytes = 0;  // as the broker's client handed them over
  std::uint64_t commits = 0, lost_offsets = 0, begun_again = 0, pauses = 0;
  std::map<std::string, std::uint64_t> commit_errors, errors;  // by the broker's code
  std::map<std::string, std::uint64_t> rebalances;             // by kind
  std::int64_t commits_in_flight = 0;
};

struct PipelineSnapshot {
  std::string name;
  std::string delivery;                // as configured: "auto", "at_least_once", "exactly_once"
  std::vector<std::string> not_ready;  // empty: all readers read
  bool paused = false;                 // by an operator
  SourceSnapshot source;
  std::vector<TableSnapshot> tables;  // by name
  std::vector<LaneStatus> lanes;      // by topic and partition, each once
};

struct ProcessSnapshot {
  double cpu_seconds = 0;
  std::size_t resident_bytes = 0;
  std::size_t open_fds = 0, max_fds = 0;
};

struct StatusSnapshot {
  std::string version, build, config_file;
  SystemTime time{}, started{};
  double uptime_seconds = 0;
  std::vector<std::string> not_ready;  // of the whole process; empty: ready
  std::vector<PipelineSnapshot> pipelines;
  std::size_t queued_blocks = 0, parked_blocks = 0;
  double oldest_block_seconds = 0;
  std::size_t budget_used_bytes = 0, budget_limit_bytes = 0;
  std::vector<WorkerStatus> workers;
  std::int64_t inserts_in_flight = 0, queries_in_flight = 0, commits_in_flight = 0;
  HttpSessionPoolStats http_sessions;
  HttpSessionPoolOptions http_session_options;
  ProcessSnapshot process;
  ReloadState reload;
  Limit limit = Limit::kSource;

  bool ready() const noexcept { return not_ready.empty(); }
};

// Where the numbers come from. The functions are called on admin threads, several at a time.
struct PipelineSources {
  std::string name;
  std::string delivery = "auto";
  std::function<std::vector<LaneStatus>()> lanes = nullptr;
  std::function<std::vector<std::string>()> not_ready_reasons = nullptr;
  std::function<std::vector<std::shared_ptr<const TableTarget>>()> targets = nullptr;
  std::function<SourceSnapshot()> source = nullptr;
  std::function<bool()> paused = nullptr;
};

// All of it is given once, before the admin server starts, and outlives it.
struct StatusSources {
  std::string version, build, config_file;
  const ByteBudget* budget = nullptr;
  const BlockQueue* queue = nullptr;
  const WorkerPool* workers = nullptr;
  const HttpSessionPool* http_sessions = nullptr;
  const Gauge* queries_in_flight = nullptr;  // those that no worker asks; may be null
  std::function<std::vector<std::string>()> not_ready_reasons;  // of the whole process
  std::function<ClickHouseState()> clickhouse = nullptr;
  std::function<ReloadState()> reload = nullptr;
  std::vector<PipelineSources> pipelines;
};

// Messages of the lane that are not in ClickHouse yet; nothing while the source's end is unknown.
std::optional<std::int64_t> lag(const LaneStatus& lane);
// In source_snapshot.cc, the only place where the status knows a broker.
void add(SourceSnapshot& sum, const KafkaStats& stats);
SourceSnapshot source_snapshot(const std::vector<const KafkaReader*>& readers);

// Thread-safe.
class StatusGatherer {
 public:
  explicit StatusGatherer(StatusSources sources);
  StatusSnapshot gather() { return gather(std::chrono::steady_clock::now()); }
  StatusSnapshot gather(SteadyTime now);

 private:
  Limit update_limiting_stage(const StatusSnapshot& snapshot, SteadyTime now);

  const StatusSources sources_;
  const SystemTime started_;
  const SteadyTime steady_started_;
  // The stage that limits is judged over stretches of some seconds, whoever asks how often.
  Mutex mutex_;
  SteadyTime window_start_ GUARDED_BY(mutex_);
  std::array<double, kStages> window_start_seconds_ GUARDED_BY(mutex_){};
  Limit limiting_stage_ GUARDED_BY(mutex_) = Limit::kSource;
};

std::string to_json(const StatusSnapshot& snapshot);

}  // namespace millrace
