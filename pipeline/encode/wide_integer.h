// Integers of 128 and 256 bits, as far as the reading of their text needs them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace {

__extension__ using Uint128 = unsigned __int128;

// Words from the lowest up, two's complement; arithmetic wraps.
template <std::size_t kWords>
struct WideInteger {
  std::array<std::uint64_t, kWords> words{};

  void multiply_add(std::uint64_t factor, std::uint64_t summand) {
    Uint128 carry = summand;
    for (std::uint64_t& word : words) {
      carry += static_cast<Uint128>(word) * factor;
      word = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
  }
  void divide(std::uint64_t divisor) {
    Uint128 rest = 0;
    for (std::size_t i = kWords; i-- > 0;) {
      rest = (rest << 64) | words[i];
      words[i] = static_cast<std::uint64_t>(rest / divisor);
      rest %= divisor;
    }
  }
  void negate() {
    bool carry = true;
    for (std::uint64_t& word : words) {
      word = ~word + (carry ? 1 : 0);
      carry = carry && word == 0;
    }
  }
  bool operator==(const WideInteger&) const = default;
};

}  // namespace millrace
