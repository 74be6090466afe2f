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

std::string kafka_hint(const std::string& error_name) {
  static const std::map<std::string, std::string> kHints = {
      {"_ALL_BROKERS_DOWN", "is the broker up, and is `source.kafka.brokers` right?"},
      {"_TRANSPORT", "is the broker up, and is `source.kafka.brokers` right?"},
      {"_TIMED_OUT", "is the broker up, and is `source.kafka.brokers` right?"},
      {"_RESOLVE", "check the host names in `source.kafka.brokers`"},
      {"_AUTHENTICATION", "check `sasl.*` in `source.kafka.options`"},
      {"SASL_AUTHENTICATION_FAILED", "check `sasl.*` in `source.kafka.options`"},
      {"_SSL", "check `security.protocol` and `ssl.*` in `source.kafka.options`"},
      {"UNKNOWN_TOPIC_OR_PART", "create the topic or mend `source.kafka.topics`"},
      {"_UNKNOWN_TOPIC", "create the topic or mend `source.kafka.topics`"},
      {"TOPIC_AUTHORIZATION_FAILED", "the user needs READ and DESCRIBE on the topic"},
      {"GROUP_AUTHORIZATION_FAILED", "the user needs READ on `source.kafka.group`"},
      {"INCONSISTENT_GROUP_PROTOCOL",
       "other members of `source.kafka.group` use another `source.kafka.assignment`"},
      {"FENCED_INSTANCE_ID", "another process uses this `group.instance.id`"},
      {"_MAX_POLL_EXCEEDED", "raise `max.poll.interval.ms` in `source.kafka.options`"},
  };
  const auto found = kHints.find(error_name);
  return found == kHints.end() ? "" : found->second;
}

}  // namespace millrace
