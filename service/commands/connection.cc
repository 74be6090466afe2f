#include "service/commands/connection.h"

#include <utility>

#include "service/config.h"

namespace millrace {
namespace {

// The first endpoint: a single statement goes to one server.
void take_from_config(const Config& config, ClientOptions& options) {
  const ClientOptions defaults = options;
  options = config.clickhouse.client;
  options.pool_mgr = defaults.pool_mgr;
  const Endpoint& endpoint = config.clickhouse.endpoints.front();
  options.host = endpoint.host;
  options.port = endpoint.port;
  options.secure = endpoint.secure;
  options.proxy_path = endpoint.path;
}

void take(const std::string& value, std::string& into) {
  if (!value.empty()) into = value;
}

}  // namespace

ClientOptions connection_options(const ConnectionArguments& arguments,
                                 const Environment& environment) {
  ClientOptions options;
  options.session_policy = ClickHouseSessionPolicy::kNone;
  if (!arguments.config_file.empty()) {
    take_from_config(load_config(arguments.config_file), options);
    options.session_policy = ClickHouseSessionPolicy::kNone;
  }
  // A result or a file may be of any size; what is bounded is each wait for progress.
  options.client_name = "millrace-cli";
  options.query_retries = 2;
  if (const std::string url = environment("CLICKHOUSE_URL"); !url.empty()) options.take_dsn(url);
  take(environment("CLICKHOUSE_USER"), options.user);
  take(environment("CLICKHOUSE_PASSWORD"), options.password);
  take(environment("CLICKHOUSE_DATABASE"), options.database);
  if (!arguments.url.empty()) options.take_dsn(arguments.url);
  take(arguments.user, options.user);
  take(arguments.password, options.password);
  take(arguments.database, options.database);
  for (const auto& [name, value] : arguments.settings) options.settings[name] = value;
  take(arguments.ca_cert, options.tls.ca_cert);
  take(arguments.client_cert, options.tls.client_cert);
  take(arguments.client_cert_key, options.tls.client_cert_key);
  take(arguments.server_host_name, options.tls.server_host_name);
  if (arguments.insecure) options.tls.verify = false;
  return options;
}

}  // namespace millrace
