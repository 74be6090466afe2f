// What a supervisor that starts us (systemd with Type=notify) is told: sd_notify's protocol, a
// datagram of lines to the socket that NOTIFY_SOCKET names. Without that variable nothing happens.
// https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "transport/mutex.h"

namespace millrace {

// Thread-safe, but for start_watchdog() and stop(): by one thread. Never throws for a supervisor
// that is not there.
class Supervisor {
 public:
  // `socket`: a path, or @name of an abstract one; empty: nobody is told. `watchdog`: how often a
  // sign of life is wanted; 0: never.
  Supervisor(std::string socket, std::chrono::microseconds watchdog);
  ~Supervisor();  // stop()
  // As the environment says: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  static Supervisor from_environment();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  void ready() const { send("READY=1"); }
  void reloading() const;  // ready() follows
  void stopping() const { send("STOPPING=1"); }
  // Tells twice in each interval that we live, as long as `alive` says so; it is called on a thread
  // of its own, until stop().
  void start_watchdog(std::function<bool()> alive);
  void stop();

 private:
  void send(const std::string& lines) const;
  void run(const std::function<bool()>& alive);

  const std::string socket_;
  const std::chrono::microseconds watchdog_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace
