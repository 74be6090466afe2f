#include "tests/support/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace millrace::test {
namespace {

class Socket {
 public:
  explicit Socket(std::chrono::seconds time_limit)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = time_limit.count(), .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool connect_to(std::uint16_t port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  bool send_all(std::string_view data) const {
    while (!data.empty()) {
      const ssize_t sent = send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      data.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool receive_all(std::string& data) const {
    char buffer[65536];
    for (;;) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return got == 0;
      data.append(buffer, static_cast<std::size_t>(got));
    }
  }

 private:
  int fd_;
};

}  // namespace

HttpReply http_request(std::uint16_t port, const std::string& target, const std::string& body,
                       std::chrono::seconds deadline) {
  const auto failed = [](const char* step) {
    return HttpReply{.status = 0, .headers = {}, .body = std::string(step) + std::strerror(errno)};
  };
  const Socket socket(deadline);
  if (!socket.connect_to(port)) return failed("connect: ");
  // HTTP/1.0: the answer is not chunked and ends with the connection.
  const std::string head =
      (body.empty() ? "GET " : "POST ") + target +
      " HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  if (!socket.send_all(head) || !socket.send_all(body)) return failed("send: ");
  std::string answer;
  if (!socket.receive_all(answer)) return failed("receive: ");

  const auto head_end = answer.find("\r\n\r\n");
  if (head_end == std::string::npos || answer.size() < 12) {
    return {.status = 0, .headers = {}, .body = "no HTTP answer: " + answer};
  }
  return {.status = std::atoi(answer.substr(9, 3).c_str()),
          .headers = answer.substr(0, head_end + 2),
          .body = answer.substr(head_end + 4)};
}

std::string ask(std::uint16_t port, const std::string& text) {
  const Socket socket(std::chrono::seconds{5});
  std::string answer;
  if (socket.connect_to(port) && socket.send_all(text)) socket.receive_all(answer);
  return answer;
}

std::string url_encode(const std::string& text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.') {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace millrace::test
