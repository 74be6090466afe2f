// Whole numbers of up to 256 bits between decimal text and the server's bytes (two's complement,
// the lowest byte first): Int8 to UInt256, and Decimal, which is a whole number with a point put
// in. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::wide {

enum class Sign { kSigned, kUnsigned };

// `text` is [-]digits[.digits]; of the digits behind the point there may be `scale` at most, and as
// many are written. Nothing when it does not fit into `size` bytes.
std::optional<std::string> bytes_of(std::string_view text, std::size_t scale, std::size_t size,
                                    Sign sign);

// The text of such bytes, with `scale` digits behind the point.
std::string text_of(std::string_view bytes, std::size_t scale, Sign sign);

}  // namespace millrace::wide
