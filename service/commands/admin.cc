#include "service/commands/admin.h"

#include <iostream>

#include "service/config.h"
#include "service/config_value.h"
#include "transport/http_exchange.h"
#include "transport/http_session_pool.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kPatience{10};

Endpoint admin_endpoint(const AdminConfig& admin) {
  if (admin.port == 0)
    throw UsageError(
        "admin.listen has port 0, so nobody knows the port: set one, or send a signal");
  return {.host = admin_host(admin), .port = admin.port};
}

// The body of the answer to a POST; throws std::runtime_error where it is no success.
std::string post(const AdminConfig& admin, const std::string& target) {
  const SteadyTime deadline = deadline_after(kPatience);
  HttpSessionPool pool;
  HttpSessionLease lease = pool.acquire(admin_endpoint(admin), deadline);
  HttpExchange exchange(lease.session(), {.deadline = deadline});
  HttpRequest request{.target = target};
  if (!admin.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + admin.token);
  exchange.send(request);
  const int status = exchange.receive_head().status;
  std::string body;
  for (std::string_view part; !(part = exchange.read()).empty();) body += part;
  if (status < 200 || status > 299)
    throw std::runtime_error("the service refuses (HTTP " + std::to_string(status) + "): " + body);
  return body;
}

// What to ask for, one after the other.
std::vector<std::string> targets(const std::string& command, const AdminArguments& arguments,
                                 const Config& config) {
  if (command == "reload" || command == "drain") return {"/" + command};
  if (command == "log-level") return {"/log-level?level=" + arguments.level};
  std::vector<std::string> all;
  for (const std::string& name : arguments.pipelines) all.push_back(name);
  if (all.empty())
    for (const PipelineConfig& pipeline : config.pipelines) all.push_back(pipeline.name);
  for (std::string& each : all) each = "/pipelines/" + each + "/" + command;
  return all;
}

}  // namespace

std::string admin_host(const AdminConfig& admin) {
  if (admin.host == "0.0.0.0") return "127.0.0.1";
  if (admin.host == "::") return "::1";
  return admin.host;
}

int admin_command(const std::string& command, const AdminArguments& arguments) {
  const Config config = load_config(arguments.config_file);
  try {
    for (const std::string& target : targets(command, arguments, config))
      std::cout << post(config.admin, target) << std::flush;
    return 0;
  } catch (const UsageError&) {
    throw;
  } catch (const std::exception& error) {
    std::cerr << "millrace: " << print_host_port(config.admin.host, config.admin.port) << ": "
              << error.what() << "\n";
    return 1;
  }
}

}  // namespace millrace
