// What a Kafka source is told. Immutable once the config is finalised; knows nothing of librdkafka.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "pipeline/table_target.h"

namespace millrace {

enum class Tombstones { kSkip, kEmptyPayload };

struct KafkaSourceOptions {
  std::string brokers;
  std::string group = "millrace";
  std::vector<std::string> topics;  // names, or one pattern each: `^events\..*`
  unsigned consumers = 1;           // consumer threads, each a member of the group
  std::string assignment = "range";
  std::string start_offset = "earliest";  // where a group that has committed nothing starts
  std::size_t prefetch_bytes = 32u
                               << 20;  // librdkafka's queue, of each consumer; part of the budget
  std::chrono::milliseconds commit_interval{1'000};
  Tombstones tombstones = Tombstones::kSkip;
  Delivery delivery = Delivery::kAuto;
  std::map<std::string, std::string> options;  // handed to librdkafka as they are; win over ours
};

}  // namespace millrace
