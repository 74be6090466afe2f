// The configuration in effect, and how it is replaced while the process runs.
//
//   SIGHUP, POST /reload   the file is read again; what can change at once does, the rest is named
//   by itself              `${file:…}` of the file as it was last read are read again every few
//                          seconds, so that a rotated secret is taken without anybody's doing. The
//                          content is compared, not the time of a file: that also sees a volume of
//                          Kubernetes, where a symbolic link is swapped.
//
// A file with a fault changes nothing at all.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/worker_events.h"  // LogSink
#include "service/config.h"
#include "service/config_diff.h"
#include "transport/mutex.h"

namespace millrace {

struct ReloadResult {
  std::vector<SettingChange> changes;
  std::vector<std::string> faults;  // not empty: the old configuration stays in effect
};
// {"applied":[…],"needs_restart":[…]}, or {"errors":[…]}.
std::string to_json(const ReloadResult& result);

// Of the file; at the start it was read well.
struct ReloadState {
  bool last_successful = true;
  std::chrono::system_clock::time_point last_success{};
};

// Thread-safe, but for start() and stop(): by one thread.
class ConfigReloader {
 public:
  // Puts the difference into effect; called by one thread at a time, with both checked.
  using Apply = std::function<void(const Config& before, const Config& after)>;

  // `config` is what `file` says.
  ConfigReloader(Config config, ConfigFile file, Apply apply, LogSink log,
                 std::chrono::milliseconds secrets_interval = std::chrono::seconds(5));
  ~ConfigReloader();  // stop()

  void start();  // looks after secrets from now on
  void stop();
  ReloadResult reload();
  ReloadState state() const;

 private:
  void run();
  void look_at_secrets() REQUIRES(mutex_);
  std::vector<SettingChange> take(Config wanted) REQUIRES(mutex_);
  void log_changes(const char* message, const std::vector<SettingChange>& changes) const;

  const Apply apply_;
  const LogSink log_;
  const std::chrono::milliseconds secrets_interval_;
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  ConfigFile file_ GUARDED_BY(mutex_);
  Config running_ GUARDED_BY(mutex_);  // in effect
  Config wanted_ GUARDED_BY(mutex_);   // what the file and its secrets said last
  ReloadState state_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace millrace
