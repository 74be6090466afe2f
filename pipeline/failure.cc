#include "pipeline/failure.h"

#include "transport/error.h"

namespace millrace {

LaneWait describe_failure(const std::exception& error) {
  LaneWait failure;
  failure.message = error.what();
  failure.reason = "internal_error";
  const auto* transport = dynamic_cast<const TransportError*>(&error);
  if (transport == nullptr) return failure;

  failure.disposition = transport->disposition();
  failure.code = transport->code();
  failure.reason = transport->name().empty() ? "transport" : transport->name();
  if (const auto* server = dynamic_cast<const ClickHouseError*>(&error)) {
    failure.reason = !server->details().name.empty() ? server->details().name
                     : server->code() != 0
                         ? "code_" + std::to_string(server->code())
                         : "HTTP_" + std::to_string(server->details().http_status);
  } else if (const auto* network = dynamic_cast<const NetworkError*>(&error)) {
    failure.reason = to_string(network->kind());
  } else if (dynamic_cast<const PoolTimeoutError*>(&error) != nullptr) {
    failure.reason = "pool_timeout";
  }
  return failure;
}

}  // namespace millrace
