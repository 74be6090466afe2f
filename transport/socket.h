// A TCP socket that another thread can stop, and how it is opened.
//
// close(2) from another thread neither wakes who waits on a socket nor is it safe, because the
// number may be given out again at once. shutdown(2) wakes sender and receiver alike. So every
// socket of a pool is known to a SocketRegistry for exactly as long as its number is ours, and
// abort() shuts all of them down.
#pragma once

#include <poll.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <utility>

#include "transport/fork_guard.h"
#include "transport/mutex.h"

namespace millrace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Thread-safe.
class SocketRegistry {
 public:
  void abort();  // for good
  bool aborted() const;

  // For the owner's part in a fork (fork_guard.h). In the child every socket becomes a dead end:
  // who still has one finds it closed, and the parent's connection is left alone.
  void before_fork() ACROSS_FORK { mutex_.lock(); }
  void after_fork_in_parent() noexcept ACROSS_FORK { mutex_.unlock(); }
  void after_fork_in_child() noexcept ACROSS_FORK;

 private:
  friend class Socket;
  void add(int fd);  // throws AbortedError
  void remove(int fd) noexcept;

  mutable Mutex mutex_;
  bool aborted_ GUARDED_BY(mutex_) = false;
  std::unordered_set<int> sockets_ GUARDED_BY(mutex_);
};

// Owns a file descriptor; it leaves the registry before it is closed. Owned by one thread.
class Socket {
 public:
  // Takes over `fd`. Throws AbortedError (and closes it).
  Socket(std::shared_ptr<SocketRegistry> registry, int fd);
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&&) = delete;
  ~Socket();

  int fd() const noexcept { return fd_; }
  bool aborted() const { return registry_->aborted(); }

 private:
  std::shared_ptr<SocketRegistry> registry_;
  int fd_;
};

// While it lives, a stop request shuts `socket` down, so that whatever waits on it wakes up at
// once. Must not outlive the socket. Owned by one thread.
class StopGuard {
 public:
  StopGuard(const Socket& socket, std::stop_token stop)
      : socket_(socket), stop_(std::move(stop)), shut_down_(stop_, ShutDown{socket.fd()}) {}

  // Throws AbortedError if the stop was requested, or the registry aborted.
  void check(const std::string& doing) const;

 private:
  struct ShutDown {
    int fd;
    void operator()() const noexcept;
  };
  const Socket& socket_;
  const std::stop_token stop_;
  const std::stop_callback<ShutDown> shut_down_;
};

// What one attempt to move bytes came to; it never blocks.
struct Transfer {
  enum class State {
    kMoved,       // `bytes` of them, at least one
    kWantsRead,   // try again when the socket is readable
    kWantsWrite,  // … writable
    kEnded,       // the peer sends no more, and said so
    kFailed,      // `error` is the errno; 0 when it was none
  };
  State state = State::kFailed;
  std::size_t bytes = 0;
  int error = 0;
};

// Over a plain socket. `flags` as for recv(2).
Transfer receive_plain(int fd, void* buffer, std::size_t size, int flags = 0);
// One sendmsg(2) without SIGPIPE.
Transfer send_plain(int fd, std::span<const iovec> pieces);

// Where to connect to. `name` is for error texts.
struct DialTarget {
  std::string host;
  std::uint16_t port = 0;
  std::string name;
};

struct DialOptions {
  std::chrono::seconds tcp_keep_alive{30};           // idle time before the first probe; 0 = off
  std::chrono::seconds tcp_keep_alive_interval{30};  // between probes
  unsigned tcp_keep_alive_count = 3;                 // unanswered probes that end the connection
  std::chrono::milliseconds tcp_user_timeout{30'000};
};

// Resolves the target's host and connects; several addresses are tried in turn, each with its
// share of the time. The socket is non-blocking. Throws NetworkError (kConnect), AbortedError.
Socket dial(const DialTarget& target, const DialOptions& options, SteadyTime deadline,
            const std::shared_ptr<SocketRegistry>& registry, const std::stop_token& stop);

// poll(2) for one socket; 0 when `deadline` passed, else revents. Retries on EINTR.
short poll_until(int fd, short events, SteadyTime deadline);

}  // namespace millrace
