#include "pipeline/encode/number_columns.h"

#include <bit>

#include "pipeline/encode/number_text.h"
#include "pipeline/encode/wide_integer.h"

namespace millrace {
namespace {

template <class T, bool kPrecise>
struct Float {
  T one() const { return 1; }
  T operator()(JsonCursor& in) const {
    const char* start = in.at;
    T value;
    if (kPrecise ? read_float(in, value) : read_float_fast(in, value)) return value;
    in.at = start;
    in.refuse("not a floating point number");
  }
};

// The upper half of a Float32; the rest is cut off.
template <bool kPrecise>
struct BFloat16 {
  std::uint16_t one() const { return cut(1); }
  std::uint16_t operator()(JsonCursor& in) const { return cut(Float<float, kPrecise>()(in)); }
  static std::uint16_t cut(float value) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  }
};

template <std::size_t kWords, bool kSigned>
struct Wide {
  using Value = WideInteger<kWords>;
  Value one() const { return {{1}}; }
  Value operator()(JsonCursor& in) const {
    bool negative = false, sign = false, digits = false;
    for (char c = in.peek(); c == '+' || c == '-'; c = in.peek()) {
      if (c == '-' && !kSigned) in.refuse("a negative number for an unsigned column");
      if (sign) in.refuse("a number with two signs");
      sign = true;
      negative = c == '-';
      ++in.at;
    }
    Value value;
    for (char c = in.peek(); c >= '0' && c <= '9'; c = in.peek()) {
      value.multiply_add(10, static_cast<std::uint64_t>(c - '0'));
      digits = true;
      ++in.at;
    }
    if (sign && !digits) in.refuse("a sign without a number");
    if (negative) value.negate();
    return value;
  }
};

template <class T, class Reader>
class NumberWriter final : public FixedWidthWriter<T> {
  void read(JsonCursor& in) override { this->append(read_number<T>(in, Reader())); }
};

class BoolWriter final : public FixedWidthWriter<std::uint8_t> {
  void read(JsonCursor& in) override {
    switch (in.peek()) {
      case 't':
        in.expect("true");
        return append(1);
      case 'f':
        in.expect("false");
        return append(0);
      case '0':
      case '1':
        return append(static_cast<std::uint8_t>(*in.at++ - '0'));
      default:
        in.refuse("not true, false, 1 or 0");
    }
  }
};

template <class T>
ColumnWriterPtr integer() {
  return std::make_unique<NumberWriter<T, Integer<T>>>();
}
template <std::size_t kWords, bool kSigned>
ColumnWriterPtr wide() {
  return std::make_unique<NumberWriter<WideInteger<kWords>, Wide<kWords, kSigned>>>();
}

template <bool kPrecise>
ColumnWriterPtr make_float(std::string_view type) {
  if (type == "Float32") return std::make_unique<NumberWriter<float, Float<float, kPrecise>>>();
  if (type == "Float64") return std::make_unique<NumberWriter<double, Float<double, kPrecise>>>();
  if (type == "BFloat16")
    return std::make_unique<NumberWriter<std::uint16_t, BFloat16<kPrecise>>>();
  return nullptr;
}

constexpr struct {
  std::string_view type;
  ColumnWriterPtr (*make)();
} kMakers[] = {
    {"UInt8", integer<std::uint8_t>},
    {"UInt16", integer<std::uint16_t>},
    {"UInt32", integer<std::uint32_t>},
    {"UInt64", integer<std::uint64_t>},
    {"Int8", integer<std::int8_t>},
    {"Int16", integer<std::int16_t>},
    {"Int32", integer<std::int32_t>},
    {"Int64", integer<std::int64_t>},
    {"UInt128", wide<2, false>},
    {"UInt256", wide<4, false>},
    {"Int128", wide<2, true>},
    {"Int256", wide<4, true>},
    {"Bool", []() -> ColumnWriterPtr { return std::make_unique<BoolWriter>(); }},
};

}  // namespace

ColumnWriterPtr make_number_writer(std::string_view type, bool precise) {
  if (ColumnWriterPtr writer = precise ? make_float<true>(type) : make_float<false>(type)) {
    return writer;
  }
  for (const auto& maker : kMakers) {
    if (maker.type == type) return maker.make();
  }
  return nullptr;
}

}  // namespace millrace
