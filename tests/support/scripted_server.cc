#include "tests/support/scripted_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace millrace::test {
namespace {

using Clock = std::chrono::steady_clock;

// Ends a script: its client is gone, or it waited for kScriptPatience.
struct ScriptOver {};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int listen_on_loopback(int backlog, std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(fd, backlog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    ::close(fd);
    fail("listen");
  }
  port = ntohs(address.sin_port);
  return fd;
}

bool wait_for(int fd, short events, std::chrono::milliseconds bound) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, static_cast<int>(bound.count())) > 0;
}

Endpoint loopback_endpoint(std::uint16_t port) {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = port;
  return endpoint;
}

std::size_t content_length(const std::string& header) {
  const auto at = header.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::stoul(header.substr(at + 16));
}

}  // namespace

std::size_t ScriptedConnection::receive(char* buffer, std::size_t size) {
  if (!wait_for(fd_, POLLIN, kScriptPatience)) throw ScriptOver{};
  const ssize_t n = ::recv(fd_, buffer, size, 0);
  if (n <= 0) {
    client_closed_ = true;
    return 0;
  }
  received_bytes_ += static_cast<std::uint64_t>(n);
  return static_cast<std::size_t>(n);
}

std::string ScriptedConnection::read_header() {
  for (;;) {
    const auto end = unread_.find("\r\n\r\n");
    if (end != std::string::npos) {
      std::string header = unread_.substr(0, end + 4);
      unread_.erase(0, end + 4);
      headers_ += header;
      return header;
    }
    std::array<char, 4096> buffer;
    const std::size_t n = receive(buffer.data(), buffer.size());
    if (n == 0) throw ScriptOver{};
    unread_.append(buffer.data(), n);
  }
}

void ScriptedConnection::read_bytes(std::size_t count) {
  const std::size_t buffered = std::min(count, unread_.size());
  unread_.erase(0, buffered);
  count -= buffered;
  std::vector<char> buffer(256u << 10);
  while (count > 0) {
    const std::size_t n = receive(buffer.data(), std::min(count, buffer.size()));
    if (n == 0) throw ScriptOver{};
    count -= n;
  }
}

std::string ScriptedConnection::read_request() {
  std::string header = read_header();
  read_bytes(content_length(header));
  return header;
}

std::string ScriptedConnection::read_until(std::string_view end) {
  std::string all = std::exchange(unread_, {});
  std::vector<char> buffer(64u << 10);
  while (!all.ends_with(end)) {
    const std::size_t n = receive(buffer.data(), buffer.size());
    if (n == 0) throw ScriptOver{};
    all.append(buffer.data(), n);
  }
  return all;
}

std::string ScriptedConnection::read_until_closed() {
  std::string all = std::exchange(unread_, {});
  std::vector<char> buffer(64u << 10);
  while (const std::size_t n = receive(buffer.data(), buffer.size())) all.append(buffer.data(), n);
  return all;
}

void ScriptedConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      client_closed_ = errno == EPIPE || errno == ECONNRESET;
      throw ScriptOver{};
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void ScriptedConnection::send_dripping(std::string_view bytes, std::chrono::milliseconds pause) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    send(bytes.substr(i, 1));
    if (wait_for_close(pause)) throw ScriptOver{};
  }
}

bool ScriptedConnection::wait_for_close(std::chrono::milliseconds bound) {
  const auto until = Clock::now() + bound;
  std::vector<char> buffer(256u << 10);
  while (!client_closed_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0 || !wait_for(fd_, POLLIN, left)) return false;
    receive(buffer.data(), buffer.size());
  }
  return true;
}

void ScriptedConnection::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  throw ScriptOver{};  // closing sends the RST
}

void ScriptedConnection::finish() { ::shutdown(fd_, SHUT_WR); }

ScriptedServer::ScriptedServer(std::vector<Script> scripts) : scripts_(std::move(scripts)) {
  if (scripts_.empty()) throw std::invalid_argument("ScriptedServer: no script");
  listener_ = listen_on_loopback(128, port_);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : open_) {
      if (fd >= 0) ::shutdown(fd, SHUT_RDWR);
    }
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

Endpoint ScriptedServer::endpoint() const { return loopback_endpoint(port_); }

std::size_t ScriptedServer::accepted() const {
  const std::lock_guard lock(mutex_);
  return seen_.size();
}

ScriptedServer::Seen ScriptedServer::wait_ended(std::size_t connection) {
  std::unique_lock lock(mutex_);
  const bool in_time = ended_.wait_for(
      lock, kScriptPatience, [&] { return connection < seen_.size() && seen_[connection].ended; });
  if (!in_time) throw std::runtime_error("the scripted connection did not end");
  return seen_[connection];
}

void ScriptedServer::accept_all() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return;  // shut down
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    const std::size_t index = seen_.size();
    seen_.emplace_back();
    open_.push_back(fd);
    threads_.emplace_back([this, index, fd] { run(index, fd); });
  }
}

void ScriptedServer::run(std::size_t index, int fd) {
  ScriptedConnection connection(fd);
  try {
    scripts_[std::min(index, scripts_.size() - 1)](connection);
  } catch (const ScriptOver&) {
  }
  const std::lock_guard lock(mutex_);
  seen_[index] = {connection.headers_, connection.received_bytes_, connection.client_closed_, true};
  open_[index] = -1;
  ::close(fd);
  ended_.notify_all();
}

std::string foreign_response(std::string_view body, std::string_view headers) {
  return "HTTP/1.1 200 Foreign\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string http_response(int status, std::string_view body, std::string_view headers) {
  const bool success = status >= 200 && status < 300;
  const bool needs_proof = success &&
                           headers.find("X-ClickHouse-Summary") == std::string_view::npos &&
                           headers.find("X-ClickHouse-Query-Id") == std::string_view::npos;
  return "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n" +
         (needs_proof ? "X-ClickHouse-Summary: {}\r\n" : "") + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

ScriptedServer::Script answer_all(std::string response) {
  return [response = std::move(response)](ScriptedConnection& connection) {
    for (;;) {
      const std::string header = connection.read_request();
      if (header.find("Transfer-Encoding: chunked") != std::string::npos) {
        connection.read_until("0\r\n\r\n");
      }
      connection.send(response);
    }
  };
}

ScriptedServer::Script hold() {
  return [](ScriptedConnection& connection) { connection.wait_for_close(); };
}

// With a queue of length 0 the kernel completes one connection; of the next ones it ignores the
// SYN.
FullListener::FullListener() {
  listener_ = listen_on_loopback(0, port_);
  const sockaddr_in address = loopback(port_);
  for (int i = 0; i < 3; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    fillers_.push_back(fd);
  }
}

FullListener::~FullListener() {
  for (const int fd : fillers_) ::close(fd);
  ::close(listener_);
}

Endpoint FullListener::endpoint() const { return loopback_endpoint(port_); }

}  // namespace millrace::test
