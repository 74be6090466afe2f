#include "service/clickhouse_monitor.h"

#include "pipeline/question.h"
#include "service/clock_check.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kInterval{2};
constexpr std::chrono::seconds kPatience{5};  // for one answer

ClientOptions for_questions(ClientOptions options) {
  options.session_policy = ClickHouseSessionPolicy::kNone;  // a lock on a session must not hide us
  options.request_timeout = kPatience;
  return options;
}

}  // namespace

ClickHouseMonitor::ClickHouseMonitor(ClientOptions options, EndpointList& endpoints,
                                     HttpSessionPool& pool, std::shared_ptr<ServerClock> clock,
                                     LogSink log)
    : client_(for_questions(std::move(options)), endpoints, pool),
      clock_(std::move(clock)),
      log_(std::move(log)) {}

ClickHouseMonitor::~ClickHouseMonitor() { stop(); }

void ClickHouseMonitor::start() { thread_ = std::thread(&ClickHouseMonitor::run, this); }

void ClickHouseMonitor::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string ClickHouseMonitor::not_ready_reason() const {
  MutexLock lock(mutex_);
  return reason_;
}

ClickHouseState ClickHouseMonitor::state() const {
  MutexLock lock(mutex_);
  return state_;
}

std::string ClickHouseMonitor::server_version() const {
  MutexLock lock(mutex_);
  return version_;
}

void ClickHouseMonitor::run() {
  do {
    ask();
  } while (wait_for_next());
}

bool ClickHouseMonitor::wait_for_next() {
  const SteadyTime until = std::chrono::steady_clock::now() + kInterval;
  MutexLock lock(mutex_);
  while (!stopping_ && wake_.wait_until(mutex_, until)) {
  }
  return !stopping_;
}

void ClickHouseMonitor::ask() {
  std::string reason, version;
  auto state = ClickHouseState::kAnswers;
  try {
    const InFlight in_flight(queries_in_flight_);
    const auto asked = std::chrono::system_clock::now();
    const AnswerRow row = ask_row(client_, "SELECT version(), toUnixTimestamp64Milli(now64(3))", 2);
    version = row[0];
    const std::chrono::milliseconds since_epoch(number_of(row[1]));
    clock_->note(std::chrono::sys_time<std::chrono::milliseconds>(since_epoch),
                 std::chrono::steady_clock::now());
    check_clock(clock_warning(std::chrono::system_clock::time_point(since_epoch), asked,
                              std::chrono::system_clock::now()));
  } catch (const std::exception& error) {
    reason = std::string("ClickHouse: ") + error.what();
    const auto* answer = dynamic_cast<const ClickHouseError*>(&error);
    state = answer != nullptr && answer->code() != 0 ? ClickHouseState::kRefuses
                                                     : ClickHouseState::kUnreachable;
  }
  std::string before;
  {
    MutexLock lock(mutex_);
    before = std::exchange(reason_, reason);
    state_ = state;
    if (!version.empty()) version_ = version;
  }
  if (reason.empty() && !before.empty()) {
    log_({LogLevel::kInfo, "clickhouse_ready", "ClickHouse answers", {{"version", version}}});
  } else if (!reason.empty()) {
    log_({LogLevel::kWarning,
          "clickhouse_not_ready",
          "ClickHouse does not answer; trying again until it does",
          {{"error", reason}}});
  }
}

// Once when it begins, and once when it is over.
void ClickHouseMonitor::check_clock(const std::string& warning) {
  if (warning.empty() == clock_warning_.empty()) return;
  clock_warning_ = warning;
  if (warning.empty()) {
    log_({LogLevel::kInfo, "", "the clocks of this host and of ClickHouse agree again", {}});
  } else {
    log_({LogLevel::kWarning, "", warning, {}});
  }
}

}  // namespace millrace
