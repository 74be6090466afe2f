#include <ctime>

#include "pipeline/advice.h"
#include "service/json_writer.h"
#include "service/status.h"

namespace millrace {
namespace {

std::string iso_utc(SystemTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

double in_seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

void write_strings(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write_counts(JsonWriter& json, std::string_view name,
                  const std::map<std::string, std::uint64_t>& counts) {
  json.key(name).begin_object();
  for (const auto& [label, count] : counts) json.member(label, count);
  json.end_object();
}

void write_mean(JsonWriter& json, std::string_view name, const Histogram::Snapshot& histogram) {
  std::uint64_t count = 0;
  for (const std::uint64_t part : histogram.counts) count += part;
  json.key(name);
  if (count == 0) {
    json.null();
  } else {
    json.value(histogram.sum / static_cast<double>(count));
  }
}

// What is promised of the table's rows, and why.
void write_guarantee(JsonWriter& json, const TableSnapshot& table, const std::string& delivery) {
  json.key("guarantee");
  if (table.guarantee) {
    json.value(std::string_view(table.guarantee->holds ? "exactly_once" : "at_least_once"));
    json.member("guarantee_because", table.guarantee->text);
  } else if (delivery == "at_least_once") {
    json.value(std::string_view(delivery));
    json.member("guarantee_because", "the pipeline's `delivery` asks for no more");
  } else {
    json.null();  // nothing was sent yet
    json.key("guarantee_because").null();
  }
}

void write_newest(JsonWriter& json, const std::deque<NewestDeadLetters::Note>& letters) {
  json.key("newest_dead_letters").begin_array();
  for (const NewestDeadLetters::Note& letter : letters) {
    json.begin_object();
    json.member("time", iso_utc(letter.time)).member("topic", letter.topic);
    json.member("partition", letter.partition).member("offset", letter.offset);
    json.member("code", letter.code).member("reason", letter.reason);
    json.member("message", letter.message).end_object();
  }
  json.end_array();
}

void write_table(JsonWriter& json, const TableSnapshot& table, const std::string& delivery) {
  json.begin_object();
  json.member("table", table.table);
  write_guarantee(json, table, delivery);
  json.member("inserted_rows", table.rows).member("inserted_bytes", table.bytes);
  json.member("inserted_blocks", table.blocks);
  json.member("read_rows", table.rows_read).member("read_bytes", table.bytes_read);
  json.member("tombstones", table.tombstones);
  json.member("abandoned_blocks", table.abandoned_blocks);
  write_mean(json, "mean_insert_seconds", table.insert_seconds);
  write_mean(json, "mean_block_rows", table.block_rows);
  write_mean(json, "mean_block_bytes", table.block_bytes);
  json.key("cuts").begin_object();
  for (std::size_t i = 0; i < kCutReasons; ++i) {
    json.member(to_string(static_cast<CutReason>(i)), table.cuts[i]);
  }
  json.end_object();
  write_counts(json, "retries", table.retries);
  write_counts(json, "dead_letters", table.dead_letters);
  write_newest(json, table.newest_dead_letters);
  write_counts(json, "encoded_blocks", table.encoded_blocks);
  write_counts(json, "passed_on", table.passed_on);
  json.member("unwritten_rows", table.unwritten_rows);
  json.member("repaired_rows", table.repaired_rows);
  json.member("body_limit_bytes", table.body_limit_bytes);  // 0: none is known
  json.key("stage_seconds").begin_object();
  for (std::size_t i = 0; i < kStages; ++i) {
    json.member(to_string(static_cast<Stage>(i)), table.stage_seconds[i]);
  }
  json.end_object().end_object();
}

void write_wait(JsonWriter& json, const LaneWait& wait, const std::string& table, SystemTime now) {
  json.begin_object();
  json.member("disposition", to_string(wait.disposition));
  json.member("code", wait.code).member("reason", wait.reason).member("message", wait.message);
  json.member("since", iso_utc(wait.since));
  json.member("seconds", std::chrono::duration<double>(now - wait.since).count());
  json.member("attempts", wait.attempts);
  json.member("what_to_do", advice_for(wait, table));
  json.end_object();
}

void write_lane(JsonWriter& json, const LaneStatus& lane, SystemTime now) {
  // Offsets that are not known yet are null, so that nobody takes -1 for one.
  const auto offset = [&](std::string_view name, std::int64_t value) {
    json.key(name);
    value < 0 ? json.null() : json.value(value);
  };
  json.begin_object();
  json.member("group", lane.id.group);
  json.member("topic", lane.id.topic).member("partition", lane.id.partition);
  json.member("table", lane.table);
  offset("position", lane.position);
  offset("committed", lane.committed);
  offset("read", lane.read);
  offset("high_watermark", lane.high_watermark);
  offset("lag", lag(lane).value_or(-1));
  json.member("unfinished_blocks", lane.unfinished_blocks).member("paused", lane.paused);
  json.key("ledger").begin_object();
  json.member("read", lane.ledger.read).member("skipped", lane.ledger.skipped);
  json.member("inserted", lane.ledger.done.inserted);
  json.member("dead_lettered", lane.ledger.done.dead_lettered);
  json.member("in_flight", lane.ledger.in_flight);
  json.member("difference", lane.ledger.difference()).end_object();
  json.key("waiting");
  if (lane.waiting) {
    write_wait(json, lane.wait, lane.table, now);
  } else {
    json.null();
  }
  json.end_object();
}

void write_pipeline(JsonWriter& json, const PipelineSnapshot& pipeline, SystemTime now) {
  json.begin_object();
  json.member("name", pipeline.name).member("delivery", pipeline.delivery);
  json.member("ready", pipeline.not_ready.empty()).member("paused", pipeline.paused);
  write_strings(json, "not_ready", pipeline.not_ready);
  const SourceSnapshot& source = pipeline.source;
  json.key("source").begin_object();
  json.member("kind", source.kind).member("messages", source.messages);
  json.member("bytes", source.bytes).member("commits", source.commits);
  json.member("commits_in_flight", source.commits_in_flight);
  write_counts(json, "commit_errors", source.commit_errors);
  write_counts(json, "rebalances", source.rebalances);
  write_counts(json, "errors", source.errors);
  json.member("lost_messages", source.lost_offsets);
  json.member("begun_again", source.begun_again).member("pauses", source.pauses).end_object();
  json.key("tables").begin_array();
  for (const TableSnapshot& table : pipeline.tables) write_table(json, table, pipeline.delivery);
  json.end_array().key("lanes").begin_array();
  for (const LaneStatus& lane : pipeline.lanes) write_lane(json, lane, now);
  json.end_array().end_object();
}

void write_http_sessions(JsonWriter& json, const StatusSnapshot& snapshot) {
  const HttpSessionPoolStats& stats = snapshot.http_sessions;
  const HttpSessionPoolOptions& options = snapshot.http_session_options;
  json.key("http_sessions").begin_object();
  json.member("open", stats.open).member("leased", stats.leased).member("idle", stats.idle);
  json.member("waiting", stats.waiting);
  json.member("created", stats.created).member("reused", stats.reused);
  json.member("connect_failures", stats.connect_failures);
  json.member("acquire_timeouts", stats.acquire_timeouts);
  json.member("waits", stats.waits).member("wait_seconds", stats.wait_seconds);
  if (stats.server_certificate_end)
    json.member("server_certificate_end", iso_utc(*stats.server_certificate_end));
  if (stats.client_certificate_end)
    json.member("client_certificate_end", iso_utc(*stats.client_certificate_end));
  json.key("closed").begin_object();
  for (std::size_t i = 0; i < kHttpSessionCloseReasons; ++i) {
    json.member(to_string(static_cast<HttpSessionCloseReason>(i)), stats.closed[i]);
  }
  json.end_object().key("options").begin_object();
  json.member("soft_limit", options.soft_limit).member("hard_limit", options.hard_limit);
  json.member("store_limit", options.store_limit);
  json.member("acquire_timeout_seconds", in_seconds(options.acquire_timeout));
  json.member("connect_timeout_seconds", in_seconds(options.connect_timeout));
  json.member("idle_timeout_seconds", in_seconds(options.idle_timeout));
  json.member("max_age_seconds", in_seconds(options.max_age));
  json.member("tcp_keep_alive_seconds", in_seconds(options.tcp_keep_alive));
  json.member("tcp_user_timeout_seconds", in_seconds(options.tcp_user_timeout));
  json.end_object().end_object();
}

void write_workers(JsonWriter& json, const std::vector<WorkerStatus>& workers) {
  json.key("workers").begin_array();
  for (const WorkerStatus& worker : workers) {
    json.begin_object();
    json.member("id", worker.id).member("operation", worker.operation);
    json.member("seconds", worker.seconds).member("lane", worker.lane);
    json.member("table", worker.table).member("clickhouse_session", worker.session_id);
    json.end_object();
  }
  json.end_array();
}

void write_process(JsonWriter& json, const ProcessSnapshot& process) {
  json.key("process").begin_object();
  json.member("cpu_seconds", process.cpu_seconds).member("resident_bytes", process.resident_bytes);
  json.member("open_fds", process.open_fds).member("max_fds", process.max_fds);
  json.end_object();
}

}  // namespace

std::string to_json(const StatusSnapshot& snapshot) {
  JsonWriter json;
  json.begin_object();
  json.member("version", snapshot.version).member("build", snapshot.build);
  json.member("config_file", snapshot.config_file);
  json.key("config_reload").begin_object();
  json.member("last_successful", snapshot.reload.last_successful);
  json.member("last_success", iso_utc(snapshot.reload.last_success)).end_object();
  json.member("time", iso_utc(snapshot.time)).member("started", iso_utc(snapshot.started));
  json.member("uptime_seconds", snapshot.uptime_seconds);
  json.member("ready", snapshot.ready());
  write_strings(json, "not_ready", snapshot.not_ready);
  json.key("limiting_stage").begin_object();
  json.member("stage", to_string(snapshot.limit));
  json.member("advice", limit_advice(snapshot.limit)).end_object();
  json.key("operations_in_flight").begin_object();
  json.member("insert", snapshot.inserts_in_flight).member("query", snapshot.queries_in_flight);
  json.member("commit", snapshot.commits_in_flight).end_object();
  json.key("budget").begin_object();
  json.member("used_bytes", snapshot.budget_used_bytes);
  json.member("limit_bytes", snapshot.budget_limit_bytes).end_object();
  json.key("queue").begin_object();
  json.member("queued_blocks", snapshot.queued_blocks);
  json.member("parked_blocks", snapshot.parked_blocks);
  json.member("oldest_block_seconds", snapshot.oldest_block_seconds).end_object();
  write_workers(json, snapshot.workers);
  write_http_sessions(json, snapshot);
  json.key("pipelines").begin_array();
  for (const PipelineSnapshot& pipeline : snapshot.pipelines) {
    write_pipeline(json, pipeline, snapshot.time);
  }
  json.end_array();
  write_process(json, snapshot.process);
  json.end_object();
  return json.text();
}

}  // namespace millrace
