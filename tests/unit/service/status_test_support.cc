#include "tests/unit/service/status_test_support.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "service/json_writer.h"

namespace millrace {
namespace {

Histogram::Snapshot histogram(std::vector<double> bounds, std::vector<std::uint64_t> counts,
                              double sum) {
  return {.upper_bounds = std::move(bounds), .counts = std::move(counts), .sum = sum};
}

TableSnapshot filled_table() {
  TableSnapshot table;
  table.table = "db.events";
  table.rows = 1000, table.bytes = 2000, table.blocks = 3;
  table.rows_read = 1100, table.bytes_read = 2200, table.tombstones = 4;
  table.abandoned_blocks = 5;
  for (std::size_t i = 0; i < kCutReasons; ++i) table.cuts[i] = 10 + i;
  for (std::size_t i = 0; i < kStages; ++i) table.stage_seconds[i] = 0.5 + static_cast<double>(i);
  table.retries = {{"TIMEOUT_EXCEEDED", 6}, {"timeout", 7}};
  table.dead_letters = {{"CANNOT_PARSE_NUMBER", 8}};
  table.newest_dead_letters = {{.time = SystemTime(std::chrono::seconds(1'700'000'000)),
                                .topic = "events",
                                .partition = 1,
                                .offset = 77,
                                .code = 72,
                                .reason = "CANNOT_PARSE_NUMBER",
                                .message = "Cannot parse \"<b>\""}};
  table.encoded_blocks = {{"Native", 11}};
  table.passed_on = {{"v", 12}};
  table.unwritten_rows = 9, table.repaired_rows = 10;
  table.guarantee = {true, "replicated_deduplication_window is 10000"};
  table.insert_seconds = histogram({0.1, 1}, {2, 0, 1}, 12.5);
  table.block_rows = histogram({100, 1000}, {1, 2, 0}, 1000);
  table.block_bytes = histogram({1024}, {3, 0}, 2000);
  return table;
}

std::vector<LaneStatus> filled_lanes() {
  LaneStatus flowing, waiting;
  flowing.id = {"group", "events", 0}, flowing.table = "db.events";
  flowing.position = 90, flowing.committed = 80, flowing.read = 95;
  flowing.high_watermark = 100;
  flowing.ledger = {
      .read = 95, .skipped = 3, .done = {.inserted = 80, .dead_lettered = 2}, .in_flight = 12};
  waiting.id = {"group", "events", 1}, waiting.table = "db.events";
  waiting.paused = waiting.waiting = true;
  waiting.wait = {.disposition = Disposition::kWait,
                  .code = 60,
                  .reason = "UNKNOWN_TABLE",
                  .message = "Table db.events does not exist",
                  .since = SystemTime(std::chrono::seconds(1'700'000'000)),
                  .attempts = 8};
  return {flowing, waiting};
}

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : rest_(text) {}

  std::map<std::string, std::string> parse() {
    value("");
    if (!rest_.empty()) fail("something after the value");
    return std::move(found_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("JSON: " + why + " before: " + std::string(rest_.substr(0, 40)));
  }
  char take() {
    if (rest_.empty()) fail("too short");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  void expect(char wanted) {
    if (take() != wanted) fail(std::string("expected ") + wanted);
  }
  bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }

  void value(const std::string& path) {
    if (next_is('{')) {
      members(path);
    } else if (next_is('[')) {
      elements(path);
    } else if (next_is('"')) {
      store(path, '"' + string());
    } else {
      literal(path);
    }
  }
  void members(const std::string& path) {
    store(path, "{}");
    expect('{');
    for (bool first = true; !next_is('}'); first = false) {
      if (!first) expect(',');
      const std::string key = string();
      expect(':');
      value(path.empty() ? key : path + "." + key);
    }
    expect('}');
  }
  void elements(const std::string& path) {
    store(path, "[]");
    expect('[');
    for (std::size_t i = 0; !next_is(']'); ++i) {
      if (i > 0) expect(',');
      value((path.empty() ? "" : path + ".") + std::to_string(i));
    }
    expect(']');
  }
  std::string string() {
    std::string text;
    expect('"');
    for (char c = take(); c != '"'; c = take()) {
      if (static_cast<unsigned char>(c) < 0x20) fail("a bare control character");
      text += c == '\\' ? escape() : c;
    }
    return text;
  }
  char escape() {
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    const char c = take();
    if (c == 'u') {
      const std::string digits{take(), take(), take(), take()};
      int code = -1;
      const auto end = std::from_chars(digits.data(), digits.data() + 4, code, 16).ptr;
      if (end != digits.data() + 4 || code < 0 || code > 0x7f) fail("escape " + digits);
      return static_cast<char>(code);
    }
    const std::size_t at = kFrom.find(c);
    if (at == std::string_view::npos) fail("an unknown escape");
    return kTo[at];
  }
  void literal(const std::string& path) {
    const std::string_view text = rest_.substr(0, rest_.find_first_of(",]}"));
    if (text != "true" && text != "false" && text != "null" && !is_number(text)) fail("no literal");
    store(path, std::string(text));
    rest_.remove_prefix(text.size());
  }
  // -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
  static bool is_number(std::string_view text) {
    const auto skip = [&](std::string_view any) {
      const bool there = !text.empty() && any.find(text.front()) != any.npos;
      if (there) text.remove_prefix(1);
      return there;
    };
    const auto digits = [&] {
      const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
      text.remove_prefix(count);
      return count;
    };
    skip("-");
    const bool zero_first = !text.empty() && text.front() == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero_first && whole > 1)) return false;
    if (skip(".") && digits() == 0) return false;
    if (skip("eE") && (skip("+-"), digits() == 0)) return false;
    return text.empty();
  }
  void store(const std::string& path, std::string text) {
    if (!found_.emplace(path, std::move(text)).second) fail("the same key again: " + path);
  }

  std::string_view rest_;
  std::map<std::string, std::string> found_;
};

}  // namespace

StatusSnapshot filled_snapshot() {
  StatusSnapshot s;
  s.version = "1.2.3", s.build = "release", s.config_file = "/etc/millrace.yaml";
  s.started = SystemTime(std::chrono::seconds(1'700'000'000));
  s.time = s.started + std::chrono::seconds(90);
  s.uptime_seconds = 90;
  s.queued_blocks = 11, s.parked_blocks = 12, s.oldest_block_seconds = 1.5;
  s.budget_used_bytes = 13, s.budget_limit_bytes = 14;
  s.workers = {{.id = 0,
                .operation = "insert",
                .lane = "events/0",
                .table = "db.events",
                .session_id = "b0b1",
                .seconds = 0.25}};
  s.inserts_in_flight = 1, s.queries_in_flight = 2, s.commits_in_flight = 3;
  s.http_sessions = {.open = 15, .leased = 9, .idle = 6, .waiting = 2};
  s.http_sessions.created = 21, s.http_sessions.reused = 22, s.http_sessions.waits = 23;
  s.http_sessions.server_certificate_end = std::chrono::system_clock::from_time_t(1'800'000'000);
  s.http_sessions.client_certificate_end = std::chrono::system_clock::from_time_t(1'900'000'000);
  s.http_sessions.connect_failures = 24, s.http_sessions.acquire_timeouts = 25;
  s.http_sessions.wait_seconds = 2.5;
  for (std::size_t i = 0; i < kHttpSessionCloseReasons; ++i) s.http_sessions.closed[i] = 30 + i;
  s.process = {.cpu_seconds = 3.5, .resident_bytes = 4096, .open_fds = 7, .max_fds = 1024};
  s.limit = Limit::kSessionWait;
  s.reload = {.last_successful = false, .last_success = s.started};
  PipelineSnapshot& pipeline = s.pipelines.emplace_back();
  pipeline.name = "p", pipeline.delivery = "auto", pipeline.paused = true;
  pipeline.source.messages = 41, pipeline.source.bytes = 42, pipeline.source.commits = 43;
  pipeline.source.lost_offsets = 44, pipeline.source.pauses = 45;
  pipeline.source.begun_again = 49;
  pipeline.source.commit_errors = {{"REQUEST_TIMED_OUT", 46}};
  pipeline.source.errors = {{"_TRANSPORT", 47}};
  pipeline.source.rebalances = {{"assign", 48}};
  pipeline.source.commits_in_flight = 3;
  pipeline.tables = {filled_table()};
  pipeline.lanes = filled_lanes();
  return s;
}

std::map<std::string, std::string> parse_json(std::string_view text) {
  if (to_valid_utf8(text) != text) throw std::runtime_error("JSON: not UTF-8");
  return JsonParser(text).parse();
}

}  // namespace millrace
