// A real Prometheus of the test's own that scrapes every millrace it is told of each second.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace millrace::test {

// Owned by one thread.
class RealPrometheus {
 public:
  // `targets`: the admin ports to be scraped, as job "millrace".
  RealPrometheus(const std::filesystem::path& folder, const std::vector<std::uint16_t>& targets,
                 const std::vector<std::filesystem::path>& rule_files = {});

  // What a service discovery would find from now on; the series of others end.
  void set_targets(const std::vector<std::uint16_t>& targets) const;

  // The answer's JSON.
  std::string query(const std::string& promql) const;
  // Whether the answer has a number: something that is not NaN.
  bool has_number(const std::string& promql) const;

 private:
  const std::uint16_t port_;
  const std::filesystem::path targets_file_;
  ChildProcess process_;
};

}  // namespace millrace::test
