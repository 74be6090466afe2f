// What a failed attempt means for people: label and text. What to do about it: advice.h.
#pragma once

#include <exception>

#include "pipeline/lane.h"

namespace millrace {

// `attempts` and `since` are left to the caller. An exception that is not a TransportError is a
// fault in the program: it is retried, as nothing may be lost, and its reason is "internal_error".
LaneWait describe_failure(const std::exception& error);

}  // namespace millrace
