#include "pipeline/encode/type_writers.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

#include "pipeline/encode/composite_columns.h"
#include "pipeline/encode/date_columns.h"
#include "pipeline/encode/low_cardinality_column.h"
#include "pipeline/encode/number_columns.h"
#include "pipeline/encode/other_columns.h"
#include "pipeline/encode/string_columns.h"
#include "transport/type_name.h"

namespace millrace {
namespace {

[[noreturn]] void refuse(std::string_view type) {
  throw UnsupportedType("values of type " + std::string(type) + " are left to ClickHouse to read");
}

// The inside of name(…), empty if `type` is another one.
std::string_view inside(std::string_view type, std::string_view name) {
  if (!type.starts_with(name) || type.size() < name.size() + 2 || type[name.size()] != '(')
    return {};
  return type.substr(name.size() + 1, type.size() - name.size() - 2);
}

unsigned number_of(std::string_view text, std::string_view type, unsigned most) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) refuse(type);
  return number;
}

std::shared_ptr<const TimeZone> zone_of(std::string_view quoted, const TypeContext& context) {
  const std::string name = quoted.empty() ? context.time_zone : unquote_sql(quoted);
  auto zone = TimeZone::find(name);
  if (!zone) throw UnsupportedType("this machine does not know the time zone '" + name + "'");
  return zone;
}

ColumnWriterPtr make_enum(const TypeName& type, std::string_view text) {
  std::vector<std::pair<std::string, int>> values;
  for (const std::string_view argument : type.arguments) {
    const std::size_t equals = argument.rfind('=');
    const std::size_t quote = argument.rfind('\'', equals);
    if (!argument.starts_with('\'') || equals == argument.npos || quote == argument.npos) {
      refuse(text);
    }
    std::string_view number = argument.substr(equals + 1);
    number.remove_prefix(std::min(number.find_first_not_of(' '), number.size()));
    int value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || end != number.data() + number.size()) refuse(text);
    values.emplace_back(unquote_sql(argument.substr(0, quote + 1)), value);
  }
  if (values.empty()) refuse(text);
  return make_enum_writer(type.name == "Enum8" ? 1 : 2, std::move(values));
}

ColumnWriterPtr make_decimal(const TypeName& type, std::string_view text) {
  const unsigned precision = number_of(type.argument(0), text, 76);
  const unsigned scale = number_of(type.argument(1), text, precision);
  if (precision == 0) refuse(text);
  return make_decimal_writer(precision, scale);
}

ColumnWriterPtr make_tuple(const TypeName& type, std::string_view text,
                           const TypeContext& context) {
  std::vector<ColumnWriterPtr> elements;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < type.arguments.size(); ++i) {
    const std::string_view argument = type.arguments[i], element = type.element(i);
    std::string_view name = argument.substr(0, argument.size() - element.size());
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (name.starts_with('`')) {
      names.push_back(unquote_sql(name));
    } else if (!name.empty()) {
      names.emplace_back(name);
    }
    elements.push_back(make_type_writer(element, context));
  }
  if (elements.empty() || (!names.empty() && names.size() != elements.size())) refuse(text);
  return make_tuple_writer(std::move(elements), std::move(names));
}

ColumnWriterPtr make_low_cardinality(std::string_view values, const TypeContext& context) {
  const std::string_view nullable = inside(values, "Nullable");
  if (values.starts_with("JSON")) refuse(values);
  // 0 and -0 are one key there, and two here. ClickHouse itself calls these types suspicious.
  if (values.find("Float") != values.npos) refuse(values);
  ColumnWriterPtr writer = make_type_writer(nullable.empty() ? values : nullable, context);
  return make_low_cardinality_writer(std::move(writer), !nullable.empty());
}

// Those with arguments, by their name without them.
ColumnWriterPtr make_with_arguments(const TypeName& type, std::string_view text,
                                    const TypeContext& context) {
  const std::string_view name = type.name;
  const auto nested = [&](std::size_t i) { return make_type_writer(type.argument(i), context); };
  if (name == "JSON") return make_json_writer();
  if (name == "SimpleAggregateFunction" && type.arguments.size() == 2) return nested(1);
  if (name == "Array") return make_array_writer(nested(0));
  if (name == "Map") return make_map_writer(nested(0), nested(1));
  if (name == "Tuple") return make_tuple(type, text, context);
  if (name == "Enum8" || name == "Enum16") return make_enum(type, text);
  if (name == "Decimal") return make_decimal(type, text);
  if (name == "DateTime")
    return make_date_time_writer(zone_of(type.argument(0), context), context.time_form);
  if (name == "Time64") return make_time64_writer(number_of(type.argument(0), text, 9));
  if (name == "DateTime64") {
    const unsigned scale = number_of(type.argument(0), text, 9);
    return make_date_time64_writer(scale, zone_of(type.argument(1), context), context.time_form);
  }
  if (name == "FixedString") {
    return make_fixed_string_writer(std::max(number_of(type.argument(0), text, 1u << 24), 1u));
  }
  refuse(text);
}

// Types that are other types by another name.
std::string_view meaning_of(std::string_view type) {
  constexpr std::string_view kNames[][2] = {
      {"Point", "Tuple(Float64, Float64)"}, {"Ring", "Array(Point)"},
      {"LineString", "Array(Point)"},       {"MultiLineString", "Array(LineString)"},
      {"Polygon", "Array(Ring)"},           {"MultiPolygon", "Array(Polygon)"}};
  for (const auto& [name, meaning] : kNames) {
    if (name == type) return meaning;
  }
  return {};
}

ColumnWriterPtr make_plain(std::string_view type, const TypeContext& context) {
  if (ColumnWriterPtr number =
          make_number_writer(type, context.precise_floats, context.format == RowFormat::kTabs)) {
    return number;
  }
  if (type == "String") return make_string_writer();
  if (type == "JSON") return make_json_writer();
  if (type == "Date") return make_date_writer();
  if (type == "Date32") return make_date32_writer(context.format == RowFormat::kCommas);
  if (type == "DateTime") return make_date_time_writer(zone_of({}, context), context.time_form);
  if (type == "Time") return make_time_writer();
  if (type == "UUID") return make_uuid_writer();
  if (type == "IPv4") return make_ipv4_writer();
  if (type == "IPv6") return make_ipv6_writer();
  if (const auto meaning = meaning_of(type); !meaning.empty()) {
    return make_type_writer(meaning, context);
  }
  refuse(type);
}

}  // namespace

ColumnWriterPtr make_type_writer(std::string_view type, const TypeContext& context) {
  // As text these are languages of their own.
  const bool plain =
      !parse_type(type).is_composite() && !type.starts_with("JSON") && meaning_of(type).empty();
  if (has_text_fields(context.format) && !plain) refuse(type);
  if (const auto values = inside(type, "LowCardinality"); !values.empty()) {
    return make_low_cardinality(values, context);
  }
  if (const auto nested = inside(type, "Nullable"); !nested.empty()) {
    const TypeName inner = parse_type(nested);
    if (inner.is_composite()) refuse(type);  // experimental
    return make_nullable_writer(make_type_writer(nested, context));
  }
  if (type.find('(') == type.npos) return make_plain(type, context);
  return make_with_arguments(parse_type(type), type, context);
}

std::string_view without_wrappers(std::string_view type) {
  while (true) {
    std::string_view next = inside(type, "LowCardinality");
    if (next.empty()) next = inside(type, "Nullable");
    if (next.empty()) return type;
    type = next;
  }
}

std::string unquote_sql(std::string_view quoted) {
  if (quoted.size() < 2) return {};
  const std::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      result += text[at];
      continue;
    }
    constexpr std::string_view kLetters = "bfnrt0av", kMeant("\b\f\n\r\t\0\a\v", 8);
    const char c = text[++at];
    const std::size_t known = kLetters.find(c);
    result += known == kLetters.npos ? c : kMeant[known];
  }
  return result;
}

}  // namespace millrace
