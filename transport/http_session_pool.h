// The pool of HTTP sessions (keep-alive connections) that all clients share.
//
// acquire() hands out a lease: an open, checked connection that belongs to one thread until the
// lease is given back. What the pool promises:
// - at most `hard_limit` connections for each endpoint, those being opened included; who
//   comes later waits in the order of arrival, and a connection that comes back goes to the oldest
//   waiter;
// - reuse is last in, first out, so that surplus connections grow old and are closed;
// - a connection is reused only if it is younger than its maximum age, was idle for less than
//   min(idle_timeout, 0.8 x the server's `Keep-Alive: timeout`), has requests left by the server's
//   `max`, and a peek at its socket finds it open and silent;
// - a lease that is not explicitly kept is closed: an exchange that threw, timed out or was
//   not read to its framed end can never be stored;
// - all limits can be changed at run time, and everything is counted;
// - a forked child uses the pool as if it were new: it opens connections of its own and leaves the
//   parent's alone, also when a lease that it inherited is given back there (fork_guard.h).
//
// Coming from ClickHouse Connect's get_pool_manager():
//   maxsize                 store_limit
//   block=True              hard_limit = maxsize, and acquire_timeout bounds the wait
//   block=False             a high hard_limit, see default_pool()
//   num_pools               max_hosts
//   keep_idle, keep_interval, keep_count   tcp_keep_alive, …_interval, …_count
//   verify, ca_cert, client_cert, client_cert_key, server_host_name   tls
//   http_proxy, https_proxy  the same; the environment's: proxy_from_environment
//   max_connection_age      the common setting goes into default_pool_options(); else max_age
// https://clickhouse.com/docs/integrations/language-clients/python/advanced-usage
//
// Facts behind the limits (Poco 1.11, ClickHouse 26.7, measured): README.md of this folder.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "transport/endpoint.h"
#include "transport/tls_options.h"

namespace millrace {

using SteadyTime =
    std::chrono::steady_clock::time_point;  // as in socket.h, which users need not see

struct HttpSessionPoolOptions {
  std::size_t soft_limit = 32;   // open connections per endpoint; above it idle time shrinks to 1/8
  std::size_t hard_limit = 64;   // open connections per endpoint; who comes later waits
  std::size_t store_limit = 32;  // idle connections per endpoint; above it one given back is closed
  std::chrono::milliseconds acquire_timeout{10'000};
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds idle_timeout{60'000};
  // Each connection gets its own, within 10 %; 0 = none.
  std::chrono::milliseconds max_age{600'000};
  std::chrono::seconds tcp_keep_alive{30};             // idle time before the first probe; 0 = off
  std::chrono::seconds tcp_keep_alive_interval{0};     // between probes; 0 = as tcp_keep_alive
  unsigned tcp_keep_alive_count = 3;                   // unanswered probes that end a connection
  std::chrono::milliseconds tcp_user_timeout{30'000};  // 0 = the kernel's own
  // Endpoints remembered: when it is reached, those without open connections are forgotten.
  std::size_t max_hosts = 10;
  TlsOptions tls{};  // of https endpoints
  // For http endpoints, and for https ones; see parse_proxy(). Only one of both may be given.
  std::string http_proxy{}, https_proxy{};
  // Where the option above says nothing: as the environment says, see proxy_from_environment(). It
  // is read when the options are set.
  bool proxy_from_environment = false;

  // Throws UsageError when the options contradict each other (store > hard, 0 …).
  void validate() const;
  // A limit that has its default value gives way to those that were chosen, so that each can be
  // given alone: {.store_limit = 100} raises hard_limit, {.hard_limit = 4} lowers the other two.
  // What a pool is made with.
  HttpSessionPoolOptions with_fitting_limits() const;
};

enum class HttpSessionCloseReason {
  kFailed,       // the exchange threw, timed out, or was not read to its end
  kServerAsked,  // `Connection: close`, or `Keep-Alive: max` used up
  kIdle,         // idle for too long
  kAge,
  kStale,    // the peek before reuse found it closed or talking
  kSurplus,  // above the store limit
  kDrained,  // the pool was drained, aborted, or destroyed
};
inline constexpr std::size_t kHttpSessionCloseReasons = 7;
std::string_view to_string(HttpSessionCloseReason reason);

// A copy of the counters, taken under the lock, summed over all endpoints.
struct HttpSessionPoolStats {
  std::size_t open = 0, leased = 0, idle = 0, waiting = 0;
  std::uint64_t created = 0, reused = 0, connect_failures = 0, acquire_timeouts = 0;
  std::uint64_t waits = 0;  // acquisitions that had to wait
  double wait_seconds = 0;  // their time in sum
  std::size_t hosts = 0;    // endpoints remembered
  std::array<std::uint64_t, kHttpSessionCloseReasons> closed{};
  // Where TLS is spoken: when our certificate ends, and the first to end of those that the
  // endpoints showed when a connection was last opened.
  std::optional<CertificateEnd> client_certificate_end{}, server_certificate_end{};
};

class HttpSession;  // http_session.h: Poco ends there
class HttpSessionPoolState;

// Owned by one thread. Move-only. Closes the connection when destroyed, unless keep() was called.
class HttpSessionLease {
 public:
  HttpSessionLease(HttpSessionLease&&) noexcept;
  HttpSessionLease& operator=(HttpSessionLease&&) noexcept;
  ~HttpSessionLease();

  HttpSession& session() { return *session_; }
  bool reused() const noexcept { return reused_; }
  // The exchange ended well and the server keeps the connection: store it.
  void keep() &&;
  void close(HttpSessionCloseReason reason) &&;

 private:
  friend class HttpSessionPool;
  HttpSessionLease(std::shared_ptr<HttpSessionPoolState>, std::unique_ptr<HttpSession>,
                   bool reused);
  std::shared_ptr<HttpSessionPoolState> pool_;
  std::unique_ptr<HttpSession> session_;
  bool reused_;
};

// Thread-safe.
class HttpSessionPool {
 public:
  // `clock` tells age and idle time; a test may bring its own. Must be thread-safe.
  // Throws UsageError as validate() does, and UsageError for TLS files that can't be
  // used.
  explicit HttpSessionPool(HttpSessionPoolOptions options = {},
                           std::function<SteadyTime()> clock = std::chrono::steady_clock::now);
  ~HttpSessionPool();  // closes idle connections; leased ones close when given back
  HttpSessionPool(const HttpSessionPool&) = delete;
  HttpSessionPool& operator=(const HttpSessionPool&) = delete;

  // Waits for a free place until `deadline` or the acquire time-out, whichever is first.
  // Throws PoolTimeoutError, NetworkError (kConnect), AbortedError; UsageError when the system's
  // certificates or the environment's proxy can't be used.
  // `fresh`: never a reused connection (the retry after a stale one).
  // `stop`: a request ends waiting, name look-up, connecting and handshake with AbortedError.
  HttpSessionLease acquire(const Endpoint& endpoint, SteadyTime deadline, bool fresh = false,
                           const std::stop_token& stop = {});

  // Takes effect from the next acquire on. With other TLS or proxy options than before, it closes
  // connections as close_connections() does. Throws as the constructor.
  void set_options(HttpSessionPoolOptions options);
  HttpSessionPoolOptions options() const;
  HttpSessionPoolStats stats() const;

  // Closes idle connections now and leased ones when they come back; new ones may be opened.
  void close_connections();
  // Ends everything at once, for good: shuts every socket down, so that threads blocked in send,
  // receive, connect or acquire return with AbortedError within milliseconds.
  void abort();
  bool aborted() const;

 private:
  std::shared_ptr<HttpSessionPoolState> state_;
};

// What default_pool() is made with: up to 8 idle connections per endpoint, no waiting, the
// environment's proxies, and the common setting max_connection_age. Later:
// default_pool()->set_options().
HttpSessionPoolOptions default_pool_options();

// The pool that is shared by whoever brings none: one in a process, made at the first call, and
// another one in a forked child. Thread-safe.
std::shared_ptr<HttpSessionPool> default_pool();

}  // namespace millrace
