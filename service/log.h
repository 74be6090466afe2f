// The log: one line an event, on standard error.
//
// Everything that wants to be logged is a LogEvent (pipeline/worker.h); parts of the pipeline get
// sink(). Events with one key are rate-limited: the first is written at once, then at most one each
// 10 s, which says how many were left out. Nobody but log.cc sees the logging library.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "pipeline/worker.h"
#include "service/config.h"
#include "transport/mutex.h"

namespace millrace {

// "debug", "info", "warning", "error"; throws std::invalid_argument for anything else.
LogLevel parse_log_level(std::string_view text);
std::string_view to_string(LogLevel level);

// Which events are written. Pure: the time is an argument. Owned by one thread at a time.
class LogRateLimit {
 public:
  explicit LogRateLimit(std::chrono::seconds interval = std::chrono::seconds(10),
                        std::size_t max_keys = 1'024);

  struct Decision {
    bool write = false;
    std::uint64_t left_out = 0;  // events of this key since the last one written
  };
  // An event without a key is always written. When so many keys are busy at once that no more can
  // be told apart, further ones are limited together.
  Decision decide(const std::string& key, SteadyTime now);
  std::size_t keys() const noexcept { return keys_.size(); }

 private:
  struct Key {
    SteadyTime written;
    std::uint64_t left_out = 0;
  };

  const std::chrono::seconds interval_;
  const std::size_t max_keys_;
  std::map<std::string, Key> keys_;
};

// The line for an event, without the newline. Whatever the event holds it is one line, and valid
// UTF-8; JSON is one object with `time`, `level`, `message` and the fields.
std::string format_text(const LogEvent& event, std::chrono::system_clock::time_point time,
                        std::uint64_t left_out, bool colour);
std::string format_json(const LogEvent& event, std::chrono::system_clock::time_point time,
                        std::uint64_t left_out);

// Thread-safe.
class Logger {
 public:
  explicit Logger(const LogConfig& config);  // to standard error
  // `out` must outlive the logger; `terminal` decides what LogFormat::kAuto means, and colour.
  Logger(const LogConfig& config, std::ostream& out, bool terminal);
  ~Logger();

  void log(const LogEvent& event) { log(event, std::chrono::steady_clock::now()); }
  void log(const LogEvent& event, SteadyTime now);
  void set_level(LogLevel level);  // from the next event on
  LogSink sink() {
    return [this](const LogEvent& event) { log(event); };
  }

 private:
  class Output;
  const bool json_, colour_;  // colour_: to a terminal
  std::atomic<LogLevel> level_;
  Mutex mutex_;
  LogRateLimit limit_ GUARDED_BY(mutex_);
  const std::unique_ptr<Output> output_;
};

}  // namespace millrace
