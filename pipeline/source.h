// What a source is to the pipeline: a number of producer threads, each of which runs a reader.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/producer.h"

namespace millrace {

// How a reader learns that it must end. Thread-safe.
class StopSignal {
 public:
  // Stop reading, cut, wait for acknowledgements until the deadline, commit, leave.
  void drain_until(SteadyTime deadline) noexcept;
  // Leave now, without waiting for anything.
  void abort() noexcept { drain_until(SteadyTime{}); }
  bool requested() const noexcept { return requested_.load(std::memory_order_acquire); }
  SteadyTime deadline() const noexcept;

 private:
  std::atomic<bool> requested_{false};
  std::atomic<SteadyTime::rep> deadline_{SteadyTime::max().time_since_epoch().count()};
};

// One producer thread's work. run() is called once, on its own thread; the rest is thread-safe.
class SourceReader {
 public:
  virtual ~SourceReader() = default;
  // Returns after `stop` was requested and obeyed: true when everything that was read has been
  // acknowledged and committed, false when the deadline came first. Errors of the broker never end
  // it: it reports them through not_ready_reason() and goes on trying. A throw is a fault in the
  // program.
  virtual bool run(Producer& producer, const StopSignal& stop) = 0;
  // Empty when it is connected and reads; else what is missing, for /readyz and logs.
  virtual std::string not_ready_reason() const = 0;
};

}  // namespace millrace
