#include "service/metrics.h"

#include <prometheus/text_serializer.h>

#include <cstdint>
#include <cstdlib>
#include <ostream>

#include "service/metric_samples.h"

namespace millrace {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void fill_ledger(const StatusSnapshot& s, Samples& out) {
  for (const auto& p : s.pipelines) {
    std::int64_t difference = 0;
    for (const auto& lane : p.lanes) difference += std::abs(lane.ledger.difference());
    out.add({p.name}, difference);
  }
}

void fill_lag(const StatusSnapshot& s, Samples& out) {
  for (const auto& p : s.pipelines) {
    for (const auto& lane : p.lanes) {
      const auto behind = lag(lane);
      const std::string partition = std::to_string(lane.id.partition);
      if (behind) out.add({p.name, lane.id.topic, partition}, *behind);
    }
  }
}

void fill_position(const StatusSnapshot& s, Samples& out) {
  for (const auto& p : s.pipelines) {
    for (const auto& lane : p.lanes) {
      const std::string partition = std::to_string(lane.id.partition);
      out.add({p.name, lane.id.topic, partition}, lane.position);
    }
  }
}

void fill_waiting(const StatusSnapshot& s, Samples& out) {
  for (const auto& p : s.pipelines) {
    std::map<std::array<std::string, 3>, int> lanes;
    for (const auto& lane : p.lanes) {
      const std::string kind(to_string(lane.wait.disposition));
      if (lane.waiting) ++lanes[{lane.table, lane.wait.reason, kind}];
    }
    for (const auto& [key, count] : lanes) out.add({p.name, key[0], key[1], key[2]}, count);
  }
}

void fill_closed(const StatusSnapshot& s, Samples& out) {
  for (std::size_t i = 0; i < kHttpSessionCloseReasons; ++i) {
    out.add({to_string(static_cast<HttpSessionCloseReason>(i))}, s.http_sessions.closed[i]);
  }
}

void fill_limiting_stage(const StatusSnapshot& s, Samples& out) {
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    out.add({to_string(limit)}, limit == s.limit ? 1 : 0);
  }
}

void fill_operations(const StatusSnapshot& s, Samples& out) {
  out.add({"insert"}, s.inserts_in_flight);
  out.add({"query"}, s.queries_in_flight);
  out.add({"commit"}, s.commits_in_flight);
}

void fill_session_limits(const StatusSnapshot& s, Samples& out) {
  out.add({"soft"}, s.http_session_options.soft_limit);
  out.add({"hard"}, s.http_session_options.hard_limit);
  out.add({"store"}, s.http_session_options.store_limit);
}

void fill_certificate_ends(const StatusSnapshot& s, Samples& out) {
  const auto add = [&](const char* kind, const std::optional<CertificateEnd>& end) {
    if (end) out.add({kind}, std::chrono::duration<double>(end->time_since_epoch()).count());
  };
  add("server", s.http_sessions.server_certificate_end);
  add("client", s.http_sessions.client_certificate_end);
}

std::vector<MetricDeclaration> process_metrics() {
  using enum MetricType;
  return {
      {"millrace_build_info", Gauge, "version build", "Always 1; the labels say what runs.",
       [](const StatusSnapshot& s, Samples& out) {
         out.add({s.version, s.build}, 1);
       }},
      {"millrace_config_last_reload_successful", Gauge, "",
       "1 while the configuration file was good when it was last read; 0: the one before it is in "
       "effect, and the log says why.",
       one([](const StatusSnapshot& s) { return s.reload.last_successful; }),
       "0: correct the file, then `millrace reload`."},
      {"millrace_config_last_reload_success_timestamp_seconds", Gauge, "",
       "When the configuration file was last read well, in Unix time.",
       one([](const StatusSnapshot& s) {
         return std::chrono::duration<double>(s.reload.last_success.time_since_epoch()).count();
       })},
      {"millrace_ready", Gauge, "", "1 while /readyz says ready.", one(&StatusSnapshot::ready),
       "0: `/readyz` gives the reasons; `millrace check` tries each connection."},
      {"millrace_pipeline_ready", Gauge, "pipeline",
       "1 while all readers of the pipeline are connected to their source.",
       [](const StatusSnapshot& s, Samples& out) {
         for (const auto& p : s.pipelines) out.add({p.name}, p.not_ready.empty() ? 1 : 0);
       },
       "0: is the broker up, and is the topic there?"},
      {"millrace_pipeline_paused", Gauge, "pipeline",
       "1 while an operator has paused the pipeline: it keeps its lanes and reads nothing.",
       [](const StatusSnapshot& s, Samples& out) {
         for (const auto& p : s.pipelines) out.add({p.name}, p.paused ? 1 : 0);
       },
       "`millrace resume` reads on."},
      {"millrace_operations_in_flight", Gauge, "kind",
       "Operations started and not answered yet: inserts and queries to ClickHouse, commits to "
       "sources.",
       fill_operations},
      {"millrace_limiting_stage", Gauge, "stage",
       "1 for what limits the flow now, else 0: `unreachable`, `waiting` (for somebody to act) and "
       "`paused` come before the stages; `source` also while nothing arrives.",
       fill_limiting_stage, "`/status` says what to do, and which setting to raise."},
      {"process_cpu_seconds_total", Counter, "", "User and system CPU time spent.",
       one([](const StatusSnapshot& s) { return s.process.cpu_seconds; })},
      {"process_resident_memory_bytes", Gauge, "", "Resident memory.",
       one([](const StatusSnapshot& s) { return s.process.resident_bytes; }),
       "Lower `memory.budget` if it comes near the machine's; it bounds the data in flight."},
      {"process_open_fds", Gauge, "", "Open file descriptors.",
       one([](const StatusSnapshot& s) { return s.process.open_fds; }),
       "Near `process_max_fds`: raise the limit (`ulimit -n`), or lower "
       "`clickhouse.pool.hard_limit`."},
      {"process_max_fds", Gauge, "", "Limit of open file descriptors.",
       one([](const StatusSnapshot& s) { return s.process.max_fds; })},
      {"process_start_time_seconds", Gauge, "", "When the process started, in Unix time.",
       one([](const StatusSnapshot& s) {
         return std::chrono::duration<double>(s.started.time_since_epoch()).count();
       })},
  };
}

std::vector<MetricDeclaration> source_metrics() {
  using enum MetricType;
  return {
      {"millrace_source_messages_total", Counter, "pipeline source",
       "Messages the source handed over.", per_source(&SourceSnapshot::messages)},
      {"millrace_source_bytes_total", Counter, "pipeline source",
       "Bytes of payload, key and headers of these messages.", per_source(&SourceSnapshot::bytes)},
      {"millrace_source_commits_total", Counter, "pipeline source",
       "Commits of positions that the source acknowledged.", per_source(&SourceSnapshot::commits)},
      {"millrace_source_commit_errors_total", Counter, "pipeline source code",
       "Commits that the source refused or did not answer; repeated with the next one.",
       per_source_and(&SourceSnapshot::commit_errors),
       "The log has the broker's words: rights of the group, or a process that is too slow for "
       "it."},
      {"millrace_source_errors_total", Counter, "pipeline source code",
       "Other errors that the source or its client reported, lost connections for example.",
       per_source_and(&SourceSnapshot::errors),
       "Look at the broker and its network; it reconnects by itself."},
      {"millrace_source_rebalances_total", Counter, "pipeline source kind",
       "Times lanes were given to this process or taken from it.",
       per_source_and(&SourceSnapshot::rebalances),
       "Often: processes come and go, or are too slow for their group."},
      {"millrace_source_lost_messages_total", Counter, "pipeline source",
       "Offsets that the source had deleted before they were read: raise its retention.",
       per_source(&SourceSnapshot::lost_offsets),
       "Raise the topic's retention; then see why there is so much lag."},
      {"millrace_source_begun_again_total", Counter, "pipeline source",
       "Lanes that were read from another offset than the committed one, because their topic was "
       "deleted and made again, or has lost its end.",
       per_source(&SourceSnapshot::begun_again),
       "Expected after a topic was made again; otherwise look at the brokers: an unclean "
       "election."},
      {"millrace_source_pauses_total", Counter, "pipeline source",
       "Times a lane was paused because something behind it was full or waited.",
       per_source(&SourceSnapshot::pauses), "Fast: `millrace_limiting_stage` says what is full."},
      {"millrace_lanes", Gauge, "pipeline", "Lanes (Kafka: partitions) this process owns.",
       lanes_where([](const LaneStatus&) { return true; })},
      {"millrace_lanes_paused", Gauge, "pipeline",
       "Lanes that are not read for now: the byte budget is spent, too many blocks are in flight, "
       "or the lane waits.",
       lanes_where([](const LaneStatus& lane) { return lane.paused; }),
       "For long: see the budget and the lanes that wait."},
      {"millrace_lanes_waiting", Gauge, "pipeline table reason kind",
       "Lanes with a block that ClickHouse did not take; nothing is lost meanwhile. Kind `retry` "
       "passes by itself, with any other somebody must act (see /status).",
       fill_waiting, "`/status` says for each lane what to do; no restart is needed."},
      {"millrace_ledger_difference_records", Gauge, "pipeline",
       "Records of the owned lanes that were read and are neither inserted, put aside nor in "
       "flight. Anything but 0 is a fault in millrace: please report it.",
       fill_ledger, "Keep `/status` and the log, and report it."},
      {"millrace_lane_lag_messages", Gauge, "pipeline topic partition",
       "Messages of the lane that are not in ClickHouse yet.", fill_lag,
       "`millrace_limiting_stage` says what to raise; then more processes, at most one a "
       "partition."},
      {"millrace_lane_position", Gauge, "pipeline topic partition",
       "Offset below which every message of the lane is in ClickHouse or in the dead letters.",
       fill_position, "Standing still with lag: `/status` says why."},
  };
}

std::vector<MetricDeclaration> table_metrics() {
  using enum MetricType;
  return {
      {"millrace_read_rows_total", Counter, "pipeline table",
       "Records taken from the source for this table.", per_table(&TableSnapshot::rows_read)},
      {"millrace_read_bytes_total", Counter, "pipeline table", "Payload bytes of these records.",
       per_table(&TableSnapshot::bytes_read)},
      {"millrace_tombstones_total", Counter, "pipeline table", "Records without a payload.",
       per_table(&TableSnapshot::tombstones),
       "Are they meant? `source.kafka.tombstones` says what becomes of them."},
      {"millrace_cut_blocks_total", Counter, "pipeline table reason",
       "Blocks cut, by what made the cut.", per_table_and<CutReason>(&TableSnapshot::cuts),
       "Mostly `age` with small blocks: raise `batch.max_age`."},
      {"millrace_inserted_rows_total", Counter, "pipeline table",
       "Records that ClickHouse acknowledged.", per_table(&TableSnapshot::rows)},
      {"millrace_inserted_bytes_total", Counter, "pipeline table",
       "Bytes of request bodies that ClickHouse acknowledged, before compression.",
       per_table(&TableSnapshot::bytes)},
      {"millrace_inserted_blocks_total", Counter, "pipeline table",
       "Blocks (inserts) that ClickHouse acknowledged.", per_table(&TableSnapshot::blocks)},
      {"millrace_insert_duration_seconds", Histogram, "pipeline table",
       "Duration of acknowledged inserts, from asking for an HTTP session to the answer.",
       per_table(&TableSnapshot::insert_seconds),
       "ClickHouse is slow: look at its merges and its disks, and send larger blocks."},
      {"millrace_block_rows", Histogram, "pipeline table", "Records in each acknowledged block.",
       per_table(&TableSnapshot::block_rows),
       "Low: raise `batch.max_age`, or read with fewer processes."},
      {"millrace_block_bytes", Histogram, "pipeline table",
       "Bytes of each inserted body, compressed if it was.",
       per_table(&TableSnapshot::block_bytes)},
      {"millrace_body_limit_bytes", Gauge, "pipeline table",
       "What bodies are kept below since a proxy before ClickHouse refused a larger one (413); 0: "
       "none was refused.",
       per_table(&TableSnapshot::body_limit_bytes),
       "Not 0: raise the proxy's limit (nginx: `client_max_body_size`) for larger blocks, and "
       "start again."},
      {"millrace_retries_total", Counter, "pipeline table code",
       "Attempts that failed and were put back, by ClickHouse's error or kind of network error.",
       per_table_and_label(&TableSnapshot::retries),
       "By `code`: network errors pass; TOO_MANY_PARTS wants larger blocks, MEMORY_LIMIT_EXCEEDED "
       "smaller ones."},
      {"millrace_dead_letters_total", Counter, "pipeline table code",
       "Records that ClickHouse refused even alone and that were put aside, by its error; see "
       "`millrace dead-letters list`.",
       per_table_and_label(&TableSnapshot::dead_letters),
       "`millrace dead-letters list` and `show`; mend sender or table, then `replay`."},
      {"millrace_unwritten_rows_total", Counter, "pipeline table",
       "Records that ClickHouse took without reporting a row for each: some are empty, or two of "
       "them together read as one row.",
       per_table(&TableSnapshot::unwritten_rows),
       "Look for empty messages and for several rows in one message."},
      {"millrace_repaired_rows_total", Counter, "pipeline table",
       "Records sent again because ClickHouse, killed in the middle of their insert, had confirmed "
       "them and lost them.",
       per_table(&TableSnapshot::repaired_rows),
       "Look at why ClickHouse is killed: memory, most often."},
      {"millrace_abandoned_blocks_total", Counter, "pipeline table",
       "Blocks not sent because their lane went to another owner, who reads them again.",
       per_table(&TableSnapshot::abandoned_blocks), "As for rebalances."},
      {"millrace_encoded_blocks_total", Counter, "pipeline table format",
       "Bodies of inserts made, by the format that was sent.",
       per_table_and_label(&TableSnapshot::encoded_blocks)},
      {"millrace_passed_on_total", Counter, "pipeline table column",
       "How often a worker found that rows of this table must be sent as they are, which costs "
       "ClickHouse more, by the column that is the cause.",
       per_table_and_label(&TableSnapshot::passed_on),
       "Change the column's type, or set `encoding: as_is` if it must be so."},
      {"millrace_stage_seconds_total", Counter, "pipeline table stage",
       "Time blocks spent in each stage.", per_table_and<Stage>(&TableSnapshot::stage_seconds),
       "The largest one is where the time goes."},
  };
}

std::vector<MetricDeclaration> queue_metrics() {
  using enum MetricType;
  return {
      {"millrace_queued_blocks", Gauge, "", "Blocks that wait for a worker.",
       one(&StatusSnapshot::queued_blocks), "Raise `workers.count` if ClickHouse has time left."},
      {"millrace_parked_blocks", Gauge, "", "Blocks that failed and wait for their next try.",
       one(&StatusSnapshot::parked_blocks), "`millrace_retries_total` says by which error."},
      {"millrace_oldest_block_age_seconds", Gauge, "",
       "Age of the oldest block that is queued or parked; 0 when there is none.",
       one(&StatusSnapshot::oldest_block_seconds), "Minutes: a lane waits; see `/status`."},
      {"millrace_budget_used_bytes", Gauge, "", "Memory reserved for data in flight.",
       one(&StatusSnapshot::budget_used_bytes),
       "Near its limit: mend the lanes that wait; then raise `memory.budget`."},
      {"millrace_budget_limit_bytes", Gauge, "",
       "Limit of that memory; sources pause when it is spent.",
       one(&StatusSnapshot::budget_limit_bytes)},
      {"millrace_workers", Gauge, "", "Worker threads.",
       one([](const StatusSnapshot& s) { return s.workers.size(); })},
  };
}

std::vector<MetricDeclaration> http_session_metrics() {
  using enum MetricType;
  using Stats = HttpSessionPoolStats;
  return {
      {"millrace_http_sessions_open", Gauge, "", "Connections to ClickHouse, leased and idle.",
       of_http_sessions(&Stats::open)},
      {"millrace_http_sessions_leased", Gauge, "", "Connections that carry a request.",
       of_http_sessions(&Stats::leased)},
      {"millrace_http_sessions_idle", Gauge, "", "Connections kept for the next request.",
       of_http_sessions(&Stats::idle)},
      {"millrace_http_sessions_waiting", Gauge, "", "Requests that wait for a connection.",
       of_http_sessions(&Stats::waiting),
       "Raise `clickhouse.pool.hard_limit` to at least `workers.count`."},
      {"millrace_http_sessions_limit", Gauge, "kind", "Configured limits for each endpoint.",
       fill_session_limits},
      {"millrace_http_session_waits_total", Counter, "", "Requests that had to wait.",
       of_http_sessions(&Stats::waits)},
      {"millrace_http_session_wait_seconds_total", Counter, "",
       "Time that requests waited for a connection.", of_http_sessions(&Stats::wait_seconds),
       "As above."},
      {"millrace_http_sessions_created_total", Counter, "", "Connections opened.",
       of_http_sessions(&Stats::created),
       "As fast as requests: something between us and ClickHouse closes connections; lower "
       "`clickhouse.pool.idle_timeout` below its limit."},
      {"millrace_http_sessions_reused_total", Counter, "",
       "Requests that went over a connection that was open already.",
       of_http_sessions(&Stats::reused)},
      {"millrace_http_sessions_closed_total", Counter, "reason", "Connections closed.", fill_closed,
       "`failed`: the log has endpoint and error."},
      {"millrace_http_connect_failures_total", Counter, "", "Connections that could not be opened.",
       of_http_sessions(&Stats::connect_failures),
       "Is ClickHouse up, and does `clickhouse.endpoints` name it?"},
      {"millrace_http_acquire_timeouts_total", Counter, "",
       "Requests that got no connection in time.", of_http_sessions(&Stats::acquire_timeouts),
       "Raise `clickhouse.pool.hard_limit`, unless ClickHouse is slow."},
      {"millrace_certificate_expiry_timestamp_seconds", Gauge, "kind",
       "When a certificate of connections to ClickHouse ends: `server`, the first to end of what "
       "the endpoints showed last; `client`, the one of `clickhouse.tls.client_cert`.",
       fill_certificate_ends, "Less than two weeks ahead: renew it; nothing goes in after that."},
  };
}

const std::vector<MetricDeclaration>& declarations() {
  static const std::vector<MetricDeclaration> all = [] {
    std::vector<MetricDeclaration> list;
    for (auto group : {process_metrics(), source_metrics(), queue_metrics(), table_metrics(),
                       http_session_metrics()}) {
      list.insert(list.end(), group.begin(), group.end());
    }
    return list;
  }();
  return all;
}

const char* type_name(MetricType type) {
  return type == MetricType::Counter     ? "counter"
         : type == MetricType::Histogram ? "histogram"
                                         : "gauge";
}

}  // namespace

std::string render_metrics(const StatusSnapshot& snapshot) {
  std::vector<MetricFamily> families;
  for (const MetricDeclaration& declared : declarations()) {
    MetricFamily& family = families.emplace_back();
    family.name = declared.name;
    family.type = declared.type;
    family.help = declared.help;
    Samples samples(family, split_words(declared.labels));
    declared.fill(snapshot, samples);
  }
  return prometheus::TextSerializer().Serialize(families);
}

void print_metrics_reference(std::ostream& out) {
  out << "# Metrics\n\n"
         "What `/metrics` on the admin port shows, in the text format of Prometheus. This page is\n"
         "generated from the declarations in `metrics.cc`. Labels are bounded: tables, topics and\n"
         "owned partitions are the most that grows.\n\n"
         "| metric | type | labels | meaning | when it is high, or wrong "
         "|\n|---|---|---|---|---|\n";
  for (const MetricDeclaration& declared : declarations()) {
    out << "| `" << declared.name << "` | " << type_name(declared.type) << " | ";
    const char* comma = "";
    for (const std::string& label : split_words(declared.labels)) {
      out << comma << "`" << label << "`";
      comma = ", ";
    }
    out << " | " << declared.help << " | " << declared.what_to_do << " |\n";
  }
}

}  // namespace millrace
