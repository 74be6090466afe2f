#include "tests/support/local_listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace millrace::test {
namespace {

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// OpenSSL sends without MSG_NOSIGNAL.
void block_sigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

LocalListener::LocalListener(std::function<void(int)> serve) : serve_(std::move(serve)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::system_error(errno, std::generic_category(), "listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

LocalListener::~LocalListener() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : sockets_) ::shutdown(fd, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

std::size_t LocalListener::accepted() const {
  const std::lock_guard lock(mutex_);
  return accepted_;
}

bool LocalListener::watch(int fd) {
  const std::lock_guard lock(mutex_);
  if (stopping_) {
    ::close(fd);
    return false;
  }
  sockets_.insert(fd);
  return true;
}

void LocalListener::close_socket(int fd) {
  const std::lock_guard lock(mutex_);
  sockets_.erase(fd);
  ::close(fd);
}

// A thread keeps its stack until it is joined.
void LocalListener::join_ended() {
  std::list<std::thread> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = threads_.begin(); it != threads_.end();) {
      const auto here = it++;
      if (std::erase(ended_, here->get_id()) > 0) ended.splice(ended.end(), threads_, here);
    }
  }
  for (std::thread& thread : ended) thread.join();
}

void LocalListener::accept_all() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0 || !watch(fd)) return;
    set_no_delay(fd);
    join_ended();
    const std::lock_guard lock(mutex_);
    ++accepted_;
    threads_.emplace_back([this, fd] {
      block_sigpipe();
      serve_(fd);
      close_socket(fd);
      const std::lock_guard end_lock(mutex_);
      ended_.push_back(std::this_thread::get_id());
    });
  }
}

int LocalListener::connect_to(const std::string& host, std::uint16_t port) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return -1;
  int connected = -1;
  for (const addrinfo* a = list; a != nullptr && connected < 0; a = a->ai_next) {
    const int fd = ::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    if (::connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
      connected = fd;
    } else {
      ::close(fd);
    }
  }
  ::freeaddrinfo(list);
  if (connected < 0 || !watch(connected)) return -1;
  set_no_delay(connected);
  return connected;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string receive_some(int fd) {
  std::string buffer(64u << 10, '\0');
  const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
  buffer.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return buffer;
}

}  // namespace millrace::test
