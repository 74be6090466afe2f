#include "service/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "service/json_writer.h"
#include "service/terminal.h"

namespace millrace {
namespace {

constexpr char kOverflowKey[] = "";

// RFC 3339 in UTC with milliseconds.
std::string format_time(std::chrono::system_clock::time_point time) {
  const auto since_epoch =
      std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(since_epoch / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(since_epoch % 1000));
  return std::string(date.data()) + fraction.data();
}

// Without anything that could begin a line or steer a terminal.
std::string one_line(std::string_view text) { return escape_for_line(to_valid_utf8(text)); }

// A field's value, in quotes where its end could not be seen.
std::string quoted_if_needed(const std::string& text) {
  if (!text.empty() && text.find_first_of(" =\"\\\n\t") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string_view colour_of(LogLevel level) {
  constexpr std::array<std::string_view, 4> kColours{"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  return kColours.at(static_cast<std::size_t>(level));
}

}  // namespace

std::string_view to_string(LogLevel level) {
  constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};
  return kNames.at(static_cast<std::size_t>(level));
}

LogLevel parse_log_level(std::string_view text) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError})
    if (to_string(level) == text) return level;
  throw std::invalid_argument("log level \"" + std::string(text) +
                              "\" is not one of debug, info, warning, error");
}

LogRateLimit::LogRateLimit(std::chrono::seconds interval, std::size_t max_keys)
    : interval_(interval), max_keys_(max_keys) {}

LogRateLimit::Decision LogRateLimit::decide(const std::string& key, SteadyTime now) {
  if (key.empty()) return {true, 0};
  if (keys_.size() >= max_keys_ && !keys_.contains(key))
    std::erase_if(keys_, [&](const auto& each) { return now - each.second.written >= interval_; });
  const bool distinct = keys_.size() < max_keys_ || keys_.contains(key);
  const auto [entry, is_new] = keys_.try_emplace(distinct ? key : kOverflowKey, Key{now, 0});
  Key& state = entry->second;
  if (is_new) return {true, 0};
  if (now - state.written < interval_) {
    ++state.left_out;
    return {false, 0};
  }
  state.written = now;
  return {true, std::exchange(state.left_out, 0)};
}

std::string format_text(const LogEvent& event, std::chrono::system_clock::time_point time,
                        std::uint64_t left_out, bool colour) {
  std::string level(to_string(event.level));
  level.resize(7, ' ');  // the longest: the messages begin in one column
  if (colour) level = std::string(colour_of(event.level)) + level + "\x1b[0m";
  std::string line = format_time(time) + " " + level + " " + one_line(event.message);
  for (const auto& [name, value] : event.fields)
    line += " " + one_line(name) + "=" + quoted_if_needed(one_line(value));
  if (left_out > 0) line += " repeated=" + std::to_string(left_out);
  return line;
}

std::string format_json(const LogEvent& event, std::chrono::system_clock::time_point time,
                        std::uint64_t left_out) {
  JsonWriter json;
  json.begin_object();
  json.member("time", format_time(time));
  json.member("level", to_string(event.level));
  json.member("message", event.message);
  for (const auto& [name, value] : event.fields) {
    // Twice the same name in one object is read differently by every reader.
    const bool taken = name == "time" || name == "level" || name == "message" || name == "repeated";
    json.member(taken ? "field_" + name : name, value);
  }
  if (left_out > 0) json.member("repeated", left_out);
  json.end_object();
  return json.text();
}

// The library's part: whole lines, written one at a time and flushed.
class Logger::Output {
 public:
  explicit Output(std::ostream& out)
      : logger_("millrace", std::make_shared<spdlog::sinks::ostream_sink_mt>(out, true)) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
  }
  void write(const std::string& line) { logger_.info(spdlog::string_view_t(line)); }

 private:
  spdlog::logger logger_;
};

Logger::Logger(const LogConfig& config)
    : Logger(config, unguarded_stderr(), ::isatty(STDERR_FILENO) == 1) {}

Logger::Logger(const LogConfig& config, std::ostream& out, bool terminal)
    : json_(config.format == LogFormat::kJson || (config.format == LogFormat::kAuto && !terminal)),
      colour_(terminal),
      level_(parse_log_level(config.level)),
      output_(std::make_unique<Output>(out)) {}

Logger::~Logger() = default;

void Logger::log(const LogEvent& event, SteadyTime now) {
  if (event.level < level_.load(std::memory_order_relaxed)) return;
  LogRateLimit::Decision decision;
  {
    MutexLock lock(mutex_);
    decision = limit_.decide(event.key, now);
  }
  if (!decision.write) return;
  const auto time = std::chrono::system_clock::now();
  if (!json_) {
    output_->write(format_text(event, time, decision.left_out, colour_));
    return;
  }
  const std::string line = format_json(event, time, decision.left_out);
  output_->write(colour_ ? escape_for_terminal(line) : line);
}

void Logger::set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

}  // namespace millrace
