// Pipelines of one configuration that would take each other's partitions.
#pragma once

#include <string>

#include "service/config.h"
#include "service/config_faults.h"

namespace millrace {

// Whether a topic can be meant by both: names, or patterns (`^…`). Of two patterns it says so when
// one can't see from how they begin that there is no such topic.
bool may_be_one_topic(const std::string& a, const std::string& b);

// Two pipelines that read a topic in one group would each get some of its partitions only.
void check_shared_topics(const Config& config, ConfigFaults& faults);

}  // namespace millrace
