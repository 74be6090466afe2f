// Whether a Kafka source can work, found out before the service starts.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "service/sources/kafka_options.h"

namespace millrace {

// Why partitions may not be shared out so with the librdkafka that is linked; empty when they may.
std::string check_assignment(const std::string& assignment);

// Faults of the settings alone: unknown librdkafka options, bad values, options that are ours to
// set, bad patterns. Connects to nothing. Empty: none.
std::vector<std::string> validate_kafka_options(const KafkaSourceOptions& options);

// Connects, and asks for the topics. Takes `timeout` at most. Empty: all is well.
std::vector<std::string> check_kafka(const KafkaSourceOptions& options,
                                     std::chrono::milliseconds timeout);

}  // namespace millrace
