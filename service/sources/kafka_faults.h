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

// Where the broker that an error of librdkafka speaks of told us to go, `host:port`, if that is
// none of those that we were told (`brokers`, as in the configuration); else empty.
std::string advertised_address(const std::string& error_text, const std::string& brokers);
// The error with all that can be said of it.
std::string explain_kafka_error(const std::string& error_name, const std::string& error_text,
                                const std::string& brokers);

}  // namespace millrace
