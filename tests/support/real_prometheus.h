// A real Prometheus of the test's own that scrapes one millrace every second.
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
  // `target`: the admin port to be scraped, as job "millrace".
  RealPrometheus(const std::filesystem::path& folder, std::uint16_t target,
                 const std::vector<std::filesystem::path>& rule_files = {});

  // The answer's JSON.
  std::string query(const std::string& promql) const;
  // Whether the answer has a number: something that is not NaN.
  bool has_number(const std::string& promql) const;

 private:
  const std::uint16_t port_;
  ChildProcess process_;
};

}  // namespace millrace::test
