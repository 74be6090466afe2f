#include "service/sources/kafka_faults.h"

#include <sstream>
#include <string_view>

#include "service/sources/kafka_advice.h"

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

namespace {

std::string without_scheme(const std::string& address) {
  const std::size_t scheme = address.find("://");
  return scheme == std::string::npos ? address : address.substr(scheme + 3);
}

// The address of a broker that librdkafka knows by its number, or as the coordinator of the group:
//   sasl_ssl://host:9092/1: Failed to …        host:9092/bootstrap is one that we were told
//   GroupCoordinator: host:9092: Failed to …
std::string learned_address(std::string text) {
  constexpr std::string_view kCoordinator = "GroupCoordinator: ";
  if (text.starts_with(kCoordinator)) {
    text = text.substr(kCoordinator.size());
    const std::size_t end = text.find(": ");
    return end == std::string::npos ? "" : without_scheme(text.substr(0, end));
  }
  const std::size_t colon = text.find(": ");
  if (colon == std::string::npos) return "";
  const std::size_t slash = text.rfind('/', colon);
  if (slash == std::string::npos || slash + 1 == colon) return "";
  const std::string number = text.substr(slash + 1, colon - slash - 1);
  if (number.find_first_not_of("0123456789") != std::string::npos) return "";
  return without_scheme(text.substr(0, slash));
}

}  // namespace

std::string advertised_address(const std::string& error_text, const std::string& brokers) {
  std::string address = learned_address(error_text);
  if (address.empty() || address.find(':') == std::string::npos) return "";
  std::stringstream list(brokers);
  for (std::string broker; std::getline(list, broker, ',');) {
    std::erase(broker, ' ');
    broker = without_scheme(broker);
    if (broker.find(':') == std::string::npos) broker += ":9092";
    if (broker == address) return "";
  }
  return address;
}

std::string explain_kafka_error(const std::string& error_name, const std::string& error_text,
                                const std::string& brokers) {
  const std::string address = advertised_address(error_text, brokers);
  if (!address.empty() && (error_name == "_RESOLVE" || error_name == "_TRANSPORT"))
    return "the broker at " + brokers + " says that clients must go to " + address +
           ": advertised.listeners of the broker must name an address that this host can resolve "
           "and reach (" +
           error_text + ")";
  const std::string hint = kafka_hint(error_name);
  return error_text + " (" + error_name + ")" + (hint.empty() ? "" : ": " + hint);
}

}  // namespace millrace
