#include "pipeline/worker_pool.h"

namespace millrace {

WorkerPool::WorkerPool(unsigned workers, BlockQueue& queue, const BlockSenderFactory& make_sender,
                       const RetryPolicy& retry, ByteBudget& budget, const LogSink& log)
    : queue_(queue) {
  for (unsigned id = 0; id < workers; ++id) {
    workers_.push_back(
        std::make_unique<Worker>(id, queue, make_sender(id), retry, budget, stats_, log));
  }
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::start() {
  for (const auto& worker : workers_) {
    threads_.emplace_back([&worker = *worker] { worker.run(); });
  }
}

void WorkerPool::stop() {
  queue_.close();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::set_retry(const RetryPolicy& retry) {
  for (const auto& worker : workers_) worker->set_retry(retry);
}

std::vector<WorkerStatus> WorkerPool::status(SteadyTime now) const {
  std::vector<WorkerStatus> result;
  for (const auto& worker : workers_) result.push_back(worker->status(now));
  return result;
}

}  // namespace millrace
