#include "tests/bench/discard_sink.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace millrace::bench {
namespace {

constexpr std::size_t kBufferBytes = 256 << 10;

// The header that ClickHouse 26.7 answers an insert with, so that a client has as much to parse.
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\n"
    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "Connection: Keep-Alive\r\n"
    "Content-Type: text/plain; charset=UTF-8\r\n"
    "Access-Control-Expose-Headers: X-ClickHouse-Query-Id,X-ClickHouse-Summary\r\n"
    "X-ClickHouse-Server-Display-Name: sink\r\n"
    "X-ClickHouse-Query-Id: 00000000-0000-4000-8000-000000000000\r\n"
    "X-ClickHouse-Timezone: UTC\r\n"
    "X-ClickHouse-Summary: {\"read_rows\":\"0\",\"read_bytes\":\"0\",\"written_rows\":\"0\","
    "\"written_bytes\":\"0\",\"elapsed_ns\":\"1\"}\r\n"
    "Keep-Alive: timeout=30, max=1000000000\r\n"
    "Content-Length: 0\r\n"
    "\r\n";

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Case matters here: this sink serves two senders, both ours, and both write it so.
std::size_t content_length(std::string_view header) {
  constexpr std::string_view kName = "Content-Length: ";
  const auto at = header.find(kName);
  if (at == std::string_view::npos) throw std::runtime_error("a request without Content-Length");
  return std::strtoull(header.data() + at + kName.size(), nullptr, 10);
}

void serve(int fd, Discard discard) try {
  std::vector<char> buffer(kBufferBytes);
  // The kernel reads the length only; the address may be anything.
  const int flags = discard == Discard::kInKernel ? MSG_TRUNC : 0;
  for (;;) {
    std::size_t header_bytes = 0;
    const std::size_t early = receive_header(fd, buffer.data(), 16 << 10, header_bytes);
    if (header_bytes == 0) break;
    std::size_t left = content_length({buffer.data(), header_bytes}) - early;
    while (left > 0) {
      const ssize_t got = ::recv(fd, buffer.data(), std::min(left, buffer.size()), flags);
      if (got <= 0) throw_errno("body ended early");
      left -= static_cast<std::size_t>(got);
    }
    if (::send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) < 0) throw_errno("send");
  }
  ::close(fd);
} catch (const std::exception& error) {
  // A measurement that lost a request is worth nothing.
  std::fprintf(stderr, "discard sink: %s\n", error.what());
  ::close(fd);
}

[[noreturn]] void accept_all(int listener, Discard discard) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) ::_exit(1);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::thread(serve, fd, discard).detach();
  }
}

}  // namespace

std::size_t receive_header(int fd, char* buffer, std::size_t capacity, std::size_t& size) {
  std::size_t used = 0;
  size = 0;
  for (;;) {
    const ssize_t got = ::recv(fd, buffer + used, capacity - used, 0);
    if (got == 0 && used == 0) return 0;
    if (got <= 0) throw_errno("header ended early");
    used += static_cast<std::size_t>(got);
    const auto end = std::string_view(buffer, used).find("\r\n\r\n");
    if (end != std::string_view::npos) {
      size = end + 4;
      return used - size;
    }
    if (used == capacity) throw std::runtime_error("header too large");
  }
}

DiscardSink::DiscardSink(Discard discard) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) throw_errno("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, any, size) != 0 || ::listen(listener, 64) != 0) throw_errno("listen");
  if (::getsockname(listener, any, &size) != 0) throw_errno("getsockname");
  port_ = ntohs(address.sin_port);

  process_ = ::fork();
  if (process_ < 0) throw_errno("fork");
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    accept_all(listener, discard);
  }
  ::close(listener);
}

DiscardSink::~DiscardSink() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

}  // namespace millrace::bench
