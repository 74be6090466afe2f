#include "service/commands/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "transport/error.h"

namespace millrace {

Interrupt::Interrupt() : thread_([this] { run(); }) {}

Interrupt::~Interrupt() {
  done_ = true;
  pthread_kill(thread_.native_handle(), SIGINT);  // ends its sigwait
  thread_.join();
}

void Interrupt::run() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  struct sigaction hang_up {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);  // else: nohup
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (done_) return;
    if (signal_ != 0) std::_Exit(128 + signal);
    signal_ = signal;
    source_.request_stop();
  }
}

std::size_t read_some(int fd, std::span<char> buffer, const std::string& name,
                      const std::stop_token& stop) {
  constexpr int kLookMillis = 100;
  for (;;) {
    if (stop.stop_requested()) throw AbortedError("interrupted while reading " + name, true);
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int found = ::poll(&ready, 1, kLookMillis);
    if (found == 0) continue;
    const ssize_t n = found > 0 ? ::read(fd, buffer.data(), buffer.size()) : -1;
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "cannot read " + name);
  }
}

}  // namespace millrace
