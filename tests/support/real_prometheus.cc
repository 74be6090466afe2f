#include "tests/support/real_prometheus.h"

#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

ChildProcess::Options process_options(const std::filesystem::path& folder, std::uint16_t target,
                                      const std::vector<std::filesystem::path>& rule_files,
                                      std::uint16_t port) {
  std::filesystem::create_directories(folder);
  std::string config =
      "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
      "scrape_configs:\n  - job_name: millrace\n    static_configs: [{targets: ['127.0.0.1:" +
      std::to_string(target) + "']}]\nrule_files:\n";
  for (const auto& file : rule_files) config += "  - '" + file.string() + "'\n";
  write_file(folder / "prometheus.yml", config);
  return {
      .name = "Prometheus",
      .arguments = {"/usr/bin/prometheus", "--config.file=" + (folder / "prometheus.yml").string(),
                    "--storage.tsdb.path=" + (folder / "data").string(),
                    "--web.listen-address=127.0.0.1:" + std::to_string(port)},
      .output = folder / "log",
      .environment = {}};
}

}  // namespace

RealPrometheus::RealPrometheus(const std::filesystem::path& folder, std::uint16_t target,
                               const std::vector<std::filesystem::path>& rule_files)
    : port_(free_port()), process_(process_options(folder, target, rule_files, port_)) {}

std::string RealPrometheus::query(const std::string& promql) const {
  return http_request(port_, "/api/v1/query?query=" + url_encode(promql)).body;
}

bool RealPrometheus::has_number(const std::string& promql) const {
  // Each series ends in "value":[1700000000.1,"42"].
  const std::string answer = query(promql);
  for (std::size_t at = 0; (at = answer.find("\"value\":[", at)) != std::string::npos; ++at) {
    if (answer.compare(answer.find(",\"", at) + 2, 3, "NaN") != 0) return true;
  }
  return false;
}

}  // namespace millrace::test
