#include "service/supervisor.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace millrace {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Of WATCHDOG_USEC, where it is meant for this process.
std::chrono::microseconds watchdog_interval() {
  const std::string pid = environment("WATCHDOG_PID");
  if (!pid.empty() && pid != std::to_string(::getpid())) return {};
  return std::chrono::microseconds(std::strtoll(environment("WATCHDOG_USEC").c_str(), nullptr, 10));
}

}  // namespace

Supervisor::Supervisor(std::string socket, std::chrono::microseconds watchdog)
    : socket_(std::move(socket)), watchdog_(watchdog) {}

Supervisor::~Supervisor() { stop(); }

Supervisor Supervisor::from_environment() {
  return {environment("NOTIFY_SOCKET"), watchdog_interval()};
}

void Supervisor::reloading() const {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now().time_since_epoch());  // CLOCK_MONOTONIC, as is wanted
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()));
}

void Supervisor::send(const std::string& lines) const {
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // Not taken: then the supervisor does what it does with a process that says nothing.
  (void)::sendto(fd, lines.data(), lines.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
}

void Supervisor::start_watchdog(std::function<bool()> alive) {
  if (socket_.empty() || watchdog_.count() <= 0) return;
  thread_ = std::thread([this, alive = std::move(alive)] { run(alive); });
}

void Supervisor::run(const std::function<bool()>& alive) {
  for (;;) {
    if (alive()) send("WATCHDOG=1");
    const auto next = std::chrono::steady_clock::now() + watchdog_ / 2;
    MutexLock lock(mutex_);
    while (!stopping_ && wake_.wait_until(mutex_, next)) {
    }
    if (stopping_) return;
  }
}

void Supervisor::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace millrace
