// Whether the limit of open file descriptors (ulimit -n) is enough for what the configuration asks.
#pragma once

#include <cstddef>
#include <string>

#include "service/config.h"

namespace millrace {

// What is open at most: connections to ClickHouse, to brokers, and to the admin port, and our own
// files. Brokers are not counted before the start, so it is an estimate. Pure.
std::size_t descriptors_needed(const Config& config);
// Empty when `limit` is enough; else the figures and what to do. Pure.
std::string descriptor_warning(const Config& config, std::size_t limit);

}  // namespace millrace
