// A ClickHouse type as RowBinary writes it: a Value to bytes and back. Internal to rows.h.
//
// Pure functions of their arguments. What does not fit is a UsageError that says what was wanted;
// half a value is a NetworkError (kTruncated). Lengths are checked against what is there before
// memory is taken for them.
// https://clickhouse.com/docs/interfaces/formats/RowBinary
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/value.h"

namespace millrace {

class RowType {
 public:
  // Throws UsageError for a type that is not written here (JSON, Dynamic, Variant,
  // AggregateFunction …).
  explicit RowType(std::string_view name);

  void write(const Value& value, std::string& out) const;
  // Takes the value off the front of `in`. Throws Unfinished when it ends before the value does.
  Value read(std::string_view& in) const;

  struct Unfinished {};

 private:
  enum class Kind {
    kInteger,
    kBool,
    kFloat,
    kString,
    kFixedString,
    kDate,
    kDateTime,
    kTicks,  // DateTime64
    kTime,
    kUuid,
    kIpv4,
    kIpv6,
    kEnum,
    kDecimal,
    kArray,
    kTuple,
    kMap,
    kNothing,
  };

  void parse(std::string_view text);
  void parse_enum(const std::vector<std::string_view>& items);
  bool take_number_type(std::string_view name);
  void write_present(const Value& value, std::string& out) const;
  void write_text(const Value& value, std::string& out) const;
  void write_items(const Value& value, std::string& out) const;
  Value read_present(std::string_view& in) const;
  Value read_items(std::string_view& in) const;
  [[noreturn]] void refuse(const std::string& wanted) const;

  std::string name_;
  Kind kind_ = Kind::kNothing;
  bool nullable_ = false;
  bool is_signed_ = false;
  std::size_t size_ = 0;   // bytes of a number, of a FixedString
  std::size_t scale_ = 0;  // digits behind the point: Decimal, DateTime64, Time64
  std::vector<RowType> inner_{};
  std::vector<std::pair<std::string, std::int64_t>> names_{};  // Enum
};

// A length as RowBinary writes it: seven bits in a byte, the lowest first.
void write_length(std::size_t length, std::string& out);
std::size_t read_length(std::string_view& in);  // throws RowType::Unfinished
std::string read_text(std::string_view& in);    // a length and so many bytes

}  // namespace millrace
