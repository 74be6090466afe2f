// The inside of HttpSessionPool: what pool and leases share. Included by http_session_pool.cc and
// its own .cc only. Lives until the last lease is given back. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/endpoint.h"
#include "transport/fork_guard.h"
#include "transport/http_connect.h"
#include "transport/http_session.h"
#include "transport/http_session_pool.h"
#include "transport/mutex.h"
#include "transport/tls.h"

namespace millrace {

// Sessions are closed outside the lock: they are moved into a `Closing` that is declared before it.
class HttpSessionPoolState final : private ForkParticipant {
 public:
  // `options` are validated.
  HttpSessionPoolState(HttpSessionPoolOptions options, std::function<SteadyTime()> clock);

  struct Place {
    std::unique_ptr<HttpSession> session;
    bool reused;
  };
  Place acquire(const Endpoint& endpoint, SteadyTime deadline, bool fresh,
                const std::stop_token& stop);
  void give_back(std::unique_ptr<HttpSession> session, std::optional<HttpSessionCloseReason> why);

  void set_options(HttpSessionPoolOptions options);
  HttpSessionPoolOptions options() const;
  HttpSessionPoolStats stats();
  void close_connections();
  void retire();  // no session is stored any more
  void abort();
  bool aborted() const { return sockets_->aborted(); }

 private:
  using Reason = HttpSessionCloseReason;
  using Closing = std::vector<std::unique_ptr<HttpSession>>;

  // Somebody waiting for a place; lives on the waiting thread's stack. Guarded by the mutex.
  struct Waiter {
    explicit Waiter(bool wants_fresh) : fresh(wants_fresh) {}
    const bool fresh;
    bool granted = false;                  // a session, or the right to open one
    std::unique_ptr<HttpSession> session;  // null: open one
    CondVar changed;
  };

  // The connections to one endpoint. Guarded by the mutex.
  struct Host {
    std::deque<std::unique_ptr<HttpSession>> idle;  // the last used at the back
    std::deque<Waiter*> waiters;                    // the oldest in front
    std::size_t open = 0;                           // idle, leased, and being opened
    std::optional<CertificateEnd> certificate_end;  // as the last handshake had it
  };

  // What new connections are made with.
  struct Making {
    std::shared_ptr<const TlsContext> tls;           // null: not needed so far
    std::map<std::string, std::string> environment;  // the variables about proxies
  };
  static Making prepare(const HttpSessionPoolOptions& options);

  void before_fork() override ACROSS_FORK;
  void after_fork_in_parent() noexcept override ACROSS_FORK;
  void after_fork_in_child() noexcept override ACROSS_FORK;

  // Outside the lock.
  std::unique_ptr<HttpSession> open(const Endpoint& endpoint, SteadyTime deadline,
                                    std::uint64_t generation, const std::stop_token& stop);
  ConnectOptions connect_options(const Endpoint& endpoint);
  std::shared_ptr<const TlsContext> tls_context();
  void give_up_place(const std::string& key, bool connect_failed);

  Host& host_of(const std::string& key, Closing& closing) REQUIRES(mutex_);
  void forget_unused_hosts(Closing& closing) REQUIRES(mutex_);
  std::unique_ptr<HttpSession> take_idle(Host& host, Closing& closing) REQUIRES(mutex_);
  bool wait(Waiter& waiter, Host& host, SteadyTime until, const std::stop_token& stop)
      REQUIRES(mutex_);
  void grant_free_places(Host& host) REQUIRES(mutex_);
  void close_later(Host& host, std::unique_ptr<HttpSession> session, Reason why, Closing& closing)
      REQUIRES(mutex_);
  void close_expired(Host& host, SteadyTime now, Closing& closing) REQUIRES(mutex_);
  void close_all_idle(Closing& closing) REQUIRES(mutex_);
  std::optional<Reason> reason_to_close(const HttpSession& session, const Host& host,
                                        SteadyTime now) const REQUIRES(mutex_);
  void check_running(const std::stop_token& stop) const;
  std::string timeout_text(const Endpoint& endpoint, const Host& host, SteadyTime started) const
      REQUIRES(mutex_);

  const std::function<SteadyTime()> clock_;  // for ages; waits are on the real one
  const std::shared_ptr<SocketRegistry> sockets_ = std::make_shared<SocketRegistry>();
  mutable Mutex mutex_;
  HttpSessionPoolOptions options_ GUARDED_BY(mutex_);
  Making making_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Host> hosts_ GUARDED_BY(mutex_);  // by scheme://host:port
  std::minstd_rand random_ GUARDED_BY(mutex_){std::random_device{}()};
  std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
  bool retired_ GUARDED_BY(mutex_) = false;
  HttpSessionPoolStats counters_ GUARDED_BY(mutex_);  // the gauges in it are filled by stats()
  ForkRegistration fork_registration_{*this};         // last: takes part when all else is there
};

}  // namespace millrace
