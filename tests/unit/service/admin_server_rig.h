// An admin server, and clients over plain sockets that can be slow, silent and rude.
#pragma once

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "service/admin_server.h"

namespace millrace {

// A TCP connection to the server. Bounded: an answer that takes 30 s is none.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Everything until the server closes; what has come so far when it resets.
  std::string receive() {
    std::string all;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = ::recv(fd_, buffer, sizeof buffer, 0)) > 0) {
      all.append(buffer, static_cast<std::size_t>(got));
    }
    reset_ = got < 0;
    return all;
  }
  bool was_reset() const { return reset_; }

 private:
  const int fd_;
  bool reset_ = false;
  bool connected_ = false;
};

inline std::string request(std::uint16_t port, const std::string& method, const std::string& path) {
  Peer peer(port);
  peer.send(method + " " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
  return peer.receive();
}

inline std::string body_of(const std::string& response) {
  const std::size_t at = response.find("\r\n\r\n");
  return at == std::string::npos ? "no body: " + response : response.substr(at + 4);
}

inline AdminConfig any_port() {
  AdminConfig config;
  config.host = "127.0.0.1";
  config.port = 0;
  config.allowed_hosts = {"test"};
  return config;
}

inline AdminHandlers handlers() {
  return {.metrics = [] { return std::string("up 1\n"); },
          .status = [] { return std::string("{}"); },
          .live_faults = [] { return std::vector<std::string>{}; },
          .ready_reasons = [] { return std::vector<std::string>{}; }};
}

class AdminServerTest : public testing::Test {
 protected:
  void start(const AdminHandlers& with,
             std::chrono::milliseconds timeout = std::chrono::seconds(30),
             const AdminConfig& config = any_port()) {
    server = std::make_unique<AdminServer>(config, with, timeout);
    server->start();
  }
  std::string get(const std::string& path) { return request(server->port(), "GET", path); }

  std::unique_ptr<AdminServer> server;
};

}  // namespace millrace
