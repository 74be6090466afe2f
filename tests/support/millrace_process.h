// The program under test: the `millrace` of this build tree with a configuration of the test's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/http_get.h"

namespace millrace::test {

// What sanitizers are told in every process that tests start.
std::map<std::string, std::string> sanitizer_environment();

// Owned by one thread. A report of a sanitizer in its output fails the test.
class Millrace {
 public:
  // `config` is the YAML without the section `admin`, which is added with a free port.
  Millrace(std::filesystem::path folder, const std::string& config);
  ~Millrace();

  // Another configuration, for the next start or a reload.
  void configure(const std::string& config) const;

  // `stop_at`: a point at which it stops by itself, see pipeline/stop_hook.h.
  void start(const std::string& stop_at = {});
  void signal(int signal_number) { process_->signal(signal_number); }
  void kill9() { process_->kill9(); }
  // SIGTERM; the exit code. Fails the test when it does not end in time.
  int stop(std::chrono::seconds deadline = kPatience);
  std::optional<int> wait(std::chrono::seconds deadline) { return process_->wait(deadline); }
  // Success when it has come to its point.
  testing::AssertionResult comes_to_stop() const;
  bool running() { return process_ && process_->running(); }

  HttpReply get(const std::string& path) const { return http_request(port_, path); }
  HttpReply post(const std::string& path) const { return http_request(port_, path, " "); }
  // Sum of a metric's samples whose labels contain all the given texts, `table="events"` say;
  // nothing if there is none.
  std::optional<double> metric(const std::string& name,
                               const std::vector<std::string>& labels = {}) const;

  std::uint16_t port() const { return port_; }
  const std::filesystem::path& config_file() const { return config_file_; }
  std::string log() const { return process_ ? process_->output() : std::string(); }
  std::size_t resident_bytes() const { return process_->resident_bytes(); }
  Millis cpu_time() const { return process_->cpu_time(); }

 private:
  const std::filesystem::path folder_, config_file_;
  const std::uint16_t port_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace millrace::test
