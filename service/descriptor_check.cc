#include "service/descriptor_check.h"

namespace millrace {
namespace {

constexpr std::size_t kProcess = 64;  // log, libraries, files that are read
constexpr std::size_t kAdmin = 64;    // connections; more where the limit has room for them
// Of one consumer: pipes and timers of librdkafka, and a connection to each of so many brokers.
constexpr std::size_t kConsumer = 16, kBrokers = 32;

}  // namespace

std::size_t descriptors_needed(const Config& config) {
  std::size_t needed = kProcess + kAdmin;
  needed += config.clickhouse.endpoints.size() * config.clickhouse.pool.hard_limit;
  for (const PipelineConfig& pipeline : config.pipelines)
    needed += pipeline.kafka.consumers * (kConsumer + kBrokers);
  return needed;
}

std::string descriptor_warning(const Config& config, std::size_t limit) {
  const std::size_t needed = descriptors_needed(config);
  if (limit >= needed) return "";
  std::size_t consumers = 0;
  for (const PipelineConfig& pipeline : config.pipelines) consumers += pipeline.kafka.consumers;
  return "the limit of open files is " + std::to_string(limit) + ", and up to " +
         std::to_string(needed) + " may be needed: clickhouse.pool.hard_limit " +
         std::to_string(config.clickhouse.pool.hard_limit) + " for each of " +
         std::to_string(config.clickhouse.endpoints.size()) + " endpoints, " +
         std::to_string(kConsumer + kBrokers) + " for each of " + std::to_string(consumers) +
         " consumers, and " + std::to_string(kProcess + kAdmin) +
         " others; raise it (ulimit -n, LimitNOFILE=), or lower hard_limit";
}

}  // namespace millrace
