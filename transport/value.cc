#include "transport/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "transport/error.h"
#include "transport/scalar_text.h"
#include "transport/type_name.h"

namespace millrace {
namespace {

using scalar::Instant;
using std::chrono::nanoseconds;

// "(a, b)" of what `text_of` makes of each item.
template <class Items, class TextOf>
std::string list(std::string_view open, const Items& items, std::string_view close,
                 TextOf text_of) {
  std::string result(open);
  std::size_t index = 0;
  for (const auto& item : items) {
    if (index > 0) result += ", ";
    result += text_of(item, index++);
  }
  return result.append(close);
}

// A value's text and whether it stands in quotes among others; the text is escaped already.
struct Leaf {
  std::string text;
  bool quoted = false;

  std::string nested() const { return quoted ? "'" + text + "'" : text; }
};

// What is the same in all three texts.
struct CommonLeaf {
  Leaf operator()(std::int64_t value) const { return {std::to_string(value)}; }
  Leaf operator()(std::uint64_t value) const { return {std::to_string(value)}; }
  Leaf operator()(const Number& value) const { return {value.text()}; }
  Leaf operator()(double value) const { return {scalar::number(value)}; }
  Leaf operator()(const std::string& text) const { return {scalar::escape(text), true}; }
  Leaf operator()(const Bytes& bytes) const { return {scalar::hex_escapes(bytes), true}; }
  Leaf operator()(std::chrono::sys_days day) const { return {scalar::date(day), true}; }
  Leaf operator()(const Uuid& uuid) const { return {scalar::escape(uuid.text), true}; }
  Leaf operator()(nanoseconds time) const {
    return {scalar::time_of_day(time, scalar::digits_of(time)), true};
  }
};

// DateTime64(p): its digits after the point; 3 if it does not say.
std::size_t precision(const TypeName& type) {
  const std::string_view text = type.argument(0);
  std::size_t digits = 3;
  std::from_chars(text.data(), text.data() + text.size(), digits);
  return std::min<std::size_t>(digits, 9);
}

class BindText : public CommonLeaf {
 public:
  BindText(std::string_view type, MapText map_text, bool keep_fraction)
      : type_(parse_type(type)), map_text_(map_text), keep_fraction_(keep_fraction) {}

  using CommonLeaf::operator();
  Leaf operator()(Null) const { return {"NULL"}; }
  Leaf operator()(bool value) const {
    if (type_.is_number()) return {value ? "1" : "0"};
    return {value ? "true" : "false"};
  }
  Leaf operator()(std::chrono::sys_seconds time) const { return instant(Instant(time)); }
  Leaf operator()(DateTime64 time) const { return instant(Instant(time)); }
  Leaf operator()(nanoseconds time) const {
    const std::size_t digits = scalar::digits_of(time);
    if (type_.is("Time")) return {scalar::time_of_day(time, 0), true};
    return {
        scalar::time_of_day(time, type_.is("Time64") ? std::min(digits, precision(type_)) : digits),
        true};
  }
  Leaf operator()(const Array& items) const {
    return {list("[", items, "]",
                 [&](const Value& item, std::size_t) { return nested(item, type_.argument(0)); })};
  }
  Leaf operator()(const Tuple& tuple) const {
    return {list("(", tuple.items, ")", [&](const Value& item, std::size_t index) {
      return nested(item, type_.element(index));
    })};
  }
  Leaf operator()(const Map& pairs) const {
    const bool json = type_.is("JSON") || (map_text_ == MapText::kJson && !type_.is("Map"));
    if (json) return {scalar::escape(scalar::json(pairs)), true};
    return {list("{", pairs, "}", [&](const auto& pair, std::size_t) {
      return nested(pair.first, type_.argument(0)) + ":" + nested(pair.second, type_.argument(1));
    })};
  }

 private:
  std::string nested(const Value& value, std::string_view type) const {
    return std::visit(BindText(type, map_text_, keep_fraction_), value.data()).nested();
  }
  Leaf instant(const Instant& time) const {
    if (type_.is("DateTime64")) return {scalar::timestamp(time, precision(type_)), true};
    if (type_.is("DateTime") || type_.is("DateTime32")) return {scalar::timestamp(time, 0), true};
    return {scalar::date_time(time, keep_fraction_ ? 6 : 0), true};
  }

  const TypeName type_;
  const MapText map_text_;
  const bool keep_fraction_;
};

class SqlLiteral : public CommonLeaf {
 public:
  explicit SqlLiteral(MapText map_text) : map_text_(map_text) {}

  using CommonLeaf::operator();
  Leaf operator()(Null) const { return {"NULL"}; }
  Leaf operator()(bool value) const { return {value ? "true" : "false"}; }
  Leaf operator()(double value) const {
    std::string text = scalar::number(value);
    const bool whole = std::isfinite(value) && text.find_first_of(".e") == std::string::npos;
    return {whole ? text + ".0" : text};  // 1 would be a UInt8
  }
  Leaf operator()(const Number& value) const;
  Leaf operator()(std::chrono::sys_seconds time) const {
    // What DateTime cannot hold it would silently make its first or last second.
    const auto count = time.time_since_epoch().count();
    const bool fits = count >= 0 && count <= std::int64_t{0xffff'ffff};
    const std::string text = "'" + scalar::date_time(Instant(time), 0);
    return {fits ? "toDateTime(" + text + "', 'UTC')" : "toDateTime64(" + text + "', 0, 'UTC')"};
  }
  Leaf operator()(DateTime64 time) const {
    return {"toDateTime64('" + scalar::date_time(Instant(time), 9) + "', 9, 'UTC')"};
  }
  Leaf operator()(const Array& items) const { return {items_of("[", items, "]")}; }
  Leaf operator()(const Tuple& tuple) const {
    if (tuple.items.empty()) return {"tuple()"};
    return {items_of("(", tuple.items, tuple.items.size() == 1 ? ",)" : ")")};  // (1) is a number
  }
  Leaf operator()(const Map& pairs) const {
    if (map_text_ == MapText::kJson) return {scalar::escape(scalar::json(pairs)), true};
    return {list("map(", pairs, ")", [&](const auto& pair, std::size_t) {
      return nested(pair.first) + ", " + nested(pair.second);
    })};
  }

 private:
  std::string nested(const Value& value) const { return std::visit(*this, value.data()).nested(); }
  std::string items_of(std::string_view open, const Array& items, std::string_view close) const {
    return list(open, items, close, [&](const Value& item, std::size_t) { return nested(item); });
  }

  const MapText map_text_;
};

Leaf SqlLiteral::operator()(const Number& value) const {
  const std::string& text = value.text();
  const bool negative = text.starts_with('-');
  const auto point = text.find('.');
  const std::size_t digits = text.size() - (negative ? 1 : 0) - (point != text.npos ? 1 : 0);
  constexpr std::size_t kAlwaysFits = 18;  // in 64 bits, with a sign
  if (point == text.npos) {
    if (digits <= kAlwaysFits) return {text};
    return {(negative ? "toInt256('" : "toUInt256('") + text + "')"};
  }
  const std::string size = digits <= 18 ? "64" : digits <= 38 ? "128" : "256";
  const std::string scale = std::to_string(text.size() - point - 1);
  return {"toDecimal" + size + "('" + text + "', " + scale + ")"};
}

class SettingText : public CommonLeaf {
 public:
  using CommonLeaf::operator();
  Leaf operator()(Null) const { return {"NULL"}; }
  Leaf operator()(bool value) const { return {value ? "1" : "0"}; }
  Leaf operator()(std::chrono::sys_seconds time) const {
    return {scalar::date_time(Instant(time), 0), true};
  }
  Leaf operator()(DateTime64 time) const {
    const Instant instant(time);
    return {scalar::date_time(instant, scalar::digits_of(instant.fraction)), true};
  }
  Leaf operator()(const Array& items) const { return {items_of("[", items, "]")}; }
  Leaf operator()(const Tuple& tuple) const { return {items_of("(", tuple.items, ")")}; }
  Leaf operator()(const Map& pairs) const {
    return {list("{", pairs, "}", [&](const auto& pair, std::size_t) {
      return nested(pair.first) + ": " + nested(pair.second);
    })};
  }

 private:
  std::string nested(const Value& value) const { return std::visit(*this, value.data()).nested(); }
  std::string items_of(std::string_view open, const Array& items, std::string_view close) const {
    return list(open, items, close, [&](const Value& item, std::size_t) { return nested(item); });
  }
};

}  // namespace

Number::Number(std::string text) : text_(std::move(text)) {
  std::string_view rest = text_;
  const auto take_digits = [&rest] {
    const auto end = std::min(rest.find_first_not_of("0123456789"), rest.size());
    rest.remove_prefix(end);
    return end > 0;
  };
  if (rest.starts_with('-')) rest.remove_prefix(1);
  bool valid = take_digits();
  if (valid && rest.starts_with('.')) {
    rest.remove_prefix(1);
    valid = take_digits();
  }
  if (!valid || !rest.empty()) throw UsageError("'" + text_ + "' is not a decimal number");
}

Value::Value(std::chrono::year_month_day day) {
  if (!day.ok()) throw UsageError("a parameter is a day that the calendar does not have");
  data_ = std::chrono::sys_days(day);
}

std::string Value::as_bind_text(std::string_view placeholder_type, MapText map_text,
                                bool keep_fraction) const {
  if (std::holds_alternative<Null>(data_)) return "\\N";
  // A literal of the caller's own, "[1, 2]", which the server parses as it is; and a name, of which
  // it takes every character.
  if (const auto* text = std::get_if<std::string>(&data_)) {
    const TypeName type = parse_type(placeholder_type);
    if (type.is_composite() || type.is("Identifier")) return *text;
  }
  return std::visit(BindText(placeholder_type, map_text, keep_fraction), data_).text;
}

std::string Value::as_sql_literal(MapText map_text) const {
  return std::visit(SqlLiteral(map_text), data_).nested();
}

std::string Value::as_setting_text() const {
  if (std::holds_alternative<Null>(data_)) throw UsageError("NULL is not the value of a setting");
  if (const auto* text = std::get_if<std::string>(&data_)) return *text;  // not a literal: as it is
  return std::visit(SettingText(), data_).text;
}

}  // namespace millrace
