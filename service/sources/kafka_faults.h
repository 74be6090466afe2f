// What keeps a reader from reading, as it is shown by /readyz and logged.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/worker.h"  // LogSink
#include "transport/mutex.h"

namespace millrace {

// Faults by what they concern ("broker", "topic/events" …). A fault is logged when it appears or
// becomes another one, and when it is over. Written by the reader's thread, read by any.
class KafkaFaults {
 public:
  explicit KafkaFaults(LogSink log) : log_(std::move(log)) {}

  void set(const std::string& subject, const std::string& text, LogLevel level = LogLevel::kError);
  void clear(const std::string& subject);
  bool has(const std::string& subject) const;
  // Subjects that begin with `prefix`, without it.
  std::vector<std::string> subjects(const std::string& prefix) const;
  // All of them in one line; empty when there are none.
  std::string reason() const;

 private:
  const LogSink log_;
  mutable Mutex mutex_;
  std::map<std::string, std::string> faults_ GUARDED_BY(mutex_);
};

}  // namespace millrace
