// The seed of a random test: printed, and given again with MILLRACE_SEED=number.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace millrace::testing {

inline std::uint64_t test_seed() {
  const char* given = std::getenv("MILLRACE_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  std::cout << "MILLRACE_SEED=" << seed << std::endl;
  return seed;
}

}  // namespace millrace::testing
