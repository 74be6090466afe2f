// What the tests of the configuration share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "service/config.h"

namespace millrace {

// The smallest useful file, with `pipeline` lines (indented by four) added to its only pipeline and
// `process` lines at the end. Its first added line of a pipeline is line 7.
inline std::string minimal(const std::string& pipeline = "", const std::string& process = "") {
  return "clickhouse:\n"
         "  endpoints: [http://127.0.0.1:8123]\n"
         "pipelines:\n"
         "  - name: events\n"
         "    source: {kafka: {brokers: 127.0.0.1:9092, group: millrace, topics: [events]}}\n"
         "    table: events\n" +
         pipeline + process;
}

// All faults of a file, one a line; empty when it is good.
inline std::string faults_of(const std::string& yaml) {
  try {
    parse_config(yaml, "m.yaml");
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

// For INSTANTIATE_TEST_SUITE_P over structs with a name.
inline constexpr auto name_of_case = [](const auto& test) { return test.param.name; };

// Sets an environment variable for a scope.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~ScopedEnvironment() { unsetenv(name_); }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  const char* name_;
};

}  // namespace millrace
