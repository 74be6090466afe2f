// Ctrl-C (SIGINT), SIGTERM and, unless it is ignored as under nohup, SIGHUP as a stop token, for
// commands that end when their work is done.
#pragma once

#include <atomic>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

namespace millrace {

// The first signal asks to stop, the second ends the process at once. block_signals() must have
// been called. Owned by one thread.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  int signal() const { return signal_; }  // 0: none came

 private:
  void run();

  std::stop_source source_;
  std::atomic<int> signal_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// The next bytes of a file, a pipe or a terminal; 0 at the end. While it waits for them it looks
// whether to stop: AbortedError. std::system_error with `name` when it cannot be read.
std::size_t read_some(int fd, std::span<char> buffer, const std::string& name,
                      const std::stop_token& stop);

}  // namespace millrace
