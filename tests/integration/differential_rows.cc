#include "tests/integration/differential_rows.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace millrace::test {

std::string text_of_json(const std::string& value) {
  const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return value == "null" ? "\\N" : quoted ? value.substr(1, value.size() - 2) : value;
}

std::string RowGenerator::digits(std::size_t most) {
  std::string text;
  for (std::size_t i = 0, count = 1 + below(most); i < count; ++i) {
    text += static_cast<char>('0' + below(10));
  }
  return text;
}

std::string RowGenerator::integer(bool with_sign) {
  std::string sign;
  if (with_sign && one_in(3)) sign = "-";
  if (one_in(50)) sign = "+";
  if (one_in(500)) sign = "-";
  return sign + digits(one_in(10) ? 90 : one_in(3) ? 20 : 4);
}

std::string RowGenerator::decimal(std::size_t whole_digits) {
  const std::size_t whole = one_in(300) ? 90 : whole_digits;
  std::string text = one_in(4) ? "-" : "";
  text += whole == 0 ? "0" : digits(whole);
  if (!one_in(4)) text += "." + digits(one_in(10) ? 40 : 8);
  if (one_in(100)) text += "e" + one_of<std::string>({"", "-", "+"}) + digits(1);
  if (one_in(500)) text += one_of<std::string>({"e", ".", "e400", "e-400", "-", "x"});
  return text;
}

std::string RowGenerator::string() {
  static const std::vector<std::string> kParts = {"a",
                                                  "xyz",
                                                  " ",
                                                  "/path/to",
                                                  "\\n",
                                                  "\\\"",
                                                  "\\\\",
                                                  "\\/",
                                                  "\\u00e9",
                                                  "\xc3\xa9",
                                                  "\xe2\x82\xac",
                                                  "\\ud83d\\ude00",
                                                  "\xff",
                                                  "\x80",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ":",
                                                  ",",
                                                  "Mozilla/5.0 (X11; Linux x86_64)",
                                                  "\\u0000",
                                                  "\\u0041",
                                                  "'",
                                                  "0",
                                                  "\t",
                                                  "\\b\\f\\r\\t"};
  std::string text;
  for (std::size_t i = 0, count = below(one_in(20) ? 60 : 5); i < count; ++i)
    text += one_of(kParts);
  if (one_in(1000))
    text += one_of<std::string>({"\\ud800", "\\u12", "\\uzzzz", "\\ud83d\\u0041", "\\x"});
  return quoted(text);
}

std::string RowGenerator::time_of_day() {
  char text[16];
  std::snprintf(text, sizeof text, "%02zu:%02zu:%02zu", below(one_in(300) ? 100 : 24), below(60),
                below(60));
  return text;
}

std::string RowGenerator::date() {
  char text[32];
  const std::size_t year = one_in(200) ? 1890 + below(430) : 1975 + below(60);
  const char* form = one_in(10)   ? "%04zu/%zu/%zu"
                     : one_in(20) ? "%04zu%02zu%02zu"
                                  : "%04zu-%02zu-%02zu";
  std::snprintf(text, sizeof text, form, year, 1 + below(one_in(300) ? 14 : 12),
                1 + below(one_in(300) ? 33 : 28));
  return text;
}

std::string RowGenerator::time() {
  static const std::vector<std::string> kMonths = {
      "Jan", "Feb", "mar", "April", "MAY", "Jun", "Jul", "Aug", "September", "Oct", "Nov", "Dec"};
  if (one_in(8)) return std::to_string(below(4'000'000'000));
  if (one_in(100))
    return quoted(std::to_string(1'000'000'000 + below(8'000'000'000)) +
                  (one_in(2) ? "." + digits(12) : ""));
  if (one_in(100)) {
    return quoted(std::to_string(1 + below(28)) + one_of<std::string>({" ", "-", "/", "."}) +
                  one_of(kMonths) + one_of<std::string>({" ", "-", ", "}) +
                  std::to_string(1970 + below(120)) + " " + time_of_day());
  }
  std::string text = date();
  if (one_in(20)) return quoted(text);
  text += one_of<std::string>({" ", "T"}) + time_of_day();
  if (one_in(3)) text += "." + digits(one_in(10) ? 22 : 6);
  if (one_in(4))
    text += one_of<std::string>({"Z", "Z", "+01:00", "-0330", "+5", " UTC", " MSK", " PM", "am",
                                 "-11:45", one_in(100) ? "z" : "Z", " +02"});
  return quoted(text);
}

std::string RowGenerator::uuid() {
  std::string text;
  const bool dashes = !one_in(5);
  for (std::size_t i = 0; i < 32; ++i) {
    if (dashes && (i == 8 || i == 12 || i == 16 || i == 20)) text += '-';
    text += "0123456789abcdefABCDEF"[below(22)];
  }
  return quoted(text);
}

std::string RowGenerator::address(bool ipv6) {
  std::string text;
  if (!ipv6 || one_in(3)) {
    for (int i = 0; i < 4; ++i)
      text += (i > 0 ? "." : "") + std::to_string(below(one_in(300) ? 300 : 256));
    return quoted(ipv6 && one_in(5) ? "::ffff:" + text : text);
  }
  static const char* const kHex = "0123456789abcdef";
  const std::size_t groups = one_in(3) ? 2 + below(7) : 8,
                    gap = groups == 8 ? 8 : 1 + below(groups - 1);
  for (std::size_t i = 0; i < groups; ++i) {
    if (i > 0) text += (i == gap || one_in(300)) ? "::" : ":";
    for (std::size_t j = 0, count = 1 + below(4); j < count; ++j) text += kHex[below(16)];
  }
  return quoted(text + (one_in(300) ? "::" : ""));
}

std::string RowGenerator::list(char open, char close, const std::function<std::string()>& element) {
  std::string text(1, open);
  for (std::size_t i = 0, count = below(5); i < count; ++i) {
    if (i > 0) text += ",";
    text += space() + element() + space();
  }
  return text + close;
}

// Of no type in particular.
std::string RowGenerator::any_value(unsigned depth) {
  switch (below(depth > 2 ? 6 : 8)) {
    case 0:
      return "null";
    case 1:
      return one_of<std::string>({"true", "false"});
    case 2:
      return integer(true);
    case 3:
      return maybe_quoted(decimal(6));
    case 4:
      return string();
    case 5:
      return time();
    case 6:
      return list('[', ']', [&] { return any_value(depth + 1); });
    default:
      return list('{', '}', [&] { return string() + ":" + any_value(depth + 1); });
  }
}

RowGenerator::Type RowGenerator::scalar() {
  static const std::vector<std::string> kIntegers = {"UInt8",   "UInt16",  "UInt32", "UInt64",
                                                     "UInt128", "UInt256", "Int8",   "Int16",
                                                     "Int32",   "Int64",   "Int128", "Int256"};
  static const std::vector<std::pair<std::string, std::size_t>> kDecimals = {
      {"Decimal(9, 2)", 7},    {"Decimal(18, 4)", 14}, {"Decimal(38, 10)", 28},
      {"Decimal(76, 20)", 56}, {"Decimal(4, 4)", 0},   {"Decimal(12, 0)", 12}};
  static const std::vector<std::string> kTimes = {"DateTime",
                                                  "DateTime('Europe/Berlin')",
                                                  "DateTime('America/New_York')",
                                                  "DateTime64(3)",
                                                  "DateTime64(9)",
                                                  "DateTime64(0)",
                                                  "DateTime64(6, 'Asia/Kolkata')",
                                                  "DateTime64(3, 'Australia/Lord_Howe')"};
  switch (below(13)) {
    case 0:
    case 1: {
      const std::string name = one_of(kIntegers);
      return {name, [this, name] { return maybe_quoted(integer(name.starts_with("Int"))); }};
    }
    case 2:
      return {one_of<std::string>({"Float32", "Float64", "BFloat16"}),
              [&] { return maybe_quoted(decimal(20)); }};
    case 3: {
      const auto [name, whole] = one_of(kDecimals);
      return {name, [this, whole = whole] { return maybe_quoted(decimal(whole)); }};
    }
    case 4:
      return {one_of(kTimes), [&] { return time(); }};
    case 5:
      return {one_of<std::string>({"Date", "Date32"}),
              [&] { return one_in(5) ? integer(false) : quoted(date()); }};
    case 6:
      return {"Bool", [&] { return one_of<std::string>({"true", "false", "1", "0"}); }};
    case 7:
      return {"UUID", [&] { return uuid(); }};
    case 8:
      return one_in(2) ? Type{"IPv4", [&] { return address(one_in(300)); }}
                       : Type{"IPv6", [&] { return address(true); }};
    case 9:
      return {"Enum8('a' = 1, 'b' = 2, 'zero' = 0, 'x y' = -5)", [&] {
                return one_of<std::string>({"\"a\"", "\"b\"", "\"x y\"", "1", "2", "-5", "\"-5\"",
                                            "\"2\"", one_in(40) ? "3" : "1"});
              }};
    case 10: {
      const std::size_t width = 1 + below(20);
      return {"FixedString(" + std::to_string(width) + ")",
              [this, width] { return one_in(300) ? string() : quoted(digits(width)); }};
    }
    default:
      return {"String", [&] { return one_in(10) ? any_value(1) : string(); }};
  }
}

// What may stand in a LowCardinality.
RowGenerator::Type RowGenerator::dictionary() {
  while (true) {
    Type values = scalar();
    const auto starts = [&](const char* prefix) { return values.name.starts_with(prefix); };
    if (starts("Decimal") || starts("DateTime64") || starts("Enum") || starts("Bool") ||
        starts("BFloat") || starts("Float"))
      continue;
    if (one_in(2)) return {"LowCardinality(" + values.name + ")", values.value};
    return {"LowCardinality(Nullable(" + values.name + "))",
            [this, values] { return one_in(4) ? "null" : values.value(); }};
  }
}

RowGenerator::Type RowGenerator::type(unsigned depth) {
  if (depth > 2 || below(3) > 0) {
    if (one_in(4)) return dictionary();
    Type plain = scalar();
    if (one_in(3))
      return {"Nullable(" + plain.name + ")",
              [this, plain] { return one_in(4) ? "null" : plain.value(); }};
    return plain;
  }
  const Type first = type(depth + 1), second = type(depth + 1);
  switch (below(4)) {
    case 0:
    case 1:
      return {"Array(" + first.name + ")", [this, first] { return list('[', ']', first.value); }};
    case 2: {
      const std::string key = one_of<std::string>({"String", "LowCardinality(String)", "UInt16"});
      return {"Map(" + key + ", " + second.name + ")", [this, key, second] {
                return list('{', '}', [&] {
                  return (key == "UInt16" ? maybe_quoted(digits(4)) : string()) + ":" +
                         second.value();
                });
              }};
    }
    default:
      if (one_in(2)) {
        return {"Tuple(" + first.name + ", " + second.name + ")", [this, first, second] {
                  return "[" + first.value() + "," + space() + second.value() + "]";
                }};
      }
      return {"Tuple(p " + first.name + ", q " + second.name + ")", [this, first, second] {
                const std::string p = "\"p\":" + first.value(), q = "\"q\":" + second.value();
                return one_of<std::string>({"{" + p + "," + q + "}", "{" + q + "," + p + "}",
                                            "{" + q + "}", "{\"r\":1," + p + "}"});
              }};
  }
}

std::string RowGenerator::new_table() {
  columns_.clear();
  settings_.clear();
  shuffled_ = one_in(3);
  if (one_in(3)) settings_["input_format_skip_unknown_fields"] = "1";
  std::string text;
  for (std::size_t i = 0, count = 1 + below(16); i < count; ++i) {
    columns_.push_back(type(has_text_fields(format_) ? 3 : 0));
    const std::string& name = columns_.back().name;
    text += (i > 0 ? ", c" : "c") + std::to_string(i) + " " + name;
    if (!one_in(3)) continue;
    if (name == "String" || name == "LowCardinality(String)" || name == "Nullable(String)" ||
        name.starts_with("FixedString")) {
      text += " DEFAULT 'd'";
    }
    if (name.starts_with("Int") || name == "Float64") text += " DEFAULT -5";
    if (name == "Bool") text += " DEFAULT true";
  }
  return text;
}

std::string RowGenerator::row(std::size_t n) {
  if (has_text_fields(format_)) return text_row(n);
  return format_ == RowFormat::kJsonArrays ? json_array(n) : json_object(n);
}

std::string RowGenerator::text_row(std::size_t n) {
  const bool commas = format_ == RowFormat::kCommas;
  std::string text = std::to_string(n);
  for (const Type& column : columns_) {
    if (one_in(500 * columns_.size())) continue;
    std::string value = text_of_json(column.value());
    if (one_in(50)) value = "\\N";
    if (one_in(50)) value = "";
    if (one_in(150 * columns_.size())) value = any_value(4);
    // What would take the next message as its own.
    if (value.find("\\x") != value.npos) value = "x";
    if (commas && (one_in(3) || (value.find(',') != value.npos && !one_in(100)))) {
      for (std::size_t at = 0; (at = value.find('"', at)) != value.npos; at += 2) {
        value.insert(at, 1, '"');
      }
      value = "\"" + value + "\"";
    }
    text += commas ? "," : "\t";
    text += commas && one_in(20) ? " " + value + " " : value;
  }
  return text;
}

std::string RowGenerator::json_array(std::size_t n) {
  std::string text = "[" + space() + std::to_string(n);
  for (const Type& column : columns_) {
    if (one_in(500 * columns_.size())) continue;
    std::string value = column.value();
    if (one_in(50)) value = "null";
    if (one_in(150 * columns_.size())) value = any_value(0);
    text += space() + "," + space() + value;
  }
  return text + space() + "]";
}

std::string RowGenerator::json_object(std::size_t n) {
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (one_in(30)) continue;
    std::string value = columns_[i].value();
    if (one_in(50)) value = "null";
    if (one_in(150 * columns_.size())) value = any_value(0);
    fields.push_back((one_in(200) ? "\"C" : "\"c") + std::to_string(i) + "\":" + space() + value);
  }
  if (one_in(settings_.empty() ? 2000 : 10)) fields.push_back("\"other\":" + any_value(0));
  if (one_in(500)) fields.push_back("\"c0\":" + columns_[0].value());
  if (shuffled_ && one_in(3)) std::shuffle(fields.begin(), fields.end(), random_);
  std::string text = "{" + space() + "\"n\":" + std::to_string(n);
  for (const std::string& field : fields) text += space() + "," + space() + field;
  return text + space() + "}";
}

std::string RowGenerator::message(std::size_t n) {
  std::string text = row(n);
  if (has_text_fields(format_)) return one_in(20) ? text + "\n" + row(n + kSecond) : text;
  if (one_in(20)) text += one_of<std::string>({"", ",", " "}) + row(n + kSecond);
  if (one_in(400)) text.erase(below(text.size()), 1);
  if (one_in(400)) text[below(text.size())] = static_cast<char>(32 + below(95));
  return text;
}

}  // namespace millrace::test
