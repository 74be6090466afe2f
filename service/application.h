// The process: builds every part in the order in which data flows, runs it, and drains it.
//
//   KafkaReader threads -> BlockQueue -> Worker threads -> HttpSessionPool -> ClickHouse
//        one ByteBudget over all of it            AdminServer and ClickHouseMonitor look on
#pragma once

#include <memory>

#include "service/config.h"
#include "service/log.h"

namespace millrace {

enum class ExitCode {
  kOk = 0,
  kFailure = 1,          // could not start, or a fault in the program
  kBadConfig = 2,        // config or usage; nothing was started
  kDrainIncomplete = 3,  // the grace period ended first; what is not committed is read again
  kStopped = 4,          // a second signal: left at once
};

// run() by one thread; the requests from any other (not from a signal handler).
class Application {
 public:
  // `config` is what `file` says; the logger must outlive it.
  Application(Config config, const ConfigFile& file, Logger& logger);
  ~Application();

  // Until a drain or an abort was requested and carried out.
  ExitCode run();
  // Stop reading, send what was read, commit, leave; within the grace period.
  void request_drain();
  // Reads the configuration again; what can change at once does. See config_reload.h.
  void reload();
  // Leave now. What is not committed will be read again.
  void request_abort();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace millrace
