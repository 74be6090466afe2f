#include "transport/wide_number.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace millrace::wide {
namespace {

using Limbs = std::array<std::uint32_t, 8>;  // the lowest first

// False when it does not fit.
bool times_ten_plus(Limbs& limbs, unsigned digit) {
  std::uint64_t carry = digit;
  for (std::uint32_t& limb : limbs) {
    carry += std::uint64_t{limb} * 10;
    limb = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  return carry == 0;
}

// Divides by ten; returns the rest.
unsigned take_digit(Limbs& limbs) {
  std::uint64_t rest = 0;
  for (auto limb = limbs.rbegin(); limb != limbs.rend(); ++limb) {
    rest = (rest << 32) | *limb;
    *limb = static_cast<std::uint32_t>(rest / 10);
    rest %= 10;
  }
  return static_cast<unsigned>(rest);
}

void negate(Limbs& limbs) {
  std::uint64_t carry = 1;
  for (std::uint32_t& limb : limbs) {
    carry += static_cast<std::uint32_t>(~limb);
    limb = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
}

bool is_zero(const Limbs& limbs) {
  return std::all_of(limbs.begin(), limbs.end(), [](std::uint32_t limb) { return limb == 0; });
}

unsigned char byte_at(const Limbs& limbs, std::size_t i) {
  return static_cast<unsigned char>(limbs[i / 4] >> (i % 4 * 8));
}

}  // namespace

std::optional<std::string> bytes_of(std::string_view text, std::size_t scale, std::size_t size,
                                    Sign sign) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  Limbs limbs{};
  bool behind_point = false, any = false;
  std::size_t left = scale;
  for (const char c : text) {
    if (c == '.' && !behind_point) {
      behind_point = true;
      continue;
    }
    if (c < '0' || c > '9' || (behind_point && left-- == 0)) return std::nullopt;
    if (!times_ten_plus(limbs, static_cast<unsigned>(c - '0'))) return std::nullopt;
    any = true;
  }
  if (!any) return std::nullopt;
  for (; left > 0; --left) {
    if (!times_ten_plus(limbs, 0)) return std::nullopt;
  }
  const bool below_zero = negative && !is_zero(limbs);
  if (below_zero && sign == Sign::kUnsigned) return std::nullopt;
  if (below_zero) negate(limbs);
  // All bytes above those that are sent, and of a signed number the sent sign, say the same.
  const unsigned char above = below_zero ? 0xff : 0;
  for (std::size_t i = size; i < 32; ++i) {
    if (byte_at(limbs, i) != above) return std::nullopt;
  }
  const bool top_bit = (byte_at(limbs, size - 1) & 0x80) != 0;
  if (sign == Sign::kSigned && top_bit != below_zero) return std::nullopt;
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(byte_at(limbs, i));
  return bytes;
}

std::string text_of(std::string_view bytes, std::size_t scale, Sign sign) {
  const bool negative =
      sign == Sign::kSigned && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
  Limbs limbs{};
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned char byte =
        i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : (negative ? 0xff : 0);
    limbs[i / 4] |= std::uint32_t{byte} << (i % 4 * 8);
  }
  if (negative) negate(limbs);
  std::string text;  // backwards
  while (!is_zero(limbs) || text.size() < scale + 1) {
    text += static_cast<char>('0' + take_digit(limbs));
  }
  if (scale > 0) text.insert(scale, 1, '.');
  if (negative) text += '-';
  std::reverse(text.begin(), text.end());
  return text;
}

}  // namespace millrace::wide
