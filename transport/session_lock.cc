#include "transport/session_lock.h"

#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_set>
#include <utility>

#include "transport/error.h"
#include "transport/fork_guard.h"

namespace millrace {
namespace {

// Not the annotated Mutex of this folder: only the standard condition variable knows stop tokens.
struct BusySessions final : ForkParticipant {
  std::mutex mutex;
  std::optional<std::condition_variable_any> released{std::in_place};
  std::unordered_set<std::string> ids;
  ForkRegistration registration{*this};

  void before_fork() override { mutex.lock(); }
  void after_fork_in_parent() noexcept override { mutex.unlock(); }
  // Who waits and what is busy are the parent's.
  void after_fork_in_child() noexcept override {
    // Never destroyed: it may have been copied while a thread that is gone was about to wait.
    new (&released) std::optional<std::condition_variable_any>(std::in_place);
    ids.clear();
    mutex.unlock();
  }
};

// Never destroyed: streams may outlive main.
BusySessions& busy_sessions() {
  static auto* const sessions = new BusySessions;
  return *sessions;
}

}  // namespace

SessionLock SessionLock::take(const std::string& session_id, std::chrono::milliseconds wait,
                              const std::stop_token& stop) {
  SessionLock lock;
  if (session_id.empty()) return lock;
  BusySessions& sessions = busy_sessions();
  std::unique_lock guard(sessions.mutex);
  const bool free = sessions.released->wait_for(guard, stop, wait,
                                                [&] { return !sessions.ids.contains(session_id); });
  if (!free) {
    if (stop.stop_requested()) {
      throw AbortedError("stopped while waiting for ClickHouse session " + session_id, false);
    }
    throw SessionBusyError(
        "Attempt to execute concurrent queries within the same session. Please use a separate "
        "client instance per thread/process. (ClickHouse session " +
        session_id +
        " has a query running or a result that was not read to its end. Or set session_policy to "
        "per_query or none, or session_wait.)");
  }
  sessions.ids.insert(session_id);
  lock.id_ = session_id;
  lock.epoch_ = fork_epoch();
  return lock;
}

SessionLock::SessionLock(SessionLock&& other) noexcept
    : id_(std::exchange(other.id_, {})), epoch_(other.epoch_) {}

SessionLock& SessionLock::operator=(SessionLock&& other) noexcept {
  if (this != &other) {
    release();
    id_ = std::exchange(other.id_, {});
    epoch_ = other.epoch_;
  }
  return *this;
}

void SessionLock::release() noexcept {
  if (id_.empty()) return;
  BusySessions& sessions = busy_sessions();
  {
    const std::lock_guard guard(sessions.mutex);
    if (epoch_ == fork_epoch()) sessions.ids.erase(id_);  // else the parent's lock
  }
  sessions.released->notify_all();
  id_.clear();
}

}  // namespace millrace
