#include "service/status.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <tuple>

namespace millrace {
namespace {

// Shorter stretches say nothing: one large block takes longer.
constexpr std::chrono::seconds kLimitingStageWindow{5};

double to_seconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

template <class T>
T call(const std::function<T()>& function) {
  return function ? function() : T{};
}

void add(Histogram::Snapshot& sum, const Histogram::Snapshot& more) {
  if (sum.counts.empty()) {
    sum = more;
    return;
  }
  for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += more.counts[i];
  sum.sum += more.sum;
}

void add(std::map<std::string, std::uint64_t>& sum, const LabelledCounter& more) {
  for (const auto& [label, count] : more.values()) sum[label] += count;
}

void add(std::deque<NewestDeadLetters::Note>& sum, const NewestDeadLetters& more) {
  for (NewestDeadLetters::Note& note : more.notes()) sum.push_back(std::move(note));
  std::stable_sort(sum.begin(), sum.end(),
                   [](const auto& a, const auto& b) { return a.time > b.time; });
  if (sum.size() > NewestDeadLetters::kMost) sum.resize(NewestDeadLetters::kMost);
}

void add(TableSnapshot& sum, const TableStats& stats) {
  sum.rows += stats.rows.value();
  sum.bytes += stats.bytes.value();
  sum.blocks += stats.blocks.value();
  sum.rows_read += stats.rows_read.value();
  sum.bytes_read += stats.bytes_read.value();
  sum.tombstones += stats.tombstones.value();
  sum.abandoned_blocks += stats.abandoned_blocks.value();
  for (std::size_t i = 0; i < kCutReasons; ++i) sum.cuts[i] += stats.cuts[i].value();
  for (std::size_t i = 0; i < kStages; ++i) {
    sum.stage_seconds[i] += to_seconds(stats.stage_nanoseconds[i].value());
  }
  sum.unwritten_rows += stats.unwritten_rows.value();
  sum.repaired_rows += stats.repaired_rows.value();
  if (const std::size_t limit = stats.body_limit.body_bytes(); limit != 0)
    sum.body_limit_bytes =
        sum.body_limit_bytes == 0 ? limit : std::min<std::uint64_t>(sum.body_limit_bytes, limit);
  if (const auto guarantee = stats.guarantee.value()) sum.guarantee = guarantee;
  add(sum.retries, stats.retries);
  add(sum.dead_letters, stats.dead_letters);
  add(sum.newest_dead_letters, stats.newest_dead_letters);
  add(sum.encoded_blocks, stats.encoded_blocks);
  add(sum.passed_on, stats.passed_on);
  add(sum.insert_seconds, stats.insert_seconds.snapshot());
  add(sum.block_rows, stats.block_rows.snapshot());
  add(sum.block_bytes, stats.block_bytes.snapshot());
}

// Several topics may go to one table; a metric's labels know the table only.
std::vector<TableSnapshot> tables_of(const PipelineSources& sources) {
  std::map<std::string, TableSnapshot> by_name;
  std::vector<const TableStats*> seen;
  for (const auto& target : call(sources.targets)) {
    const TableStats* stats = target->stats.get();
    if (std::find(seen.begin(), seen.end(), stats) != seen.end()) continue;
    seen.push_back(stats);
    add(by_name[target->table], *stats);
  }
  std::vector<TableSnapshot> tables;
  for (auto& [name, table] : by_name) {
    table.table = name;
    tables.push_back(std::move(table));
  }
  return tables;
}

// While a lane goes from one reader to another of this process, both have it: the later one counts.
std::vector<LaneStatus> lanes_of(const PipelineSources& sources) {
  std::vector<LaneStatus> lanes = call(sources.lanes);
  const auto id = [](const LaneStatus& lane) { return std::tie(lane.id.topic, lane.id.partition); };
  std::stable_sort(lanes.begin(), lanes.end(), [&](const LaneStatus& a, const LaneStatus& b) {
    return std::tuple(id(a), b.read) < std::tuple(id(b), a.read);
  });
  const auto same = [&](const LaneStatus& a, const LaneStatus& b) { return id(a) == id(b); };
  lanes.erase(std::unique(lanes.begin(), lanes.end(), same), lanes.end());
  return lanes;
}

PipelineSnapshot gather_pipeline(const PipelineSources& sources) {
  PipelineSnapshot pipeline;
  pipeline.name = sources.name;
  pipeline.delivery = sources.delivery;
  pipeline.not_ready = call(sources.not_ready_reasons);
  pipeline.paused = call(sources.paused);
  pipeline.source = call(sources.source);
  pipeline.tables = tables_of(sources);
  pipeline.lanes = lanes_of(sources);
  return pipeline;
}

void gather_shared_parts(const StatusSources& sources, SteadyTime now, StatusSnapshot& snapshot) {
  if (sources.queue != nullptr) {
    snapshot.queued_blocks = sources.queue->queued();
    snapshot.parked_blocks = sources.queue->parked();
    snapshot.oldest_block_seconds = sources.queue->oldest_age_seconds(now);
  }
  if (sources.budget != nullptr) {
    snapshot.budget_used_bytes = sources.budget->used();
    snapshot.budget_limit_bytes = sources.budget->limit();
  }
  if (sources.workers != nullptr) {
    snapshot.workers = sources.workers->status(now);
    snapshot.inserts_in_flight = sources.workers->stats().inserts_in_flight.value();
    snapshot.queries_in_flight = sources.workers->stats().probes_in_flight.value();
  }
  if (sources.queries_in_flight != nullptr) {
    snapshot.queries_in_flight += sources.queries_in_flight->value();
  }
  if (sources.http_sessions != nullptr) {
    snapshot.http_sessions = sources.http_sessions->stats();
    snapshot.http_session_options = sources.http_sessions->options();
  }
}

ProcessSnapshot gather_process() {
  ProcessSnapshot process;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    process.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  std::size_t total_pages = 0, resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> total_pages >> resident_pages) {
    process.resident_bytes = resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator fd("/proc/self/fd", error), end; !error && fd != end;
       fd.increment(error)) {
    ++process.open_fds;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) process.max_fds = limit.rlim_cur;
  return process;
}

// A failure of the network that should pass by itself: no answer, or none of ClickHouse's.
bool unreachable(const LaneStatus& lane) {
  const LaneWait& wait = lane.wait;
  return lane.waiting && wait.disposition == Disposition::kRetry && wait.code == 0 &&
         wait.reason != "pool_timeout" && wait.reason != "internal_error";
}

Obstacles obstacles_of(const StatusSnapshot& snapshot, ClickHouseState clickhouse) {
  Obstacles found;
  found.unreachable = clickhouse == ClickHouseState::kUnreachable;
  found.waiting = clickhouse == ClickHouseState::kRefuses;
  found.pipelines = snapshot.pipelines.size();
  for (const PipelineSnapshot& pipeline : snapshot.pipelines) {
    if (!pipeline.not_ready.empty()) found.unreachable = true;
    if (pipeline.paused) ++found.paused_pipelines;
    for (const LaneStatus& lane : pipeline.lanes) {
      if (unreachable(lane)) found.unreachable = true;
      if (lane.waiting && lane.wait.disposition != Disposition::kRetry) found.waiting = true;
    }
  }
  return found;
}

}  // namespace

std::optional<std::int64_t> lag(const LaneStatus& lane) {
  if (lane.high_watermark < 0) return std::nullopt;
  return std::max<std::int64_t>(0, lane.high_watermark - lane.position);
}

StatusGatherer::StatusGatherer(StatusSources sources)
    : sources_(std::move(sources)),
      started_(std::chrono::system_clock::now()),
      steady_started_(std::chrono::steady_clock::now()),
      window_start_(steady_started_) {}

StatusSnapshot StatusGatherer::gather(SteadyTime now) {
  StatusSnapshot snapshot;
  snapshot.version = sources_.version;
  snapshot.build = sources_.build;
  snapshot.config_file = sources_.config_file;
  snapshot.time = std::chrono::system_clock::now();
  snapshot.started = started_;
  snapshot.uptime_seconds = std::chrono::duration<double>(now - steady_started_).count();
  snapshot.not_ready = call(sources_.not_ready_reasons);
  snapshot.reload = call(sources_.reload);
  gather_shared_parts(sources_, now, snapshot);
  for (const PipelineSources& pipeline : sources_.pipelines) {
    snapshot.pipelines.push_back(gather_pipeline(pipeline));
    snapshot.commits_in_flight += snapshot.pipelines.back().source.commits_in_flight;
  }
  snapshot.process = gather_process();
  snapshot.limit = what_limits(obstacles_of(snapshot, call(sources_.clickhouse)),
                               update_limiting_stage(snapshot, now));
  return snapshot;
}

Limit StatusGatherer::update_limiting_stage(const StatusSnapshot& snapshot, SteadyTime now) {
  std::array<double, kStages> total{};
  for (const PipelineSnapshot& pipeline : snapshot.pipelines) {
    for (const TableSnapshot& table : pipeline.tables) {
      for (std::size_t i = 0; i < kStages; ++i) total[i] += table.stage_seconds[i];
    }
  }
  MutexLock lock(mutex_);
  if (now - window_start_ < kLimitingStageWindow) return limiting_stage_;
  StageUse use;
  use.window_seconds = std::chrono::duration<double>(now - window_start_).count();
  for (std::size_t i = 0; i < kStages; ++i) {
    use.stage_seconds[i] = total[i] - window_start_seconds_[i];
  }
  use.workers = snapshot.workers.size();
  use.queued_blocks = snapshot.queued_blocks;
  use.parked_blocks = snapshot.parked_blocks;
  use.budget_used_bytes = snapshot.budget_used_bytes;
  use.budget_limit_bytes = snapshot.budget_limit_bytes;
  window_start_ = now;
  window_start_seconds_ = total;
  limiting_stage_ = limiting_stage(use);
  return limiting_stage_;
}

}  // namespace millrace
