// What a server says of itself when it is asked once.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "transport/setting_rules.h"

namespace millrace {

class ClientCore;

// Its version, and its settings with their values for this user. Immutable.
struct ServerInfo {
  std::string version, timezone;
  ServerSettings settings;
};

// Asks with the core's credentials, outside of its ClickHouse session and without its settings. The
// answer serves all clients with the same endpoint and user for a minute. Throws what a query
// throws.
std::shared_ptr<const ServerInfo> ask_server(const std::shared_ptr<ClientCore>& core);

// Adds a setting that the user did not give, if the server knows it, this user may change it, and
// it has another value.
void add_if_writable(const ServerInfo& info,
                     std::map<std::string, std::string, std::less<>>& params,
                     const std::string& name, const std::string& value);

}  // namespace millrace
