// A small HTTP proxy on 127.0.0.1: forwards requests that name their target in full, and opens
// tunnels (CONNECT).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/local_listener.h"

namespace millrace::test {

struct ForwardProxyOptions {
  std::string user{}, password{};  // a user: Basic authentication is required, else 407
  std::string refusal{};           // "403 Forbidden": the answer to everything
  bool silent = false;             // answers nothing at all
};

// Constructed and destroyed by one thread; the rest is thread-safe.
class ForwardProxy {
 public:
  explicit ForwardProxy(ForwardProxyOptions options = {});
  ~ForwardProxy();  // closes all connections

  std::uint16_t port() const { return listener_.port(); }
  std::string url() const;  // with user and password, if there are any
  std::size_t accepted() const { return listener_.accepted(); }
  // Request lines that came, refused ones included, as they came.
  std::vector<std::string> requests() const;
  std::size_t forwarded() const;  // requests, not those in tunnels
  std::size_t tunnels() const;

 private:
  void serve(int client);
  std::string refusal(const std::string& header) const;  // empty: welcome
  void tunnel(int client, const std::string& authority);
  void forward(int client, std::string request);
  void note(const std::string& request);
  void count(std::size_t& counter);

  const ForwardProxyOptions options_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::size_t forwarded_ = 0, tunnels_ = 0;
  LocalListener listener_;  // last: its threads use the rest
};

}  // namespace millrace::test
