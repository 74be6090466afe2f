// The workers and their threads.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "pipeline/worker.h"

namespace millrace {

// start() and stop() by one thread; the rest thread-safe.
class WorkerPool {
 public:
  WorkerPool(unsigned workers, BlockQueue& queue, const BlockSenderFactory& make_sender,
             const RetryPolicy& retry, ByteBudget& budget, const LogSink& log);
  ~WorkerPool();  // stop()

  void start();
  // Closes the queue and joins. Whoever calls it has drained, or aborted the HTTP session pool.
  void stop();
  std::vector<WorkerStatus> status(SteadyTime now) const;
  void set_retry(const RetryPolicy& retry);  // from the next failure on
  const WorkerStats& stats() const noexcept { return stats_; }

 private:
  BlockQueue& queue_;
  WorkerStats stats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace
