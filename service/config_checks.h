// What single settings cannot say: pairs that contradict each other, names and options that would
// break a promise. Pure, but for the compiling of patterns, and TLS files, which are tried.
#pragma once

#include "service/config_faults.h"

namespace millrace {

// Adds what is wrong to `faults`.
void check_config(const Config& config, ConfigFaults& faults);

}  // namespace millrace
