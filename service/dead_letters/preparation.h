// Sees at the start that the places for dead letters are there, so that none has to be made in the
// middle of trouble, on a full disk say.
#pragma once

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "pipeline/worker_events.h"  // LogSink
#include "service/dead_letters/archive.h"
#include "transport/mutex.h"

namespace millrace {

// start() and stop() by one thread.
class DeadLetterPreparation {
 public:
  DeadLetterPreparation(std::vector<std::shared_ptr<DeadLetterArchive>> archives, LogSink log,
                        std::chrono::milliseconds interval = std::chrono::seconds(5));
  ~DeadLetterPreparation();  // stop()
  DeadLetterPreparation(const DeadLetterPreparation&) = delete;

  // Tries each on a thread of its own until it is there.
  void start();
  // Waits for the one that is tried now: DeadLetterArchive::abort() ends it.
  void stop();

 private:
  void run();
  bool prepare(DeadLetterArchive& archive) const;

  std::vector<std::shared_ptr<DeadLetterArchive>> missing_;  // the thread's
  const LogSink log_;
  const std::chrono::milliseconds interval_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace
