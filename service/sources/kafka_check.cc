#include "service/sources/kafka_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "service/sources/kafka_client.h"
#include "service/sources/kafka_faults.h"
#include "service/sources/kafka_pattern.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

// Options that have a setting of their own, or on which it depends that nothing is lost.
const std::map<std::string, std::string>& reserved_options() {
  static const std::map<std::string, std::string> kReserved = {
      {"bootstrap.servers", "set `brokers`"},
      {"metadata.broker.list", "set `brokers`"},
      {"group.id", "set `group`"},
      {"partition.assignment.strategy", "set `assignment`"},
      {"auto.offset.reset", "set `start_offset`"},
      {"enable.auto.commit", "offsets are committed when ClickHouse has the rows"},
      {"auto.commit.enable", "offsets are committed when ClickHouse has the rows"},
      {"enable.auto.offset.store", "offsets are committed when ClickHouse has the rows"},
  };
  return kReserved;
}

std::string describe(const std::string& subject, const KafkaError& error,
                     const KafkaSourceOptions& options) {
  return subject + ": " + explain_kafka_error(error.name, error.text, options.brokers);
}

// The reason behind "timed out", if librdkafka has told one by now.
KafkaError cause(KafkaConsumer& consumer, KafkaError error) {
  (void)consumer.poll(milliseconds{0});
  for (KafkaError& each : consumer.take_errors()) {
    if (each.name != "_ALL_BROKERS_DOWN") error = std::move(each);
  }
  return error;
}

// The broker that answers first only says where the others are: those which lead a partition, and
// the one that keeps the group, must be reached as well.
std::string unreachable(KafkaConsumer& consumer, const std::string& topic,
                        const KafkaSourceOptions& options, milliseconds timeout) {
  KafkaPartitions partitions;
  if (const KafkaError error = consumer.find_leaders(topic, timeout, partitions))
    return describe("topic " + topic, cause(consumer, error), options);
  for (const KafkaPartition& each : partitions) {
    KafkaConsumer::Watermarks marks;
    if (const KafkaError error = consumer.query_watermarks(each, timeout, marks))
      return describe("topic " + topic, cause(consumer, error), options);
  }
  if (partitions.empty()) return "";
  if (const KafkaError error = consumer.committed(partitions, timeout))
    return describe("group " + options.group, cause(consumer, error), options);
  return "";
}

}  // namespace

std::string check_assignment(const std::string& assignment) {
  return assignment_refusal(assignment, kafka_library_version());
}

std::vector<std::string> validate_kafka_options(const KafkaSourceOptions& options) {
  std::vector<std::string> faults;
  for (const auto& [name, value] : options.options) {
    const auto found = reserved_options().find(name);
    if (found != reserved_options().end()) {
      faults.push_back("librdkafka option " + name + " cannot be set here: " + found->second);
    }
  }
  static const std::set<std::string> kStarts = {"earliest", "latest", "error"};
  if (!kStarts.contains(options.start_offset)) {
    faults.push_back("start_offset: `" + options.start_offset +
                     "` is none of earliest, latest, error");
  }
  // librdkafka looks at these only when it makes a consumer.
  static const std::set<std::string> kAssignments = {"range", "roundrobin", "cooperative-sticky"};
  if (!kAssignments.contains(options.assignment)) {
    faults.push_back("assignment: `" + options.assignment +
                     "` is none of range, roundrobin, cooperative-sticky");
  }
  if (options.topics.empty()) faults.push_back("topics: at least one is needed");
  for (const std::string& topic : options.topics) {
    if (!topic.starts_with('^')) continue;
    if (const std::string fault = KafkaPattern(topic).fault(); !fault.empty()) {
      faults.push_back("topics: `" + topic + "` is not a POSIX extended pattern: " + fault);
    }
  }
  (void)make_kafka_conf(options, "millrace-check", faults);
  if (!faults.empty()) return faults;
  // The rest of its rules librdkafka applies only when it makes a client.
  if (const std::string refused = consumer_refused(options, "millrace-check"); !refused.empty()) {
    faults.push_back("librdkafka refuses `options`: " + refused);
  }
  return faults;
}

std::vector<std::string> check_kafka(const KafkaSourceOptions& options, milliseconds timeout) {
  std::vector<std::string> faults = validate_kafka_options(options);
  if (!faults.empty()) return faults;
  try {
    KafkaConsumer consumer(options, "millrace-check", {});
    std::vector<std::string> names;
    if (const KafkaError error = consumer.list_topics(timeout, names)) {
      return {describe("brokers " + options.brokers, cause(consumer, error), options)};
    }
    std::set<std::string> found;
    for (const std::string& topic : options.topics) {
      if (!topic.starts_with('^')) {
        found.insert(topic);
        if (const KafkaError error = consumer.find_topic(topic, timeout)) {
          faults.push_back(describe("topic " + topic, error, options));
        }
        continue;
      }
      const KafkaPattern pattern(topic);
      const auto first = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
        return pattern.matches(name);
      });
      if (first != names.end()) {
        found.insert(*first);
      } else {
        faults.push_back("topic " + topic + ": matches none of " + std::to_string(names.size()) +
                         " topics");
      }
    }
    for (const std::string& topic : found) {
      if (!faults.empty()) break;
      if (std::string fault = unreachable(consumer, topic, options, timeout); !fault.empty())
        faults.push_back(std::move(fault));
    }
  } catch (const std::runtime_error& error) {
    faults.emplace_back(error.what());
  }
  return faults;
}

}  // namespace millrace
