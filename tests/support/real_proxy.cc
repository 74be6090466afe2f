#include "tests/support/real_proxy.h"

#include <utility>

#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

using std::to_string;

std::string nginx_config(const RealProxy::Options& options, std::uint16_t port) {
  const std::string folder = options.folder.string();
  std::string config =
      "daemon off; master_process off; user root;\n"
      "pid " +
      folder + "/nginx.pid; error_log stderr;\nevents {}\nhttp {\n  access_log off;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    config += std::string("  ") + kind + "_temp_path " + folder + "/" + kind + ";\n";
  return config + "  server {\n    listen 127.0.0.1:" + to_string(port) +
         ";\n    location / {\n      proxy_pass http://127.0.0.1:" + to_string(options.upstream) +
         ";\n      " + options.rules + "\n    }\n  }\n}\n";
}

std::string haproxy_config(const RealProxy::Options& options, std::uint16_t port) {
  return "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 60s\n"
         "  timeout server 60s\nfrontend front\n  bind 127.0.0.1:" +
         to_string(port) + "\n  " + options.rules +
         "\n  default_backend back\nbackend back\n  server only 127.0.0.1:" +
         to_string(options.upstream) + "\n";
}

}  // namespace

RealProxy::RealProxy(Options options) : options_(std::move(options)), port_(free_port()) {
  std::filesystem::create_directories(options_.folder);
  start();
}

void RealProxy::restart(const std::string& rules) {
  options_.rules = rules;
  process_.reset();
  start();
}

void RealProxy::start() {
  const bool nginx = options_.kind == ProxyKind::kNginx;
  const std::string name = nginx ? "nginx" : "haproxy";
  const std::string file = (options_.folder / (name + ".conf")).string();
  write_file(file, nginx ? nginx_config(options_, port_) : haproxy_config(options_, port_));
  const std::vector<std::string> nginx_command{
      "/usr/sbin/nginx", "-p", options_.folder.string(), "-e", "stderr", "-c", file};
  const std::vector<std::string> haproxy_command{"/usr/sbin/haproxy", "-db", "-f", file};
  process_ = std::make_unique<ChildProcess>(
      ChildProcess::Options{.name = name,
                            .arguments = nginx ? nginx_command : haproxy_command,
                            .output = options_.folder / "log",
                            .environment = {}});
  const auto answers = [&] { return http_request(port_, "/").status != 0; };
  const auto listens = eventually(answers, kPatience, name + " listens");
  if (!listens) throw std::runtime_error(name + " does not listen: " + process_->output_tail());
}

}  // namespace millrace::test
