// What somebody can do about an error of Kafka: rows as in pipeline/advice.h, by the name that
// librdkafka has for it ("TOPIC_AUTHORIZATION_FAILED"; its own begin with an underscore).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pipeline/advice.h"

namespace millrace {

std::span<const AdviceRow> kafka_advice();

// Empty when there is no advice.
std::string kafka_hint(std::string_view error_name);

}  // namespace millrace
