#include "transport/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "transport/error.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

// What a lookup thread leaves behind. Shared, because the thread may outlive who asked.
struct Lookup {
  int error = 0;
  std::vector<Address> addresses;
};

[[noreturn]] void fail_connect(const DialTarget& target, const std::string& why) {
  throw NetworkError(NetworkError::Kind::kConnect, "cannot connect to " + target.name + ": " + why,
                     false);
}

std::string errno_text(int error) { return std::generic_category().message(error); }

Lookup look_up(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  Lookup lookup;
  lookup.error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    Address address;
    std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address.length = a->ai_addrlen;
    lookup.addresses.push_back(address);
  }
  if (list != nullptr) ::freeaddrinfo(list);
  return lookup;
}

// getaddrinfo has no time-out and can't be interrupted, so it runs on a thread of its own that is
// left to itself when the deadline passes (resolv.conf bounds it, 5 s x 2 x servers as a rule). Its
// end is a hang-up on a socket pair: a wait like that for a connection, and abort() ends it too.
Lookup resolve(const DialTarget& target, SteadyTime deadline,
               const std::shared_ptr<SocketRegistry>& registry, const std::stop_token& stop) {
  Lookup numeric = look_up(target.host, target.port, AI_NUMERICHOST);
  if (numeric.error == 0) return numeric;

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    fail_connect(target, "socketpair: " + errno_text(errno));
  }
  auto result = std::make_shared<Lookup>();
  try {
    std::thread([result, host = target.host, port = target.port, fd = ends[1]] {
      *result = look_up(host, port, AI_ADDRCONFIG);
      const char done = 1;
      (void)!::send(fd, &done, 1, MSG_NOSIGNAL);
      ::close(fd);
    }).detach();
  } catch (const std::system_error& e) {
    ::close(ends[0]);
    ::close(ends[1]);
    fail_connect(target, std::string("no thread for the name lookup: ") + e.what());
  }
  const Socket answer(registry, ends[0]);
  const StopGuard guard(answer, stop);
  const short events = poll_until(answer.fd(), POLLIN, deadline);
  guard.check("looking up " + target.host);
  char done = 0;
  if (events == 0 || ::recv(answer.fd(), &done, 1, MSG_DONTWAIT) != 1) {
    fail_connect(target, "the lookup of '" + target.host + "' took longer than the time left");
  }
  return std::move(*result);
}

void set_option(int fd, int level, int name, int value) {
  // Refused options cost comfort, not correctness.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

void tune(int fd, const DialOptions& options) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.tcp_keep_alive.count() > 0) {
    const auto seconds = [](std::chrono::seconds time) { return static_cast<int>(time.count()); };
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(options.tcp_keep_alive));
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(options.tcp_keep_alive_interval));
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(options.tcp_keep_alive_count));
  }
  if (options.tcp_user_timeout.count() > 0) {
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               static_cast<int>(options.tcp_user_timeout.count()));
  }
}

// 0 when connected, else errno.
int connect_until(const Socket& socket, const Address& address, SteadyTime deadline) {
  const auto* name = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::connect(socket.fd(), name, address.length) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (poll_until(socket.fd(), POLLOUT, deadline) == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace

void SocketRegistry::add(int fd) {
  MutexLock lock(mutex_);
  if (aborted_) throw AbortedError("the HTTP session pool was aborted", false);
  sockets_.insert(fd);
}

void SocketRegistry::remove(int fd) noexcept {
  MutexLock lock(mutex_);
  sockets_.erase(fd);
}

void SocketRegistry::abort() {
  MutexLock lock(mutex_);
  aborted_ = true;
  for (const int fd : sockets_) ::shutdown(fd, SHUT_RDWR);
}

bool SocketRegistry::aborted() const {
  MutexLock lock(mutex_);
  return aborted_;
}

void SocketRegistry::after_fork_in_child() noexcept {
  for (const int fd : sockets_) replace_by_dead_end(fd);
  mutex_.unlock();
}

void StopGuard::ShutDown::operator()() const noexcept { ::shutdown(fd, SHUT_RDWR); }

void StopGuard::check(const std::string& doing) const {
  if (stop_.stop_requested()) throw AbortedError("stopped while " + doing, false);
  if (socket_.aborted()) throw AbortedError("aborted while " + doing, false);
}

Socket::Socket(std::shared_ptr<SocketRegistry> registry, int fd)
    : registry_(std::move(registry)), fd_(fd) {
  try {
    registry_->add(fd_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Socket::Socket(Socket&& other) noexcept
    : registry_(std::move(other.registry_)), fd_(std::exchange(other.fd_, -1)) {}

Socket::~Socket() {
  if (fd_ < 0) return;
  registry_->remove(fd_);
  ::close(fd_);
}

Transfer receive_plain(int fd, void* buffer, std::size_t size, int flags) {
  for (;;) {
    const ssize_t n = ::recv(fd, buffer, size, flags | MSG_DONTWAIT);
    if (n > 0) return {Transfer::State::kMoved, static_cast<std::size_t>(n), 0};
    if (n == 0) return {Transfer::State::kEnded, 0, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transfer::State::kWantsRead, 0, 0};
    if (errno != EINTR) return {Transfer::State::kFailed, 0, errno};
  }
}

Transfer send_plain(int fd, std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  for (;;) {
    const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return {Transfer::State::kMoved, static_cast<std::size_t>(n), 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transfer::State::kWantsWrite, 0, 0};
    if (errno != EINTR) return {Transfer::State::kFailed, 0, errno};
  }
}

Socket dial(const DialTarget& target, const DialOptions& options, SteadyTime deadline,
            const std::shared_ptr<SocketRegistry>& registry, const std::stop_token& stop) {
  const Lookup lookup = resolve(target, deadline, registry, stop);
  if (lookup.error != 0 || lookup.addresses.empty()) {
    fail_connect(target, "cannot resolve '" + target.host + "': " + ::gai_strerror(lookup.error));
  }
  int error = 0;
  for (std::size_t i = 0; i < lookup.addresses.size(); ++i) {
    const Address& address = lookup.addresses[i];
    const auto now = Clock::now();
    const auto share = std::max(deadline - now, Clock::duration::zero()) /
                       static_cast<int>(lookup.addresses.size() - i);
    const int fd =
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    Socket socket(registry, fd);
    const StopGuard guard(socket, stop);
    tune(fd, options);
    error = connect_until(socket, address, now + share);
    guard.check("connecting to " + target.name);
    if (error == 0) return socket;
  }
  fail_connect(target, errno_text(error));
}

short poll_until(int fd, short events, SteadyTime deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{fd, events, 0};
    // Longer waits come back here; shorter than now means: look once.
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
    const int ready = ::poll(&entry, 1, timeout);
    if (ready > 0) return entry.revents;
    if (ready == 0 && left <= timeout) return 0;
    if (ready < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
  }
}

}  // namespace millrace
