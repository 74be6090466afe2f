#include "service/sources/kafka_faults.h"

namespace millrace {

void KafkaFaults::set(const std::string& subject, const std::string& text, LogLevel level) {
  {
    MutexLock lock(mutex_);
    std::string& current = faults_[subject];
    if (current == text) return;
    current = text;
  }
  if (log_) log_({level, "kafka/" + subject, text, {}});
}

void KafkaFaults::clear(const std::string& subject) {
  std::string text;
  {
    MutexLock lock(mutex_);
    const auto fault = faults_.extract(subject);
    if (fault.empty()) return;
    text = fault.mapped();
  }
  if (log_) log_({LogLevel::kInfo, "kafka/" + subject, "no longer: " + text, {}});
}

bool KafkaFaults::has(const std::string& subject) const {
  MutexLock lock(mutex_);
  return faults_.contains(subject);
}

std::vector<std::string> KafkaFaults::subjects(const std::string& prefix) const {
  std::vector<std::string> found;
  MutexLock lock(mutex_);
  for (const auto& [subject, text] : faults_) {
    if (subject.starts_with(prefix)) found.push_back(subject.substr(prefix.size()));
  }
  return found;
}

std::string KafkaFaults::reason() const {
  std::string reason;
  MutexLock lock(mutex_);
  for (const auto& [subject, text] : faults_) reason += (reason.empty() ? "" : "; ") + text;
  return reason;
}

}  // namespace millrace
