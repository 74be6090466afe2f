#include "transport/row_type.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include "transport/error.h"
#include "transport/type_name.h"
#include "transport/wide_number.h"

namespace millrace {
namespace {

using wide::Sign;

static_assert(std::endian::native == std::endian::little, "RowBinary is little-endian");

std::size_t number_in(std::string_view text, std::size_t otherwise) {
  std::size_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

template <class T>
void put(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string_view take(std::string_view& in, std::size_t size) {
  if (in.size() < size) throw RowType::Unfinished();
  const std::string_view taken = in.substr(0, size);
  in.remove_prefix(size);
  return taken;
}

template <class T>
T take(std::string_view& in) {
  T value;
  std::memcpy(&value, take(in, sizeof value).data(), sizeof value);
  return value;
}

std::int64_t power_of_ten(std::size_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; --exponent) result *= 10;
  return result;
}

// Whole and decimal numbers as text; nothing for what is no number.
std::optional<std::string> number_text(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value.data())) return std::to_string(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value.data()))
    return std::to_string(*number);
  if (const auto* number = std::get_if<Number>(&value.data())) return number->text();
  if (const auto* flag = std::get_if<bool>(&value.data())) return *flag ? "1" : "0";
  return std::nullopt;
}

// 61f0c404-5cb3-11e7-907b-a6006ad3dba0 as two numbers, the first half first.
std::optional<std::array<std::uint64_t, 2>> uuid_halves(std::string_view text) {
  std::array<std::uint64_t, 2> halves{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    unsigned digit = 0;
    if (digits == 32 || std::from_chars(&c, &c + 1, digit, 16).ec != std::errc()) return {};
    halves[digits / 16] = halves[digits / 16] << 4 | digit;
    ++digits;
  }
  if (digits != 32) return {};
  return halves;
}

std::string uuid_text(std::uint64_t high, std::uint64_t low) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text += '-';
    text += kHex[(i < 16 ? high : low) >> (60 - i % 16 * 4) & 15];
  }
  return text;
}

std::string unquoted(std::string_view text) {
  std::string result;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) ++i;
    result += text[i];
  }
  return result;
}

}  // namespace

void write_length(std::size_t length, std::string& out) {
  for (; length >= 0x80; length >>= 7) out += static_cast<char>(length | 0x80);
  out += static_cast<char>(length);
}

std::size_t read_length(std::string_view& in) {
  std::uint64_t length = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = take<unsigned char>(in);
    if (shift < 64) length |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return length;
    if (shift > 63) throw NetworkError(NetworkError::Kind::kProtocol, "not RowBinary", true);
  }
}

std::string read_text(std::string_view& in) {
  const std::size_t size = read_length(in);
  return std::string(take(in, size));
}

RowType::RowType(std::string_view name) : name_(name) { parse(name_); }

bool RowType::take_number_type(std::string_view name) {
  const std::string_view whole = name.starts_with('U') ? name.substr(1) : name;
  if (whole.starts_with("Interval")) {
    kind_ = Kind::kInteger;
    is_signed_ = true;
    size_ = 8;
    return true;
  }
  if (!whole.starts_with("Int") || whole.size() > 6) return false;
  const std::size_t bits = number_in(whole.substr(3), 0);
  if (bits < 8 || bits > 256 || !std::has_single_bit(bits)) return false;
  kind_ = Kind::kInteger;
  is_signed_ = whole.size() == name.size();
  size_ = bits / 8;
  return true;
}

void RowType::parse_enum(const std::vector<std::string_view>& items) {
  for (const std::string_view item : items) {
    const auto equals = item.rfind('=');
    const auto end = item.rfind('\'', equals);
    std::int64_t number = 0;
    std::string_view text = item.substr(std::min(equals, item.size() - 1) + 1);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    std::from_chars(text.data(), text.data() + text.size(), number);
    names_.emplace_back(unquoted(item.substr(0, end + 1)), number);
  }
}

void RowType::parse(std::string_view text) {
  nullable_ = text.starts_with("Nullable(") || text.starts_with("LowCardinality(Nullable(");
  const TypeName type = parse_type(text);
  const auto is = [&type](std::string_view name) { return type.is(name); };
  const auto sized = [this](Kind kind, std::size_t size) {
    kind_ = kind;
    size_ = size;
  };
  const auto of = [this](Kind kind, std::initializer_list<std::string_view> inner) {
    kind_ = kind;
    for (const std::string_view name : inner) inner_.emplace_back(name);
  };
  if (take_number_type(type.name)) return;
  if (is("Bool")) return sized(Kind::kBool, 1);
  if (is("Float64") || is("Float32")) return sized(Kind::kFloat, is("Float64") ? 8 : 4);
  if (is("String")) return sized(Kind::kString, 0);
  if (is("FixedString")) return sized(Kind::kFixedString, number_in(type.argument(0), 0));
  if (is("Date") || is("Date32")) return sized(Kind::kDate, is("Date") ? 2 : 4);
  if (is("DateTime") || is("DateTime32")) return sized(Kind::kDateTime, 4);
  if (is("Time")) return sized(Kind::kTime, 4);
  if (is("UUID")) return sized(Kind::kUuid, 16);
  if (is("IPv4") || is("IPv6")) return sized(is("IPv4") ? Kind::kIpv4 : Kind::kIpv6, 0);
  if (is("Nothing")) return sized(Kind::kNothing, 0);
  if (is("DateTime64") || is("Time64")) {
    scale_ = std::min<std::size_t>(number_in(type.argument(0), 3), 9);
    return sized(is("Time64") ? Kind::kTime : Kind::kTicks, 8);
  }
  if (is("Enum8") || is("Enum16")) {
    parse_enum(type.arguments);
    return sized(Kind::kEnum, is("Enum8") ? 1 : 2);
  }
  if (is("Decimal")) {
    const std::size_t digits = number_in(type.argument(0), 10);
    scale_ = number_in(type.argument(1), 0);
    is_signed_ = true;
    return sized(Kind::kDecimal, digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32);
  }
  if (is("Array")) return of(Kind::kArray, {type.argument(0)});
  if (is("Map")) return of(Kind::kMap, {type.argument(0), type.argument(1)});
  if (is("SimpleAggregateFunction")) return parse(type.argument(1));
  if (is("Point")) return of(Kind::kTuple, {"Float64", "Float64"});
  if (is("Ring") || is("LineString")) return of(Kind::kArray, {"Point"});
  if (is("Polygon") || is("MultiLineString")) return of(Kind::kArray, {"Ring"});
  if (is("MultiPolygon")) return of(Kind::kArray, {"Polygon"});
  if (is("Tuple") || is("Nested")) {
    kind_ = Kind::kTuple;
    for (std::size_t i = 0; i < type.arguments.size(); ++i) inner_.emplace_back(type.element(i));
    if (is("Tuple")) return;
    RowType tuple = *this;  // Nested is an Array of it
    inner_.assign(1, tuple);
    kind_ = Kind::kArray;
    return;
  }
  throw UsageError("values of type " + name_ +
                   " are neither read nor written here: make a String of them in the statement");
}

void RowType::refuse(const std::string& wanted) const {
  throw UsageError("the value is not one of " + name_ + ": wanted is " + wanted);
}

void RowType::write(const Value& value, std::string& out) const {
  const bool null = std::holds_alternative<Null>(value.data());
  if (nullable_) {
    out += null ? '\1' : '\0';
    if (null) return;
  } else if (null && kind_ != Kind::kNothing) {
    refuse("a value, for it is not Nullable");
  }
  write_present(value, out);
}

void RowType::write_present(const Value& value, std::string& out) const {
  const auto& data = value.data();
  switch (kind_) {
    case Kind::kInteger:
    case Kind::kDecimal: {
      const auto text = number_text(value);
      const auto bytes =
          text ? wide::bytes_of(*text, scale_, size_, is_signed_ ? Sign::kSigned : Sign::kUnsigned)
               : std::nullopt;
      if (!bytes) refuse("a number that fits, as an integer or a Number");
      out += *bytes;
      return;
    }
    case Kind::kBool: {
      const auto* flag = std::get_if<bool>(&data);
      if (flag == nullptr) refuse("a bool");
      out += *flag ? '\1' : '\0';
      return;
    }
    case Kind::kFloat: {
      double number = 0;
      if (const auto* exact = std::get_if<double>(&data)) {
        number = *exact;
      } else if (const auto text = number_text(value)) {
        std::from_chars(text->data(), text->data() + text->size(), number);
      } else {
        refuse("a number");
      }
      return size_ == 8 ? put(number, out) : put(static_cast<float>(number), out);
    }
    case Kind::kArray:
    case Kind::kTuple:
    case Kind::kMap:
      return write_items(value, out);
    case Kind::kNothing:
      return;
    default:
      return write_text(value, out);
  }
}

// Times, and what has a text of its own.
void RowType::write_text(const Value& value, std::string& out) const {
  const auto& data = value.data();
  const auto* text = std::get_if<std::string>(&data);
  const auto ticks_of = [this](std::chrono::nanoseconds time) {
    const std::int64_t unit = power_of_ten(9 - scale_);
    const std::int64_t ticks = time.count() / unit;
    return ticks - (time.count() % unit < 0 ? 1 : 0);
  };
  if (kind_ == Kind::kString || kind_ == Kind::kFixedString) {
    const auto* bytes = std::get_if<Bytes>(&data);
    if (text == nullptr && bytes == nullptr) refuse("text or Bytes");
    const std::string_view view =
        text != nullptr
            ? std::string_view(*text)
            : std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    if (kind_ == Kind::kString) {
      write_length(view.size(), out);
      out += view;
      return;
    }
    if (view.size() > size_) refuse("at most " + std::to_string(size_) + " bytes");
    out.append(view).append(size_ - view.size(), '\0');
  } else if (kind_ == Kind::kDate) {
    const auto* day = std::get_if<std::chrono::sys_days>(&data);
    if (day == nullptr) refuse("a day (std::chrono::sys_days, year_month_day)");
    const auto count = day->time_since_epoch().count();
    if (size_ == 4) return put(static_cast<std::int32_t>(count), out);
    if (count < 0 || count > 0xffff) refuse("a day from 1970-01-01 to 2149-06-06");
    put(static_cast<std::uint16_t>(count), out);
  } else if (kind_ == Kind::kDateTime) {
    const auto* time = std::get_if<std::chrono::sys_seconds>(&data);
    if (time == nullptr) refuse("a time of whole seconds (std::chrono::sys_seconds)");
    const auto count = time->time_since_epoch().count();
    if (count < 0 || count > 0xffff'ffff) refuse("a time from 1970 to 2106-02-07");
    put(static_cast<std::uint32_t>(count), out);
  } else if (kind_ == Kind::kTicks) {
    if (const auto* time = std::get_if<DateTime64>(&data)) {
      put(ticks_of(time->t.time_since_epoch()), out);
    } else if (const auto* whole = std::get_if<std::chrono::sys_seconds>(&data)) {
      const std::int64_t unit = power_of_ten(scale_);
      const std::int64_t seconds = whole->time_since_epoch().count();
      if (std::abs(seconds) > std::numeric_limits<std::int64_t>::max() / unit)
        refuse("nearer to 1970");
      put(seconds * unit, out);
    } else {
      refuse("a time (std::chrono::sys_time)");
    }
  } else if (kind_ == Kind::kTime) {
    const auto* time = std::get_if<std::chrono::nanoseconds>(&data);
    if (time == nullptr) refuse("a span (std::chrono::duration)");
    if (size_ == 8) return put(ticks_of(*time), out);
    put(static_cast<std::int32_t>(ticks_of(*time)), out);
  } else if (kind_ == Kind::kUuid) {
    const auto* uuid = std::get_if<Uuid>(&data);
    const auto halves = uuid != nullptr   ? uuid_halves(uuid->text)
                        : text != nullptr ? uuid_halves(*text)
                                          : std::nullopt;
    if (!halves) refuse("a Uuid");
    put((*halves)[0], out);
    put((*halves)[1], out);
  } else if (kind_ == Kind::kEnum) {
    const auto number = number_text(value);
    const auto found = std::find_if(names_.begin(), names_.end(), [&](const auto& name) {
      return text != nullptr ? name.first == *text
                             : number && std::to_string(name.second) == *number;
    });
    if (found == names_.end()) refuse("one of its names");
    if (size_ == 1) return put(static_cast<std::int8_t>(found->second), out);
    put(static_cast<std::int16_t>(found->second), out);
  } else {
    std::array<unsigned char, 16> address{};
    const bool four = kind_ == Kind::kIpv4;
    if (text == nullptr ||
        ::inet_pton(four ? AF_INET : AF_INET6, text->c_str(), address.data()) != 1) {
      refuse("the text of an address");
    }
    if (four) std::reverse(address.begin(), address.begin() + 4);
    out.append(reinterpret_cast<const char*>(address.data()), four ? 4 : 16);
  }
}

void RowType::write_items(const Value& value, std::string& out) const {
  if (kind_ == Kind::kMap) {
    const auto* pairs = std::get_if<Map>(&value.data());
    if (pairs == nullptr) refuse("a Map (std::map)");
    write_length(pairs->size(), out);
    for (const auto& [key, item] : *pairs) {
      inner_[0].write(key, out);
      inner_[1].write(item, out);
    }
    return;
  }
  const auto* tuple = std::get_if<Tuple>(&value.data());
  const auto* items = tuple != nullptr ? &tuple->items : std::get_if<Array>(&value.data());
  if (kind_ == Kind::kArray) {
    if (items == nullptr) refuse("an Array (std::vector)");
    write_length(items->size(), out);
    for (const Value& item : *items) inner_[0].write(item, out);
    return;
  }
  if (items == nullptr || items->size() != inner_.size()) {
    refuse("a Tuple of " + std::to_string(inner_.size()));
  }
  for (std::size_t i = 0; i < inner_.size(); ++i) inner_[i].write((*items)[i], out);
}

Value RowType::read(std::string_view& in) const {
  if (nullable_ && take<char>(in) != 0) return Null{};
  return read_present(in);
}

Value RowType::read_present(std::string_view& in) const {
  using namespace std::chrono;
  switch (kind_) {
    case Kind::kInteger: {
      if (size_ > 8) {
        const auto sign = is_signed_ ? Sign::kSigned : Sign::kUnsigned;
        return Number(wide::text_of(take(in, size_), 0, sign));
      }
      std::uint64_t bits = 0;
      std::memcpy(&bits, take(in, size_).data(), size_);
      if (!is_signed_) return bits;
      const unsigned unused = static_cast<unsigned>(64 - size_ * 8);
      return static_cast<std::int64_t>(bits << unused) >> unused;
    }
    case Kind::kDecimal:
      return Number(wide::text_of(take(in, size_), scale_, Sign::kSigned));
    case Kind::kBool:
      return take<char>(in) != 0;
    case Kind::kFloat:
      return size_ == 8 ? Value(take<double>(in)) : Value(take<float>(in));
    case Kind::kString:
      return read_text(in);
    case Kind::kFixedString:
      return std::string(take(in, size_));
    case Kind::kDate:
      return sys_days(days(size_ == 2 ? take<std::uint16_t>(in) : take<std::int32_t>(in)));
    case Kind::kDateTime:
      return sys_seconds(seconds(take<std::uint32_t>(in)));
    case Kind::kTicks: {
      const auto ticks = take<std::int64_t>(in);
      const std::int64_t unit = power_of_ten(9 - scale_);
      if (std::abs(ticks) > std::numeric_limits<std::int64_t>::max() / unit) {
        throw UsageError("a " + name_ + " that is too far from 1970 for nanoseconds");
      }
      return DateTime64{sys_time<nanoseconds>(nanoseconds(ticks * unit))};
    }
    case Kind::kTime:
      return size_ == 8 ? nanoseconds(take<std::int64_t>(in) * power_of_ten(9 - scale_))
                        : nanoseconds(seconds(take<std::int32_t>(in)));
    case Kind::kUuid: {
      const auto high = take<std::uint64_t>(in);
      return Uuid{uuid_text(high, take<std::uint64_t>(in))};
    }
    case Kind::kIpv4:
    case Kind::kIpv6: {
      const bool four = kind_ == Kind::kIpv4;
      std::string bytes(take(in, four ? 4 : 16));
      if (four) std::reverse(bytes.begin(), bytes.end());
      std::array<char, INET6_ADDRSTRLEN> text{};
      ::inet_ntop(four ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
      return std::string(text.data());
    }
    case Kind::kEnum: {
      const std::int64_t number = size_ == 1 ? take<std::int8_t>(in) : take<std::int16_t>(in);
      for (const auto& [name, value] : names_) {
        if (value == number) return name;
      }
      return number;
    }
    case Kind::kNothing:
      return Null{};
    default:
      return read_items(in);
  }
}

Value RowType::read_items(std::string_view& in) const {
  if (kind_ == Kind::kTuple) {
    Tuple tuple;
    for (const RowType& type : inner_) tuple.items.push_back(type.read(in));
    return tuple;
  }
  const std::size_t count = read_length(in);
  if (count > in.size()) throw Unfinished();  // each takes a byte at least
  if (kind_ == Kind::kMap) {
    Map pairs;
    for (std::size_t i = 0; i < count; ++i) {
      Value key = inner_[0].read(in);
      pairs.emplace_back(std::move(key), inner_[1].read(in));
    }
    return pairs;
  }
  Array items;
  for (std::size_t i = 0; i < count; ++i) items.push_back(inner_[0].read(in));
  return items;
}

}  // namespace millrace
