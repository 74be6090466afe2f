#include "tests/support/fault_proxy.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace millrace::test {
namespace {

constexpr int kTickMs = 20;  // between two looks at what is wanted
constexpr std::size_t kChunk = 64u << 10;
constexpr std::size_t kCutAfter = 7;  // bytes of an answer: not even its status is whole

// What passed; empty when one side is gone.
std::string pass(int from, int to, std::size_t most) {
  std::string bytes(most, '\0');
  const ssize_t n = ::recv(from, bytes.data(), bytes.size(), 0);
  bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return !bytes.empty() && send_all(to, bytes) ? bytes : "";
}

}  // namespace

struct FaultProxy::Connection {
  int client, server;
  unsigned resets;          // as they were when it came
  std::size_t request = 0;  // bytes since the last answer
  std::string line{};       // of the request, up to its end
  bool was_held = false, was_slow = false, was_waiting = false;
};

FaultProxy::FaultProxy(std::uint16_t target_port)
    : target_port_(target_port), listener_([this](int client) { serve(client); }) {}

void FaultProxy::calm() {
  held_ = answers_held_ = refused_ = false;
  bytes_per_second_ = hold_after_ = cut_after_ = 0;
  truncations_ = 0;
}

// These are false when the connection is over.
bool FaultProxy::pass_request(Connection& connection, std::size_t most) {
  const std::size_t cut = cut_after_;
  if (cut > 0 && connection.request + most > cut) most = cut - std::min(cut, connection.request);
  if (most == 0) {
    cut_after_ = 0;
    ++faults_;
    return false;
  }
  if (const std::size_t hold = hold_after_; hold > 0 && connection.request <= hold) {
    most = std::min(most, hold + 1 - connection.request);
  }
  const std::string passed = pass(connection.client, connection.server, most);
  note(connection, passed);
  connection.request += passed.size();
  return !passed.empty();
}

void FaultProxy::note(Connection& connection, std::string_view bytes) {
  if (connection.request == 0) connection.line.clear();
  if (connection.line.ends_with('\n')) return;
  connection.line += bytes.substr(0, std::min(bytes.find('\n'), bytes.size() - 1) + 1);
  if (!connection.line.ends_with('\n')) return;
  const std::lock_guard lock(mutex_);
  request_lines_.push_back(connection.line);
}

std::vector<std::string> FaultProxy::take_request_lines() {
  const std::lock_guard lock(mutex_);
  return std::exchange(request_lines_, {});
}

bool FaultProxy::pass_answer(Connection& connection, std::size_t most) {
  connection.request = 0;
  if (truncations_ > 0 && truncations_.fetch_sub(1) > 0) {
    pass(connection.server, connection.client, kCutAfter);
    ++faults_;
    return false;
  }
  return !pass(connection.server, connection.client, most).empty();
}

void FaultProxy::relay(Connection& connection) {
  for (bool open = true; open && connection.resets == resets_;) {
    const bool held = held_, slow = bytes_per_second_ > 0, deaf = answers_held_;
    faults_ += static_cast<std::size_t>(held && !connection.was_held) +
               static_cast<std::size_t>(slow && !connection.was_slow) +
               static_cast<std::size_t>(deaf && !connection.was_waiting);
    connection.was_held = held;
    connection.was_slow = slow;
    connection.was_waiting = deaf;
    if (held) {
      ::poll(nullptr, 0, kTickMs);
      continue;
    }
    const std::size_t limit = bytes_per_second_;
    const std::size_t most = limit == 0 ? kChunk : std::max<std::size_t>(1, limit * kTickMs / 1000);
    const std::size_t hold = hold_after_;
    const bool stuck = hold > 0 && connection.request > hold;
    std::array<pollfd, 2> sides{pollfd{stuck ? -1 : connection.client, POLLIN, 0},
                                pollfd{deaf ? -1 : connection.server, POLLIN, 0}};
    ::poll(sides.data(), sides.size(), kTickMs);
    if (held_) continue;  // since a moment ago: what came after that must not slip through
    if (sides[0].revents != 0) open = pass_request(connection, most);
    if (open && !answers_held_ && sides[1].revents != 0) open = pass_answer(connection, most);
    if (limit != 0) ::poll(nullptr, 0, kTickMs);
  }
}

void FaultProxy::serve(int client) {
  if (refused_) {
    ++faults_;
    return;
  }
  const unsigned resets = resets_;
  const int server = listener_.connect_to("127.0.0.1", target_port_);
  if (server < 0) return;
  Connection connection{client, server, resets};
  relay(connection);
  if (resets != resets_) {  // a close with this set is a reset
    ++faults_;
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  listener_.close_socket(server);
}

}  // namespace millrace::test
