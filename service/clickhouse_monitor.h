// Asks ClickHouse every few seconds whether it answers, for /readyz and the log.
//
// Readiness must not depend on data flowing: a quiet topic says nothing about ClickHouse. The
// question is `SELECT version()` with the configured user and database, so that a wrong password
// shows, too. It never stops anything: workers find out for themselves and retry. The answer also
// has the server's time, which plans are given; a clock that is wrong is said in the log.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "pipeline/server_clock.h"
#include "pipeline/stats.h"
#include "pipeline/worker.h"  // LogSink
#include "transport/client.h"
#include "transport/mutex.h"

namespace millrace {

enum class ClickHouseState { kAnswers, kRefuses, kUnreachable };  // kRefuses: us, with a code

// start() and stop() by one thread; the rest thread-safe.
class ClickHouseMonitor {
 public:
  // `endpoints` and `pool` must outlive it. Tells `clock` what time it is there.
  ClickHouseMonitor(ClientOptions options, EndpointList& endpoints, HttpSessionPool& pool,
                    std::shared_ptr<ServerClock> clock, LogSink log);
  ~ClickHouseMonitor();  // stop()

  void start();
  void stop();
  // Empty while ClickHouse answers; else what it said last.
  std::string not_ready_reason() const;
  ClickHouseState state() const;
  std::string server_version() const;  // empty before the first answer
  const Gauge& queries_in_flight() const noexcept { return queries_in_flight_; }

 private:
  void run();
  void ask();
  void check_clock(const std::string& warning);
  bool wait_for_next();  // false: stop

  Client client_;
  const std::shared_ptr<ServerClock> clock_;
  const LogSink log_;
  Gauge queries_in_flight_;
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::string reason_ GUARDED_BY(mutex_) = "ClickHouse: not asked yet";
  ClickHouseState state_ GUARDED_BY(mutex_) = ClickHouseState::kUnreachable;
  std::string version_ GUARDED_BY(mutex_);
  std::string clock_warning_;  // the last one; of the thread
  std::thread thread_;
};

}  // namespace millrace
