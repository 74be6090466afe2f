// The admin port: /metrics, /livez, /readyz, /status and the page that shows it, over HTTP/1.1.
//
// Meant for a scraper, an orchestrator's probes and people. GET changes nothing and is open to
// everybody who reaches the port by an address or a name that is ours (admin_http.h), but for
// /status and the page where `admin.protect_reads` wants the token. POST changes something, see
// admin_actions.h. What clients may cost, and that none keeps a probe waiting, is the business of
// admin_connections.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "service/admin_actions.h"
#include "service/config.h"

namespace millrace {

// kOpen: needs no token, whatever `admin.protect_reads` says: probes, and the metrics, which hold
// names and numbers but no words of messages or servers.
enum class AdminAccess { kOpen, kProtected };

// Called on the server's threads, several at a time; what they throw becomes a 500. The probes'
// (live_faults, ready_reasons, waiting) must take no time.
struct AdminHandlers {
  std::function<std::string()> metrics;                         // text format of Prometheus
  std::function<std::string()> status;                          // JSON
  std::function<std::vector<std::string>()> live_faults;        // empty: alive
  std::function<std::vector<std::string>()> ready_reasons;      // why it is not ready; empty: ready
  std::function<std::vector<std::string>()> waiting = nullptr;  // ready, but for an operator
  AdminActions actions{};
};

// Thread-safe.
class AdminServer {
 public:
  AdminServer(AdminConfig config, const AdminHandlers& handlers,
              std::chrono::milliseconds timeout = std::chrono::seconds(5));
  ~AdminServer();  // stop()
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Throws std::runtime_error that names the setting when the address can't be listened on. Once.
  void start();
  // Closes the port and all connections; returns when the last handler has. Any number of times.
  void stop();
  std::uint16_t port() const;  // the real one, when 0 was asked for; 0 before start()

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
