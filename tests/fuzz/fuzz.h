// What all fuzz programs need: a check that ends the program, and input cut into pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace millrace::fuzz {

// The fuzzer takes an abort for what it is looking for, and saves the input.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// Calls `use` with `bytes` in pieces of 1 to 32 bytes as `seed` decides, or all at once if it is 0.
// Each piece has memory of its own, so that AddressSanitizer sees who reads beyond or too late.
template <typename Use>
void in_pieces(std::string_view bytes, std::uint32_t seed, Use use) {
  if (seed == 0) {
    use(bytes);
    return;
  }
  while (!bytes.empty()) {
    seed = seed * 1664525u + 1013904223u;  // a linear congruence: the high bits are random
    const std::uint32_t most = 1u << ((seed >> 28) % 6);
    const std::size_t size = std::min<std::size_t>(bytes.size(), 1 + (seed >> 16) % most);
    const std::vector<char> piece(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    use(std::string_view(piece.data(), piece.size()));
    bytes.remove_prefix(size);
  }
}

}  // namespace millrace::fuzz
