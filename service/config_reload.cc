#include "service/config_reload.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "service/json_writer.h"

namespace millrace {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string change_list(const std::vector<SettingChange>& changes, bool live) {
  std::string text;
  for (const SettingChange& change : changes) {
    if (change.live != live) continue;
    text +=
        (text.empty() ? "" : "; ") + change.setting + ": " + change.before + " -> " + change.after;
  }
  return text;
}

void write_changes(JsonWriter& json, const char* name, const std::vector<SettingChange>& changes,
                   bool live) {
  json.key(name).begin_array();
  for (const SettingChange& change : changes) {
    if (change.live != live) continue;
    json.begin_object().member("setting", change.setting);
    json.member("before", change.before).member("after", change.after).end_object();
  }
  json.end_array();
}

}  // namespace

std::string to_json(const ReloadResult& result) {
  JsonWriter json;
  json.begin_object();
  if (result.faults.empty()) {
    write_changes(json, "applied", result.changes, true);
    write_changes(json, "needs_restart", result.changes, false);
  } else {
    json.key("errors").begin_array();
    for (const std::string& fault : result.faults) json.value(fault);
    json.end_array();
  }
  return json.end_object().text();
}

ConfigReloader::ConfigReloader(Config config, ConfigFile file, Apply apply, LogSink log,
                               std::chrono::milliseconds secrets_interval)
    : apply_(std::move(apply)),
      log_(std::move(log)),
      secrets_interval_(secrets_interval),
      file_(std::move(file)),
      running_(config),
      wanted_(std::move(config)),
      state_{.last_successful = true, .last_success = std::chrono::system_clock::now()} {}

ConfigReloader::~ConfigReloader() { stop(); }

void ConfigReloader::start() { thread_ = std::thread(&ConfigReloader::run, this); }

void ConfigReloader::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ReloadState ConfigReloader::state() const {
  const MutexLock lock(mutex_);
  return state_;
}

ReloadResult ConfigReloader::reload() {
  ReloadResult result;
  const MutexLock lock(mutex_);
  try {
    ConfigFile fresh = read_config_file(file_.name);
    result.changes = take(parse_config(fresh.text, fresh.name));
    file_ = std::move(fresh);
    state_ = {.last_successful = true, .last_success = std::chrono::system_clock::now()};
    log_changes("configuration read again", result.changes);
  } catch (const std::exception& error) {
    state_.last_successful = false;
    result.faults = lines_of(error.what());
    for (const std::string& fault : result.faults)
      log_({LogLevel::kError, "", "configuration not taken, the old one stays: " + fault, {}});
  }
  return result;
}

// Nothing is changed when it throws.
std::vector<SettingChange> ConfigReloader::take(Config wanted) {
  Config after = with_live_settings(running_, wanted, file_.name);
  std::vector<SettingChange> changes = changes_between(running_, wanted);
  apply_(running_, after);
  running_ = std::move(after);
  wanted_ = std::move(wanted);
  return changes;
}

void ConfigReloader::log_changes(const char* message,
                                 const std::vector<SettingChange>& changes) const {
  LogEvent event{LogLevel::kInfo, "", message, {}};
  const std::string applied = change_list(changes, true);
  const std::string later = change_list(changes, false);
  if (!applied.empty()) event.fields.emplace_back("applied", applied);
  if (!later.empty()) {
    event.level = LogLevel::kWarning;
    event.message += "; some changes need a restart";
    event.fields.emplace_back("needs_restart", later);
  }
  if (changes.empty()) event.message += ": nothing has changed";
  log_(event);
}

void ConfigReloader::run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    const auto next = std::chrono::steady_clock::now() + secrets_interval_;
    while (!stopping_ && wake_.wait_until(mutex_, next)) {
    }
    if (!stopping_) look_at_secrets();
  }
}

// The text is the one that was read last: an edit of the file waits for a reload.
void ConfigReloader::look_at_secrets() {
  if (file_.text.find("${file:") == std::string::npos) return;
  try {
    Config wanted = parse_config(file_.text, file_.name);
    std::vector<SettingChange> changes = changes_between(wanted_, wanted);
    if (changes.empty()) return;
    take(std::move(wanted));
    log_changes("a file that the configuration names has changed", changes);
  } catch (const std::exception& error) {
    log_({LogLevel::kWarning,
          "config_secret",
          "a file that the configuration names can't be used; its last content stays in effect",
          {{"error", error.what()}}});
  }
}

}  // namespace millrace
