// A real nginx or haproxy of Debian's before a server, with its default limits: nginx takes bodies
// of 1 MiB and request lines of 8 KiB, haproxy header and request line of 16 KiB together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/child_process.h"

namespace millrace::test {

enum class ProxyKind { kNginx, kHaproxy };

// Has a port and a folder of its own, and ends with the object. Owned by one thread.
class RealProxy {
 public:
  struct Options {
    std::filesystem::path folder;
    ProxyKind kind = ProxyKind::kNginx;
    std::uint16_t upstream = 0;  // the server's port
    // Lines of nginx's `location /` ("return 405;") or of haproxy's frontend
    // ("http-request return status 405").
    std::string rules{};
  };
  explicit RealProxy(Options options);  // returns when it listens

  // Starts it again with other rules, at the same port.
  void restart(const std::string& rules);

  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void start();

  Options options_;
  const std::uint16_t port_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace millrace::test
