#include <algorithm>
#include <cstdint>

#include "pipeline/encode/other_columns.h"
#include "pipeline/encode/wide_integer.h"

namespace millrace {
namespace {

// What a magnitude must do, for built-in integers and for wide ones.
template <class T>
void multiply_add(T& value, std::uint64_t factor, std::uint64_t summand) {
  value = static_cast<T>(value * factor + summand);
}
void multiply_add(WideInteger<4>& value, std::uint64_t factor, std::uint64_t summand) {
  value.multiply_add(factor, summand);
}
template <class T>
void divide_by_ten(T& value) {
  value = static_cast<T>(value / 10);
}
void divide_by_ten(WideInteger<4>& value) { value.divide(10); }
template <class T>
void negate(T& value) {
  value = static_cast<T>(0 - value);
}
void negate(WideInteger<4>& value) { value.negate(); }

// digits × 10^exponent, as far as the digits are kept.
template <class T>
struct DecimalText {
  T digits{};
  std::uint32_t count = 0;  // of significant digits
  std::int64_t exponent = 0;
  bool negative = false;
};

// No digit at all is 0, but behind a sign; the number must fit 32 bits.
std::int64_t read_exponent(JsonCursor& in) {
  const bool negative = in.take('-');
  const bool sign = negative || in.take('+');
  std::int64_t number = 0;
  const char* start = in.at;
  for (char c = in.peek(); c >= '0' && c <= '9'; c = in.peek()) {
    number = std::min<std::int64_t>(number * 10 + (c - '0'), std::int64_t{1} << 40);
    ++in.at;
  }
  if (negative) number = -number;
  const bool fits = number == static_cast<std::int32_t>(number);
  if (!fits || (sign && in.at == start))
    in.refuse("not the exponent of a decimal", Refused::kNumber);
  return number;
}

// Takes what looks like a decimal, however odd: "", "-", "1.5.5" and "1e" are taken by ClickHouse.
template <class T>
DecimalText<T> read_decimal_text(JsonCursor& in, std::uint32_t most_digits) {
  DecimalText<T> text;
  text.negative = in.peek() == '-';
  if (in.peek() == '-' || in.peek() == '+') ++in.at;
  std::uint32_t zeros = 0;  // behind the point, behind the last digit that counts
  bool leading = true, fraction = false;
  for (;; ++in.at) {
    const char c = in.peek();
    if (c == '.') {
      fraction = true;
      leading = false;
    } else if (c == '0' && (leading || fraction)) {
      if (!leading) ++zeros;
    } else if (c >= '0' && c <= '9') {
      leading = false;
      ++zeros;
      if (text.count + zeros > most_digits) {
        if (!fraction) in.refuse("more digits than the decimal has", Refused::kRange);
        continue;  // cut off
      }
      text.count += zeros;
      if (fraction) text.exponent -= zeros;
      for (; zeros > 1; --zeros) multiply_add(text.digits, 10, 0);
      multiply_add(text.digits, 10, static_cast<std::uint64_t>(c - '0'));
      zeros = 0;
    } else {
      break;
    }
  }
  if (in.take('e') || in.take('E')) text.exponent += read_exponent(in);
  return text;
}

// T: as many bytes as the column has.
template <class T>
class DecimalWriter final : public FixedWidthWriter<T> {
 public:
  DecimalWriter(unsigned precision, unsigned scale) : precision_(precision), scale_(scale) {}

  void read(JsonCursor& in) override {
    const bool quoted = in.take('"');
    read_text(in);
    if (quoted) in.expect('"');
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    DecimalText<T> text = read_decimal_text<T>(in, precision_);
    if (text.count + text.exponent > std::int64_t{precision_} - scale_) {
      in.at = start;
      in.refuse("too large for the decimal", Refused::kRange);
    }
    std::int64_t shift = scale_ + text.exponent;
    for (; shift > 0; --shift) multiply_add(text.digits, 10, 0);
    for (; shift < 0 && text.digits != T{}; ++shift) divide_by_ten(text.digits);
    if (text.negative) negate(text.digits);
    this->append(text.digits);
  }

 private:
  const unsigned precision_, scale_;
};

}  // namespace

ColumnWriterPtr make_decimal_writer(unsigned precision, unsigned scale) {
  if (precision <= 9) return std::make_unique<DecimalWriter<std::uint32_t>>(precision, scale);
  if (precision <= 18) return std::make_unique<DecimalWriter<std::uint64_t>>(precision, scale);
  if (precision <= 38) return std::make_unique<DecimalWriter<Uint128>>(precision, scale);
  return std::make_unique<DecimalWriter<WideInteger<4>>>(precision, scale);
}

}  // namespace millrace
