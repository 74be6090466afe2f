// A TCP proxy that does to connections what networks do: cuts, holds, slows, and loses answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tests/support/local_listener.h"

namespace millrace::test {

// All of it thread-safe.
class FaultProxy {
 public:
  explicit FaultProxy(std::uint16_t target_port);

  std::uint16_t port() const { return listener_.port(); }
  // All open connections end with a reset.
  void reset_all() { ++resets_; }
  // So many answers are cut short: the server has done its work, and the client does not learn it.
  void truncate_answers(int count) { truncations_ += count; }
  // While held nothing passes, and nobody is told.
  void hold(bool held) { held_ = held; }
  // Bytes a second in each direction of a connection; 0: no limit.
  void limit(std::size_t bytes_per_second) { bytes_per_second_ = bytes_per_second; }

 private:
  void serve(int client);
  bool pass(int from, int to, std::size_t most) const;

  const std::uint16_t target_port_;
  std::atomic<unsigned> resets_{0};
  std::atomic<int> truncations_{0};
  std::atomic<bool> held_{false};
  std::atomic<std::size_t> bytes_per_second_{0};
  LocalListener listener_;  // last: its threads use the above
};

}  // namespace millrace::test
