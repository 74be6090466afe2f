#include "tests/support/fault_proxy.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>

namespace millrace::test {
namespace {

constexpr int kTickMs = 20;  // between two looks at what is wanted
constexpr std::size_t kChunk = 64u << 10;
constexpr std::size_t kCutAfter = 7;  // bytes of an answer: not even its status is whole

}  // namespace

FaultProxy::FaultProxy(std::uint16_t target_port)
    : target_port_(target_port), listener_([this](int client) { serve(client); }) {}

// False when the connection is over.
bool FaultProxy::pass(int from, int to, std::size_t most) const {
  std::string bytes(most, '\0');
  const ssize_t n = ::recv(from, bytes.data(), bytes.size(), 0);
  return n > 0 && send_all(to, std::string_view(bytes).substr(0, static_cast<std::size_t>(n)));
}

void FaultProxy::serve(int client) {
  const unsigned resets = resets_;
  const int server = listener_.connect_to("127.0.0.1", target_port_);
  if (server < 0) return;
  for (bool open = true; open && resets == resets_;) {
    if (held_) {
      ::poll(nullptr, 0, kTickMs);
      continue;
    }
    const std::size_t limit = bytes_per_second_;
    const std::size_t most = limit == 0 ? kChunk : std::max<std::size_t>(1, limit * kTickMs / 1000);
    std::array<pollfd, 2> sides{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
    ::poll(sides.data(), sides.size(), kTickMs);
    if (sides[0].revents != 0) open = pass(client, server, most);
    if (open && sides[1].revents != 0) {
      if (truncations_ > 0 && truncations_.fetch_sub(1) > 0) {
        pass(server, client, kCutAfter);
        break;
      }
      open = pass(server, client, most);
    }
    if (limit != 0) ::poll(nullptr, 0, kTickMs);
  }
  if (resets != resets_) {  // a close with this set is a reset
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  listener_.close_socket(server);
}

}  // namespace millrace::test
