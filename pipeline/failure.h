// What a failed attempt means for people: label, text, and what to do about it.
#pragma once

#include <exception>
#include <string>

#include "pipeline/lane.h"

namespace millrace {

// `attempts` and `since` are left to the caller. An exception that is not a TransportError is a
// fault in the program: it is retried, as nothing may be lost, and its reason is "internal_error".
LaneWait describe_failure(const std::exception& error);

// One sentence for the operator: which setting or statement mends it; that it mends itself if so.
std::string advice_for(const LaneWait& failure, const std::string& table);

}  // namespace millrace
