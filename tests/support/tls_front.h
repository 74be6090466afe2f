// TLS in front of any local port: takes https, gives the plain bytes to the port and TLS back.
//
//   TlsFront front(clickhouse.http_port(), {.identity = authority.issue()});
//   pool.acquire(front.endpoint(), …);
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "tests/support/local_listener.h"
#include "tests/support/tls_authority.h"
#include "transport/endpoint.h"

namespace millrace::test {

struct TlsFrontOptions {
  TestAuthority::Identity identity;
  std::string client_authority{};  // its certificate; not empty: a client needs one signed by it
  bool tls_1_2 = false;            // and no newer
  bool cut = false;                // ends connections without close_notify
};

// Constructed and destroyed by one thread; the rest is thread-safe.
class TlsFront {
 public:
  TlsFront(std::uint16_t target_port, TlsFrontOptions options);
  ~TlsFront();  // closes all connections

  // `host`: another name of this machine, to see whether the certificate has it.
  Endpoint endpoint(const std::string& host = "127.0.0.1") const;
  std::uint16_t port() const { return listener_.port(); }
  std::size_t accepted() const { return listener_.accepted(); }
  std::size_t handshakes() const { return handshakes_; }  // that went well
  // Of connections whose client said goodbye (close_notify) before it closed.
  std::size_t goodbyes() const { return goodbyes_; }
  std::string server_name() const;  // that the last client asked for (SNI)

 private:
  struct Context;
  void serve(int fd);
  void relay(void* ssl, int fd, int backend);

  const std::uint16_t target_port_;
  const TlsFrontOptions options_;
  const std::unique_ptr<Context> context_;
  std::atomic<std::size_t> handshakes_{0}, goodbyes_{0};
  mutable std::mutex mutex_;
  std::string server_name_;
  LocalListener listener_;  // last: its threads use the rest
};

}  // namespace millrace::test
