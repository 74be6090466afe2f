// The commands that steer a running service over its admin port, for containers without a shell:
// the port and the token are those of the configuration.
#pragma once

#include <string>
#include <vector>

namespace millrace {

struct AdminConfig;

// Where to ask a service that may listen on all addresses of this host.
std::string admin_host(const AdminConfig& admin);

struct AdminArguments {
  std::string config_file;
  std::vector<std::string> pipelines;  // of pause and resume; none: all of the configuration
  std::string level;                   // of log-level
};

// "reload", "drain", "log-level", "pause", "resume". Prints the answers. 0; 1 when the service
// refuses or does not answer. Throws ConfigError, and UsageError for a port that nobody knows.
int admin_command(const std::string& command, const AdminArguments& arguments);

}  // namespace millrace
