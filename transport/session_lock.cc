#include "transport/session_lock.h"

#include <condition_variable>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "transport/error.h"

namespace millrace {
namespace {

// Not the annotated Mutex of this folder: only the standard condition variable knows stop tokens.
struct BusySessions {
  std::mutex mutex;
  std::condition_variable_any released;
  std::unordered_set<std::string> ids;
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
  const bool free = sessions.released.wait_for(guard, stop, wait,
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
  return lock;
}

SessionLock::SessionLock(SessionLock&& other) noexcept : id_(std::exchange(other.id_, {})) {}

SessionLock& SessionLock::operator=(SessionLock&& other) noexcept {
  if (this != &other) {
    release();
    id_ = std::exchange(other.id_, {});
  }
  return *this;
}

void SessionLock::release() noexcept {
  if (id_.empty()) return;
  BusySessions& sessions = busy_sessions();
  {
    const std::lock_guard guard(sessions.mutex);
    sessions.ids.erase(id_);
  }
  sessions.released.notify_all();
  id_.clear();
}

}  // namespace millrace
