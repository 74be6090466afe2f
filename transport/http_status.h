// What an answer without a ClickHouse code means: a proxy's, a balancer's, or that of something
// else that listens there. Pure.
#pragma once

#include "transport/error.h"

namespace millrace {

// 3xx and most 4xx do not pass by themselves: somebody must change the proxy or the configuration.
Disposition disposition_of_status(int http_status);

// A proxy takes no body of this size. Nothing of the request has reached ClickHouse.
bool is_too_large(const TransportError& error);

}  // namespace millrace
