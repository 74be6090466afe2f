#include "transport/http_session_pool_state.h"

#include <algorithm>
#include <ratio>
#include <utility>

#include "transport/error.h"
#include "transport/proxy.h"

namespace millrace {
namespace {

// Of the idle time that the server announces: the rest is for the way and for clocks.
using ServerIdleShare = std::ratio<4, 5>;
constexpr int kSoftLimitIdleDivisor = 8;

std::string key_of(const Endpoint& endpoint) {
  return (endpoint.secure ? "https://" : "http://") + endpoint.authority();
}

bool same_route(const HttpSessionPoolOptions& a, const HttpSessionPoolOptions& b) {
  return a.tls == b.tls && a.http_proxy == b.http_proxy && a.https_proxy == b.https_proxy &&
         a.proxy_from_environment == b.proxy_from_environment;
}

}  // namespace

HttpSessionPoolState::HttpSessionPoolState(HttpSessionPoolOptions options,
                                           std::function<SteadyTime()> clock)
    : clock_(std::move(clock)), options_(std::move(options)), making_(prepare(options_)) {}

// Files are read here, so that a mistake shows at once; the system's certificates, where there is
// little to mistake, when they are needed.
HttpSessionPoolState::Making HttpSessionPoolState::prepare(const HttpSessionPoolOptions& options) {
  Making making;
  if (options.tls.names_files()) making.tls = std::make_shared<TlsContext>(options.tls);
  if (options.proxy_from_environment) {
    for (const char* const name :
         {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}) {
      making.environment[name] = process_environment(name);
    }
  }
  return making;
}

void HttpSessionPoolState::before_fork() {
  mutex_.lock();
  sockets_->before_fork();
}

void HttpSessionPoolState::after_fork_in_parent() noexcept {
  sockets_->after_fork_in_parent();
  mutex_.unlock();
}

// The other threads are gone, and so are who waits and what was being opened.
void HttpSessionPoolState::after_fork_in_child() noexcept {
  sockets_->after_fork_in_child();
  std::unordered_map<std::string, Host> inherited;
  inherited.swap(hosts_);
  counters_ = {};
  mutex_.unlock();
}

HttpSessionPoolState::Place HttpSessionPoolState::acquire(const Endpoint& endpoint,
                                                          SteadyTime deadline, bool fresh,
                                                          const std::stop_token& stop) {
  Closing closing;
  std::optional<Waiter> waiter;
  // Outside the lock, which its own call takes.
  const std::stop_callback on_stop(stop, [&] {
    MutexLock lock(mutex_);
    if (waiter) waiter->changed.notify_one();
  });
  std::uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    check_running(stop);
    Host& host = host_of(key_of(endpoint), closing);
    close_expired(host, clock_(), closing);
    if (host.waiters.empty() && !fresh) {
      if (auto session = take_idle(host, closing)) {
        ++counters_.reused;
        return {std::move(session), true};
      }
    }
    if (fresh && host.open >= options_.hard_limit && !host.idle.empty()) {
      auto oldest = std::move(host.idle.front());
      host.idle.pop_front();
      close_later(host, std::move(oldest), Reason::kSurplus, closing);
    }
    if (host.waiters.empty() && host.open < options_.hard_limit) {
      ++host.open;
    } else {
      const auto started = std::chrono::steady_clock::now();
      waiter.emplace(fresh);
      if (!wait(*waiter, host, std::min(deadline, started + options_.acquire_timeout), stop)) {
        check_running(stop);
        throw PoolTimeoutError(timeout_text(endpoint, host, started));
      }
      if (waiter->session) {
        ++counters_.reused;
        return {std::move(waiter->session), true};
      }
    }
    generation = generation_;
  }
  closing.clear();
  return {open(endpoint, deadline, generation, stop), false};
}

void HttpSessionPoolState::check_running(const std::stop_token& stop) const {
  if (aborted()) throw AbortedError("the HTTP session pool was aborted", false);
  if (stop.stop_requested()) throw AbortedError("stopped while waiting for a session", false);
}

HttpSessionPoolState::Host& HttpSessionPoolState::host_of(const std::string& key,
                                                          Closing& closing) {
  auto found = hosts_.find(key);
  if (found == hosts_.end()) {
    if (hosts_.size() >= options_.max_hosts) forget_unused_hosts(closing);
    found = hosts_.try_emplace(key).first;
  }
  return found->second;
}

void HttpSessionPoolState::forget_unused_hosts(Closing& closing) {
  for (auto& [key, host] : hosts_) close_expired(host, clock_(), closing);
  std::erase_if(hosts_, [](const auto& entry) {
    return entry.second.open == 0 && entry.second.waiters.empty();
  });
}

std::unique_ptr<HttpSession> HttpSessionPoolState::open(const Endpoint& endpoint,
                                                        SteadyTime deadline,
                                                        std::uint64_t generation,
                                                        const std::stop_token& stop) {
  const std::string key = key_of(endpoint);
  try {
    const HttpSessionPoolOptions limits = options();
    const auto until =
        std::min(deadline, std::chrono::steady_clock::now() + limits.connect_timeout);
    auto session = connect_session(endpoint, connect_options(endpoint), until, sockets_, stop);
    session->endpoint_key = key;
    session->generation = generation;
    session->fork_epoch = fork_epoch();
    MutexLock lock(mutex_);
    ++counters_.created;
    hosts_[key].certificate_end = session->server_certificate_end;
    if (limits.max_age.count() > 0) {
      // Jitter, so that connections opened together are not closed together.
      std::uniform_real_distribution<double> jitter(0.9, 1.1);
      session->expires_at = clock_() + std::chrono::duration_cast<SteadyTime::duration>(
                                           limits.max_age * jitter(random_));
    }
    return session;
  } catch (const NetworkError&) {
    give_up_place(key, true);
    throw;
  } catch (...) {
    give_up_place(key, false);
    throw;
  }
}

ConnectOptions HttpSessionPoolState::connect_options(const Endpoint& endpoint) {
  ConnectOptions result;
  if (endpoint.secure) result.tls = tls_context();
  MutexLock lock(mutex_);
  const auto interval = options_.tcp_keep_alive_interval;
  result.dial = {options_.tcp_keep_alive, interval.count() > 0 ? interval : options_.tcp_keep_alive,
                 options_.tcp_keep_alive_count, options_.tcp_user_timeout};
  const std::string& proxy = endpoint.secure ? options_.https_proxy : options_.http_proxy;
  if (!proxy.empty()) {
    result.proxy = parse_proxy(proxy);
  } else if (options_.proxy_from_environment) {
    const auto& environment = making_.environment;
    result.proxy = proxy_from_environment(endpoint, [&](const std::string& name) {
      const auto found = environment.find(name);
      return found == environment.end() ? std::string() : found->second;
    });
  }
  return result;
}

std::shared_ptr<const TlsContext> HttpSessionPoolState::tls_context() {
  TlsOptions wanted;
  {
    MutexLock lock(mutex_);
    if (making_.tls) return making_.tls;
    wanted = options_.tls;
  }
  auto made = std::make_shared<const TlsContext>(wanted);
  MutexLock lock(mutex_);
  if (!making_.tls && options_.tls == wanted) making_.tls = made;
  return made;
}

void HttpSessionPoolState::give_up_place(const std::string& key, bool connect_failed) {
  MutexLock lock(mutex_);
  Host& host = hosts_[key];
  --host.open;
  if (connect_failed) ++counters_.connect_failures;
  grant_free_places(host);
}

void HttpSessionPoolState::give_back(std::unique_ptr<HttpSession> session,
                                     std::optional<HttpSessionCloseReason> why) {
  if (session->fork_epoch != fork_epoch()) return;  // the parent's, and counted there
  Closing closing;
  MutexLock lock(mutex_);
  Host& host = hosts_[session->endpoint_key];
  const SteadyTime now = clock_();
  session->idle_since = now;
  if (!why) why = reason_to_close(*session, host, now);
  if (!why) {
    const bool wanted = !host.waiters.empty() && !host.waiters.front()->fresh;
    const bool room = host.waiters.empty() && host.idle.size() < options_.store_limit;
    if (host.open > options_.hard_limit || !(wanted || room)) why = Reason::kSurplus;
  }
  if (why) {
    close_later(host, std::move(session), *why, closing);
    grant_free_places(host);
  } else if (!host.waiters.empty()) {
    Waiter* const waiter = host.waiters.front();
    host.waiters.pop_front();
    waiter->session = std::move(session);
    waiter->granted = true;
    waiter->changed.notify_one();
  } else {
    host.idle.push_back(std::move(session));
  }
  close_expired(host, now, closing);
}

std::unique_ptr<HttpSession> HttpSessionPoolState::take_idle(Host& host, Closing& closing) {
  while (!host.idle.empty()) {
    auto session = std::move(host.idle.back());
    host.idle.pop_back();
    if (session->silent()) return session;
    close_later(host, std::move(session), Reason::kStale, closing);
  }
  return nullptr;
}

bool HttpSessionPoolState::wait(Waiter& waiter, Host& host, SteadyTime until,
                                const std::stop_token& stop) {
  const auto started = std::chrono::steady_clock::now();
  ++counters_.waits;
  host.waiters.push_back(&waiter);
  bool in_time = true;
  const auto ended = [&] { return sockets_->aborted() || stop.stop_requested(); };
  while (!waiter.granted && !ended() && in_time) {
    in_time = waiter.changed.wait_until(mutex_, until);
  }
  counters_.wait_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (waiter.granted) return true;
  std::erase(host.waiters, &waiter);
  if (!ended()) ++counters_.acquire_timeouts;
  return false;
}

void HttpSessionPoolState::grant_free_places(Host& host) {
  while (!host.waiters.empty() && host.open < options_.hard_limit) {
    Waiter* const waiter = host.waiters.front();
    host.waiters.pop_front();
    ++host.open;
    waiter->granted = true;
    waiter->changed.notify_one();
  }
}

void HttpSessionPoolState::close_later(Host& host, std::unique_ptr<HttpSession> session, Reason why,
                                       Closing& closing) {
  --host.open;
  ++counters_.closed[static_cast<std::size_t>(why)];
  closing.push_back(std::move(session));
}

void HttpSessionPoolState::close_expired(Host& host, SteadyTime now, Closing& closing) {
  // One after the other, for each one closed changes the soft limit's verdict on the next.
  for (auto it = host.idle.begin(); it != host.idle.end();) {
    if (const auto why = reason_to_close(**it, host, now)) {
      close_later(host, std::move(*it), *why, closing);
      it = host.idle.erase(it);
    } else {
      ++it;
    }
  }
}

void HttpSessionPoolState::close_all_idle(Closing& closing) {
  for (auto& [key, host] : hosts_) {
    for (auto& session : host.idle) {
      close_later(host, std::move(session), Reason::kDrained, closing);
    }
    host.idle.clear();
  }
}

std::optional<HttpSessionCloseReason> HttpSessionPoolState::reason_to_close(
    const HttpSession& session, const Host& host, SteadyTime now) const {
  if (retired_ || session.generation != generation_ || sockets_->aborted()) {
    return Reason::kDrained;
  }
  if (session.was_shut_down()) return Reason::kFailed;
  if (session.server_requests_left == 0u) return Reason::kServerAsked;
  if (now >= session.expires_at) return Reason::kAge;
  SteadyTime::duration limit = options_.idle_timeout;
  if (session.server_idle_timeout) {
    const SteadyTime::duration announced = *session.server_idle_timeout;
    limit = std::min(limit, announced * ServerIdleShare::num / ServerIdleShare::den);
  }
  if (host.open > options_.soft_limit) limit /= kSoftLimitIdleDivisor;
  if (now - session.idle_since >= limit) return Reason::kIdle;
  return std::nullopt;
}

std::string HttpSessionPoolState::timeout_text(const Endpoint& endpoint, const Host& host,
                                               SteadyTime started) const {
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started);
  return "no HTTP session to " + endpoint.to_string() + " became free within " +
         std::to_string(waited.count()) + " ms: all " + std::to_string(host.open) +
         " are in use, " + std::to_string(host.waiters.size()) +
         " others wait; raise the pool's hard_limit or acquire_timeout, or lower the number of "
         "workers";
}

void HttpSessionPoolState::set_options(HttpSessionPoolOptions options) {
  Making making = prepare(options);
  Closing closing;
  MutexLock lock(mutex_);
  if (!same_route(options_, options)) {
    ++generation_;
    close_all_idle(closing);
  }
  options_ = std::move(options);
  making_ = std::move(making);
  for (auto& [key, host] : hosts_) {
    while (host.idle.size() > options_.store_limit ||
           (host.open > options_.hard_limit && !host.idle.empty())) {
      close_later(host, std::move(host.idle.front()), Reason::kSurplus, closing);
      host.idle.pop_front();
    }
    grant_free_places(host);
  }
}

HttpSessionPoolOptions HttpSessionPoolState::options() const {
  MutexLock lock(mutex_);
  return options_;
}

HttpSessionPoolStats HttpSessionPoolState::stats() {
  Closing closing;
  MutexLock lock(mutex_);
  const SteadyTime now = clock_();
  for (auto& [key, host] : hosts_) close_expired(host, now, closing);
  HttpSessionPoolStats result = counters_;
  result.hosts = hosts_.size();
  for (const auto& [key, host] : hosts_) {
    result.open += host.open;
    result.idle += host.idle.size();
    result.waiting += host.waiters.size();
    const auto& end = host.certificate_end;
    auto& first = result.server_certificate_end;
    if (end && (!first || *end < *first)) first = end;
  }
  if (making_.tls) result.client_certificate_end = making_.tls->client_certificate_end();
  result.leased = result.open - result.idle;
  return result;
}

void HttpSessionPoolState::close_connections() {
  Closing closing;
  MutexLock lock(mutex_);
  ++generation_;
  close_all_idle(closing);
}

void HttpSessionPoolState::retire() {
  Closing closing;
  MutexLock lock(mutex_);
  retired_ = true;
  close_all_idle(closing);
}

void HttpSessionPoolState::abort() {
  Closing closing;
  sockets_->abort();
  MutexLock lock(mutex_);
  close_all_idle(closing);
  for (auto& [key, host] : hosts_) {
    for (Waiter* const waiter : host.waiters) waiter->changed.notify_one();
  }
}

}  // namespace millrace
