// A listener on a free port of 127.0.0.1 that serves each connection on a thread of its own: what
// the TLS front and the forward proxy have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace::test {

// Constructed and destroyed by one thread; the rest is thread-safe.
class LocalListener {
 public:
  // `serve` gets the accepted socket (blocking, closed when it returns). What it waits for must end
  // when the socket, or one of connect_to(), is shut down.
  explicit LocalListener(std::function<void(int fd)> serve);
  ~LocalListener();  // shuts all sockets down and joins

  std::uint16_t port() const { return port_; }
  std::size_t accepted() const;

  // For `serve`: a connection to somebody else, -1 if there is nobody. Closed with close_socket().
  int connect_to(const std::string& host, std::uint16_t port);
  void close_socket(int fd);

 private:
  void accept_all();
  void join_ended();
  bool watch(int fd);  // false (and closed) when stopping

  const std::function<void(int)> serve_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::set<int> sockets_;
  std::size_t accepted_ = 0;
  bool stopping_ = false;
  std::list<std::thread> threads_;
  std::vector<std::thread::id> ended_;  // of these
  std::thread acceptor_;
};

// All of `bytes`; false when the peer is gone.
bool send_all(int fd, std::string_view bytes);
// What has come (blocks until something has); empty at the end.
std::string receive_some(int fd);

}  // namespace millrace::test
