#include "tests/support/forward_proxy.h"

#include <poll.h>

#include <array>
#include <utility>

#include "transport/proxy.h"

namespace millrace::test {
namespace {

constexpr const char* kAuthorization = "\r\nProxy-Authorization: ";

std::string first_line(const std::string& request) { return request.substr(0, request.find('\r')); }

// "GET http://host:port/path HTTP/1.1": does a request of this kind begin here?
bool begins_request(const std::string& bytes) {
  return first_line(bytes).find(" http://") != std::string::npos;
}

std::string answer(const std::string& status, const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: 0\r\n\r\n";
}

std::pair<std::string, std::uint16_t> split_authority(const std::string& authority) {
  const auto colon = authority.rfind(':');
  std::string host = authority.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return {host, static_cast<std::uint16_t>(std::stoul(authority.substr(colon + 1)))};
}

// Up to and with the empty line, and what came behind it; empty when the client is gone.
std::string read_header(int fd, std::string bytes = "") {
  while (bytes.find("\r\n\r\n") == std::string::npos) {
    const std::string more = receive_some(fd);
    if (more.empty()) return "";
    bytes += more;
  }
  return bytes;
}

// Takes the origin out of the request line; returns host:port.
std::string take_authority(std::string& request) {
  const auto start = request.find("http://") + 7;
  const auto end = request.find('/', start);
  std::string authority = request.substr(start, end - start);
  request.erase(start - 7, end - start + 7);
  if (const auto at = request.find(kAuthorization); at != std::string::npos) {
    request.erase(at, request.find("\r\n", at + 2) - at);
  }
  return authority;
}

}  // namespace

ForwardProxy::ForwardProxy(ForwardProxyOptions options)
    : options_(std::move(options)), listener_([this](int fd) { serve(fd); }) {}

ForwardProxy::~ForwardProxy() = default;

std::string ForwardProxy::url() const {
  const std::string user =
      options_.user.empty() ? "" : options_.user + ":" + options_.password + "@";
  return "http://" + user + "127.0.0.1:" + std::to_string(port());
}

std::vector<std::string> ForwardProxy::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t ForwardProxy::forwarded() const {
  const std::lock_guard lock(mutex_);
  return forwarded_;
}

std::size_t ForwardProxy::tunnels() const {
  const std::lock_guard lock(mutex_);
  return tunnels_;
}

std::string ForwardProxy::refusal(const std::string& header) const {
  if (!options_.refusal.empty()) return answer(options_.refusal);
  if (options_.user.empty()) return "";
  const std::string wanted =
      kAuthorization + basic_authorization(options_.user, options_.password) + "\r\n";
  if (header.find(wanted) != std::string::npos) return "";
  return answer("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"t\"\r\n");
}

void ForwardProxy::note(const std::string& request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(first_line(request));
}

void ForwardProxy::count(std::size_t& counter) {
  const std::lock_guard lock(mutex_);
  ++counter;
}

void ForwardProxy::serve(int client) {
  const std::string request = read_header(client);
  if (request.empty()) return;
  note(request);
  if (options_.silent) {
    while (!receive_some(client).empty()) {
    }
  } else if (const std::string no = refusal(request); !no.empty()) {
    send_all(client, no);
  } else if (request.starts_with("CONNECT ")) {
    tunnel(client, request.substr(8, request.find(' ', 8) - 8));
  } else if (begins_request(request)) {
    forward(client, request);
  } else {
    send_all(client, answer("400 Not for a proxy"));
  }
}

void ForwardProxy::tunnel(int client, const std::string& authority) {
  const auto [host, port] = split_authority(authority);
  const int server = listener_.connect_to(host, port);
  if (server < 0) {
    send_all(client, answer("502 Nobody there"));
    return;
  }
  count(tunnels_);
  bool open = send_all(client, "HTTP/1.1 200 Connection established\r\n\r\n");
  while (open) {
    std::array<pollfd, 2> sides{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
    if (::poll(sides.data(), sides.size(), -1) <= 0) break;
    for (std::size_t i = 0; i < 2 && open; ++i) {
      if (sides[i].revents == 0) continue;
      const std::string bytes = receive_some(sides[i].fd);
      open = !bytes.empty() && send_all(sides[1 - i].fd, bytes);
    }
  }
  listener_.close_socket(server);
}

// Without knowing where bodies end: a client does not send the next request before it has seen the
// answer, so what it sends after one, and looks like a request, is the next one. All requests of a
// connection are for one server.
void ForwardProxy::forward(int client, std::string request) {
  const auto [host, port] = split_authority(take_authority(request));
  const int server = listener_.connect_to(host, port);
  if (server < 0) {
    send_all(client, answer("502 Nobody there"));
    return;
  }
  count(forwarded_);
  bool open = send_all(server, request), answered = false;
  while (open) {
    std::array<pollfd, 2> sides{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
    if (::poll(sides.data(), sides.size(), -1) <= 0) break;
    if (sides[1].revents != 0) {
      const std::string bytes = receive_some(server);
      answered = true;
      open = !bytes.empty() && send_all(client, bytes);
    } else if (sides[0].revents != 0) {
      std::string bytes = receive_some(client);
      if (answered && begins_request(bytes)) {
        bytes = read_header(client, bytes);
        note(bytes);
        if (const std::string no = refusal(bytes); !no.empty()) {
          send_all(client, no);
          break;
        }
        count(forwarded_);
        take_authority(bytes);
        answered = false;
      }
      open = !bytes.empty() && send_all(server, bytes);
    }
  }
  listener_.close_socket(server);
}

}  // namespace millrace::test
