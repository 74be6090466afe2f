#include "tests/support/millrace_process.h"

#include <algorithm>
#include <csignal>
#include <sstream>

#include "tests/support/files.h"

namespace millrace::test {
namespace {

bool sanitizer_complained(const std::string& log) {
  return log.find("Sanitizer:") != std::string::npos ||
         log.find("runtime error:") != std::string::npos;
}

bool starts_sample_of(const std::string& line, const std::string& metric) {
  return line.starts_with(metric) && (line[metric.size()] == '{' || line[metric.size()] == ' ');
}

}  // namespace

std::map<std::string, std::string> sanitizer_environment() {
  const std::string suppressions = project_file("tests/tsan.supp").string();
  return {{"TSAN_OPTIONS", "second_deadlock_stack=1:suppressions=" + suppressions},
          {"ASAN_OPTIONS", "detect_stack_use_after_return=1"},
          {"UBSAN_OPTIONS", "print_stacktrace=1"}};
}

Millrace::Millrace(std::filesystem::path folder, const std::string& config)
    : folder_(std::move(folder)), config_file_(folder_ / "millrace.yaml"), port_(free_port()) {
  std::filesystem::create_directories(folder_);
  configure(config);
}

void Millrace::configure(const std::string& config) const {
  write_file(config_file_,
             config + "\nadmin: {listen: '127.0.0.1:" + std::to_string(port_) + "'}\n");
}

Millrace::~Millrace() {
  if (!process_) return;
  EXPECT_FALSE(sanitizer_complained(process_->output())) << process_->output();
}

void Millrace::start(const std::string& stop_at) {
  process_.reset();
  auto environment = sanitizer_environment();
  if (!stop_at.empty()) environment["MILLRACE_STOP_AT"] = stop_at;
  process_ = std::make_unique<ChildProcess>(ChildProcess::Options{
      .name = "millrace",
      .arguments = {built_program("millrace").string(), "run", "-c", config_file_.string()},
      .output = folder_ / "log",
      .environment = std::move(environment)});
}

testing::AssertionResult Millrace::comes_to_stop() const {
  return eventually([&] { return process_->stopped(); }, kPatience, "millrace stops by itself",
                    Millis{5});
}

int Millrace::stop(std::chrono::seconds deadline) {
  signal(SIGTERM);
  const auto code = wait(deadline);
  EXPECT_TRUE(code.has_value()) << "millrace runs on, " << deadline.count() << " s after SIGTERM";
  return code.value_or(-1);
}

std::optional<double> Millrace::metric(const std::string& name,
                                       const std::vector<std::string>& labels) const {
  std::istringstream lines(get("/metrics").body);
  std::optional<double> sum;
  for (std::string line; std::getline(lines, line);) {
    const auto has = [&](const std::string& label) {
      return line.find(label) != std::string::npos;
    };
    if (!starts_sample_of(line, name) || !std::all_of(labels.begin(), labels.end(), has)) continue;
    sum = sum.value_or(0) + std::stod(line.substr(line.rfind(' ')));
  }
  return sum;
}

}  // namespace millrace::test
