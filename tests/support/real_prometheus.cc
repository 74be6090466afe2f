#include "tests/support/real_prometheus.h"

#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

void write_targets(const std::filesystem::path& file, const std::vector<std::uint16_t>& ports) {
  std::string targets;
  for (const std::uint16_t port : ports) {
    targets += (targets.empty() ? "\"127.0.0.1:" : ",\"127.0.0.1:") + std::to_string(port) + '"';
  }
  // In one piece: Prometheus reads it whenever it changes.
  const std::filesystem::path made = file.string() + ".new";
  write_file(made, "[{\"targets\":[" + targets + "]}]");
  std::filesystem::rename(made, file);
}

ChildProcess::Options process_options(const std::filesystem::path& folder,
                                      const std::filesystem::path& targets_file,
                                      const std::vector<std::uint16_t>& targets,
                                      const std::vector<std::filesystem::path>& rule_files,
                                      std::uint16_t port) {
  std::filesystem::create_directories(folder);
  write_targets(targets_file, targets);
  std::string config =
      "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
      "scrape_configs:\n  - job_name: millrace\n    file_sd_configs: [{files: ['" +
      targets_file.string() + "'], refresh_interval: 1s}]\nrule_files:\n";
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

RealPrometheus::RealPrometheus(const std::filesystem::path& folder,
                               const std::vector<std::uint16_t>& targets,
                               const std::vector<std::filesystem::path>& rule_files)
    : port_(free_port()),
      targets_file_(folder / "targets.json"),
      process_(process_options(folder, targets_file_, targets, rule_files, port_)) {}

void RealPrometheus::set_targets(const std::vector<std::uint16_t>& targets) const {
  write_targets(targets_file_, targets);
}

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
