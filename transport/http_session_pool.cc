#include "transport/http_session_pool.h"

#include <algorithm>
#include <utility>

#include "transport/common_settings.h"
#include "transport/error.h"
#include "transport/fork_guard.h"
#include "transport/http_session_pool_state.h"
#include "transport/mutex.h"
#include "transport/proxy.h"

namespace millrace {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw UsageError("HTTP session pool: " + what);
}

}  // namespace

HttpSessionPoolOptions HttpSessionPoolOptions::with_fitting_limits() const {
  const HttpSessionPoolOptions defaults;
  HttpSessionPoolOptions fitting = *this;
  if (hard_limit == defaults.hard_limit) {
    fitting.hard_limit = std::max({hard_limit, soft_limit, store_limit});
  }
  if (soft_limit == defaults.soft_limit) {
    fitting.soft_limit = std::min(soft_limit, fitting.hard_limit);
  }
  if (store_limit == defaults.store_limit) {
    fitting.store_limit = std::min(store_limit, fitting.hard_limit);
  }
  return fitting;
}

void HttpSessionPoolOptions::validate() const {
  require(hard_limit >= 1, "hard_limit must be at least 1");
  require(soft_limit <= hard_limit, "soft_limit must not exceed hard_limit");
  require(store_limit <= hard_limit, "store_limit must not exceed hard_limit");
  require(acquire_timeout.count() > 0, "acquire_timeout must be greater than 0");
  require(connect_timeout.count() > 0, "connect_timeout must be greater than 0");
  require(idle_timeout.count() > 0, "idle_timeout must be greater than 0");
  require(max_age.count() >= 0, "max_age must not be negative");
  require(tcp_keep_alive.count() >= 0, "tcp_keep_alive must not be negative");
  require(tcp_keep_alive_interval.count() >= 0, "tcp_keep_alive_interval must not be negative");
  require(tcp_keep_alive_count >= 1, "tcp_keep_alive_count must be at least 1");
  require(tcp_user_timeout.count() >= 0, "tcp_user_timeout must not be negative");
  require(max_hosts >= 1, "max_hosts must be at least 1");
  require(http_proxy.empty() || https_proxy.empty(),
          "only one of http_proxy and https_proxy may be given");
  if (!http_proxy.empty()) parse_proxy(http_proxy);
  if (!https_proxy.empty()) parse_proxy(https_proxy);
}

std::string_view to_string(HttpSessionCloseReason reason) {
  switch (reason) {
    case HttpSessionCloseReason::kFailed:
      return "failed";
    case HttpSessionCloseReason::kServerAsked:
      return "server_asked";
    case HttpSessionCloseReason::kIdle:
      return "idle";
    case HttpSessionCloseReason::kAge:
      return "age";
    case HttpSessionCloseReason::kStale:
      return "stale";
    case HttpSessionCloseReason::kSurplus:
      return "surplus";
    case HttpSessionCloseReason::kDrained:
      return "drained";
  }
  return "?";
}

HttpSessionLease::HttpSessionLease(std::shared_ptr<HttpSessionPoolState> pool,
                                   std::unique_ptr<HttpSession> session, bool reused)
    : pool_(std::move(pool)), session_(std::move(session)), reused_(reused) {}

HttpSessionLease::HttpSessionLease(HttpSessionLease&&) noexcept = default;

HttpSessionLease& HttpSessionLease::operator=(HttpSessionLease&& other) noexcept {
  if (this != &other) {
    if (session_) pool_->give_back(std::move(session_), HttpSessionCloseReason::kFailed);
    pool_ = std::move(other.pool_);
    session_ = std::move(other.session_);
    reused_ = other.reused_;
  }
  return *this;
}

HttpSessionLease::~HttpSessionLease() {
  if (session_) pool_->give_back(std::move(session_), HttpSessionCloseReason::kFailed);
}

void HttpSessionLease::keep() && { pool_->give_back(std::move(session_), std::nullopt); }

void HttpSessionLease::close(HttpSessionCloseReason reason) && {
  pool_->give_back(std::move(session_), reason);
}

HttpSessionPool::HttpSessionPool(HttpSessionPoolOptions options,
                                 std::function<SteadyTime()> clock) {
  options = options.with_fitting_limits();
  options.validate();
  state_ = std::make_shared<HttpSessionPoolState>(std::move(options), std::move(clock));
}

HttpSessionPool::~HttpSessionPool() { state_->retire(); }

HttpSessionLease HttpSessionPool::acquire(const Endpoint& endpoint, SteadyTime deadline, bool fresh,
                                          const std::stop_token& stop) {
  auto place = state_->acquire(endpoint, deadline, fresh, stop);
  return {state_, std::move(place.session), place.reused};
}

void HttpSessionPool::set_options(HttpSessionPoolOptions options) {
  options = options.with_fitting_limits();
  options.validate();
  state_->set_options(std::move(options));
}

HttpSessionPoolOptions HttpSessionPool::options() const { return state_->options(); }
HttpSessionPoolStats HttpSessionPool::stats() const { return state_->stats(); }
void HttpSessionPool::close_connections() { state_->close_connections(); }
void HttpSessionPool::abort() { state_->abort(); }
bool HttpSessionPool::aborted() const { return state_->aborted(); }

HttpSessionPoolOptions default_pool_options() {
  HttpSessionPoolOptions options;
  options.store_limit = 8;
  options.hard_limit = options.soft_limit = 10'000;
  options.proxy_from_environment = true;
  options.max_age =
      std::chrono::seconds(std::get<std::int64_t>(common::get_setting("max_connection_age")));
  return options;
}

std::shared_ptr<HttpSessionPool> default_pool() {
  struct Slot {
    Mutex mutex;
    std::shared_ptr<HttpSessionPool> pool GUARDED_BY(mutex);
    std::uint64_t epoch GUARDED_BY(mutex) = 0;
  };
  static Slot& slot = *new Slot;  // never destroyed: others may still have clients at exit
  {
    BriefLock lock(slot.mutex);
    if (slot.pool && slot.epoch == fork_epoch()) return slot.pool;
  }
  // Made and destroyed outside the lock: pools register for fork().
  auto made = std::make_shared<HttpSessionPool>(default_pool_options());
  BriefLock lock(slot.mutex);
  if (!slot.pool || slot.epoch != fork_epoch()) {
    std::swap(slot.pool, made);
    slot.epoch = fork_epoch();
  }
  return slot.pool;
}

}  // namespace millrace
