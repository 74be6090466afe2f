#include "service/shared_topics.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>
#include <string_view>

#include "service/sources/kafka_pattern.h"

namespace millrace {
namespace {

std::set<std::string> brokers_of(const KafkaSourceOptions& kafka) {
  std::set<std::string> brokers;
  std::stringstream list(kafka.brokers);
  for (std::string broker; std::getline(list, broker, ',');) {
    std::erase(broker, ' ');
    brokers.insert(broker);
  }
  return brokers;
}

bool share_a_broker(const KafkaSourceOptions& a, const KafkaSourceOptions& b) {
  const std::set<std::string> brokers = brokers_of(a);
  const std::set<std::string> others = brokers_of(b);
  return std::any_of(others.begin(), others.end(),
                     [&](const std::string& broker) { return brokers.contains(broker); });
}

// Whether the whole pattern is one of several ("a|b", unlike "(a|b)c").
bool has_alternatives(const std::string& pattern) {
  int depth = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
      continue;
    }
    depth += pattern[i] == '(' ? 1 : pattern[i] == ')' ? -1 : 0;
    if (pattern[i] == '|' && depth == 0) return true;
  }
  return false;
}

// What each topic of a pattern begins with.
std::string literal_start(const std::string& pattern) {
  std::string start;
  for (std::size_t i = 1; i < pattern.size(); ++i) {
    if (std::string_view("*?{").find(pattern[i]) != std::string_view::npos) {
      if (!start.empty()) start.pop_back();  // it may be missing
      break;
    }
    const bool escaped = pattern[i] == '\\' && i + 1 < pattern.size();
    if (escaped ? std::isalnum(static_cast<unsigned char>(pattern[i + 1])) != 0  // `\w`, say
                : std::string_view(".[]()+^$|\\").find(pattern[i]) != std::string_view::npos)
      break;
    if (escaped) ++i;
    start += pattern[i];
  }
  return has_alternatives(pattern) ? "" : start;
}

std::string shared_topic(const std::string& topic, const std::string& other_topic,
                         const PipelineConfig& other) {
  const std::string reads =
      "pipeline \"" + other.name + "\" reads " +
      (topic == other_topic ? "topic \"" + topic + "\" in group \"" + other.kafka.group + "\" too"
                            : "\"" + other_topic + "\" in group \"" + other.kafka.group +
                                  "\", and a topic can be of that and of \"" + topic + "\"");
  return reads + ", so each would get some of its partitions only; give one of them another group";
}

void check_shared_topics(const PipelineConfig& pipeline, const PipelineConfig& other,
                         const std::string& path, ConfigFaults& faults) {
  const KafkaSourceOptions& kafka = pipeline.kafka;
  if (kafka.group != other.kafka.group || !share_a_broker(kafka, other.kafka)) return;
  for (const std::string& topic : std::set(kafka.topics.begin(), kafka.topics.end())) {
    const auto found =
        std::find_if(other.kafka.topics.begin(), other.kafka.topics.end(),
                     [&](const std::string& each) { return may_be_one_topic(topic, each); });
    if (found != other.kafka.topics.end()) faults.add(path, shared_topic(topic, *found, other));
  }
}

}  // namespace

bool may_be_one_topic(const std::string& a, const std::string& b) {
  if (!a.starts_with('^')) return b.starts_with('^') ? KafkaPattern(b).matches(a) : a == b;
  if (!b.starts_with('^')) return KafkaPattern(a).matches(b);
  const std::string one = literal_start(a), other = literal_start(b);
  return one.starts_with(other) || other.starts_with(one);
}

void check_shared_topics(const Config& config, ConfigFaults& faults) {
  for (std::size_t i = 0; i < config.pipelines.size(); ++i) {
    const std::string path = "pipelines[" + std::to_string(i) + "].source.kafka.group";
    for (std::size_t before = 0; before < i; ++before)
      check_shared_topics(config.pipelines[i], config.pipelines[before], path, faults);
  }
}

}  // namespace millrace
