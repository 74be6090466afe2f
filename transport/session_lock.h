// One query at a time in a ClickHouse session: the local check, before the server answers with 373.
//
// The server keeps a session locked until the result was read to its end, so the lock is held as
// long. It is kept by ID for the whole process: two clients with one ID exclude each other. A
// forked child begins with none.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

namespace millrace {

// Owned by one thread at a time. Move-only. Released when destroyed, by any thread.
class SessionLock {
 public:
  SessionLock() = default;  // of no session: never busy
  // Waits at most `wait` for another holder, or until `stop` is requested. Throws SessionBusyError,
  // AbortedError.
  static SessionLock take(const std::string& session_id, std::chrono::milliseconds wait,
                          const std::stop_token& stop = {});
  SessionLock(SessionLock&& other) noexcept;
  SessionLock& operator=(SessionLock&& other) noexcept;
  ~SessionLock() { release(); }
  void release() noexcept;

 private:
  std::string id_;
  std::uint64_t epoch_ = 0;  // fork_epoch() when it was taken
};

}  // namespace millrace
