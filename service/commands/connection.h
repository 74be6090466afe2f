// Where `millrace query` and `millrace insert` connect to. Each of these goes before those below:
//
//   the other flags
//   --url
//   CLICKHOUSE_USER, CLICKHOUSE_PASSWORD, CLICKHOUSE_DATABASE
//   CLICKHOUSE_URL
//   the configuration file
//   the defaults
#pragma once

#include <map>
#include <string>

#include "transport/client_options.h"
#include "transport/proxy.h"  // Environment

namespace millrace {

// As typed; empty: not given.
struct ConnectionArguments {
  std::string config_file;
  std::string url;  // as ClientOptions::take_dsn()
  std::string user, password, database;
  std::string ca_cert, client_cert, client_cert_key, server_host_name;
  bool insecure = false;  // no check of the certificate
  std::map<std::string, std::string> settings;
};

// Throws ConfigError, UsageError. Neither shows a password.
ClientOptions connection_options(const ConnectionArguments& arguments,
                                 const Environment& environment);

}  // namespace millrace
