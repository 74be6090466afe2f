#include "pipeline/encode/number_columns.h"

#include <bit>

#include "pipeline/encode/number_text.h"
#include "pipeline/encode/wide_integer.h"

namespace millrace {
namespace {

// kField: something follows, the end of the text is the end of a field.
template <class T, bool kPrecise, bool kField>
struct Float {
  T one() const { return 1; }
  T operator()(JsonCursor& in) const {
    const char* start = in.at;
    T value;
    if (kPrecise ? read_float(in, value) : read_float_fast(in, value, kField)) return value;
    in.at = start;
    while (in.peek() == '+' || in.peek() == '-') ++in.at;
    const char lower = static_cast<char>(in.peek() | 0x20);  // "nul" and "infi" are misspelt words
    in.refuse("not a floating point number",
              lower == 'i' || lower == 'n' ? Refused::kSyntax : Refused::kNumber);
  }
};
template <bool kPrecise, bool kField>
using Float32 = Float<float, kPrecise, kField>;
template <bool kPrecise, bool kField>
using Float64 = Float<double, kPrecise, kField>;

// The upper half of a Float32; the rest is cut off.
template <bool kPrecise, bool kField>
struct BFloat16 {
  std::uint16_t one() const { return cut(1); }
  std::uint16_t operator()(JsonCursor& in) const {
    return cut(Float<float, kPrecise, kField>()(in));
  }
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
      if (c == '-' && !kSigned)
        in.refuse("a negative number for an unsigned column", Refused::kNumber);
      if (sign) in.refuse("a number with two signs", Refused::kNumber);
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
    if (sign && !digits) in.refuse("a sign without a number", Refused::kNumber);
    if (negative) value.negate();
    return value;
  }
};

// The text of an integer in TSV, where ClickHouse looks at less of it: no '+', nothing behind a
// zero.
template <class T>
struct TabInteger {
  T operator()(JsonCursor& in) const {
    const bool negative = std::is_signed_v<T> && in.take('-');
    if (in.take('0')) return 0;
    unsigned digits = 0;
    const std::uint64_t value = read_digits(in, digits);
    return static_cast<T>(negative ? 0 - value : value);
  }
};
template <std::size_t kWords, bool kSigned>
struct TabWide {
  WideInteger<kWords> operator()(JsonCursor& in) const {
    const bool negative = kSigned && in.take('-');
    WideInteger<kWords> value;
    if (in.take('0')) return value;
    for (char c = in.peek(); c >= '0' && c <= '9'; c = in.peek()) {
      value.multiply_add(10, static_cast<std::uint64_t>(c - '0'));
      ++in.at;
    }
    if (negative) value.negate();
    return value;
  }
};

template <class T, class Reader, class TextReader>
class NumberWriter final : public FixedWidthWriter<T> {
  void read(JsonCursor& in) override { this->append(read_number<T>(in, Reader())); }
  void read_text(JsonCursor& in) override { this->append(TextReader()(in)); }
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
        in.refuse("not true, false, 1 or 0", Refused::kBool);
    }
  }
  void read_text(JsonCursor& in) override {
    constexpr struct {
      std::string_view word;
      std::uint8_t value;
    } kWords[] = {{"true", 1},   {"false", 0},   {"1", 1},       {"0", 0},
                  {"t", 1},      {"f", 0},       {"yes", 1},     {"no", 0},
                  {"y", 1},      {"n", 0},       {"on", 1},      {"off", 0},
                  {"enable", 1}, {"disable", 0}, {"enabled", 1}, {"disabled", 0}};
    for (const auto& [word, value] : kWords) {
      if (in.left() == word.size() && in.take_word(word)) return append(value);
    }
    in.refuse("not true or false, nor another word for it", Refused::kBool);
  }
  TextForm text_form() const override { return TextForm::kBare; }
};

template <class T, class Reader, class TabReader>
ColumnWriterPtr make(bool tabs) {
  if (tabs) return std::make_unique<NumberWriter<T, Reader, TabReader>>();
  return std::make_unique<NumberWriter<T, Reader, Reader>>();
}
template <class T>
ColumnWriterPtr integer(bool tabs) {
  return make<T, Integer<T>, TabInteger<T>>(tabs);
}
template <std::size_t kWords, bool kSigned>
ColumnWriterPtr wide(bool tabs) {
  return make<WideInteger<kWords>, Wide<kWords, kSigned>, TabWide<kWords, kSigned>>(tabs);
}
template <class T, template <bool, bool> class Reader, bool kPrecise>
ColumnWriterPtr floating() {
  return std::make_unique<NumberWriter<T, Reader<kPrecise, false>, Reader<kPrecise, true>>>();
}

template <bool kPrecise>
ColumnWriterPtr make_float(std::string_view type) {
  if (type == "Float32") return floating<float, Float32, kPrecise>();
  if (type == "Float64") return floating<double, Float64, kPrecise>();
  if (type == "BFloat16") return floating<std::uint16_t, BFloat16, kPrecise>();
  return nullptr;
}

constexpr struct {
  std::string_view type;
  ColumnWriterPtr (*make)(bool tabs);
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
    {"Bool", [](bool) -> ColumnWriterPtr { return std::make_unique<BoolWriter>(); }},
};

}  // namespace

ColumnWriterPtr make_number_writer(std::string_view type, bool precise, bool tabs) {
  for (const auto& maker : kMakers) {
    if (maker.type == type) return maker.make(tabs);
  }
  return precise ? make_float<true>(type) : make_float<false>(type);
}

}  // namespace millrace
