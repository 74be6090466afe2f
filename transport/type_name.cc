#include "transport/type_name.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace millrace {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// Where the first of `stops` is that stands in no parentheses and no quotes; npos for none.
std::size_t find_outside(std::string_view text, std::string_view stops) {
  std::size_t depth = 0;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != '\0') {
      if (c == '\\') {
        ++i;
      } else if (c == quote) {
        quote = '\0';
      }
    } else if (depth == 0 && stops.find(c) != std::string_view::npos) {
      return i;
    } else if (c == '\'' || c == '"' || c == '`') {
      quote = c;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && depth > 0) {
      --depth;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool TypeName::is(std::string_view other) const noexcept { return same(name, other); }

bool TypeName::is_number() const noexcept {
  for (std::string_view prefix : {"Int", "UInt", "Float", "BFloat", "Decimal"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

bool TypeName::is_composite() const noexcept {
  for (std::string_view composite : {"Array", "Tuple", "Map", "Nested", "Variant"}) {
    if (is(composite)) return true;
  }
  return false;
}

std::string_view TypeName::argument(std::size_t index) const noexcept {
  return index < arguments.size() ? arguments[index] : std::string_view();
}

std::string_view TypeName::element(std::size_t index) const noexcept {
  const std::string_view text = argument(index);
  const auto space = find_outside(text, kSpaces);
  const auto open = find_outside(text, "(");
  if (space == std::string_view::npos || space > open) return text;
  const std::string_view rest = trimmed(text.substr(space));
  return rest.starts_with('(') ? text : rest;  // "Array (Int8)" has no name before it
}

std::string one_line(std::string_view type) {
  std::string result;
  char quote = '\0';
  for (std::size_t i = 0; i < type.size(); ++i) {
    const char c = type[i];
    if (quote == '\0' && kSpaces.find(c) != std::string_view::npos) {
      const auto next = std::min(type.find_first_not_of(kSpaces, i), type.size());
      const bool needed =
          !result.empty() && result.back() != '(' && next < type.size() && type[next] != ')';
      if (needed) result += ' ';
      i = next - 1;
      continue;
    }
    result += c;
    if (quote == '\0') {
      if (c == '\'' || c == '"' || c == '`') quote = c;
    } else if (c == '\\' && i + 1 < type.size()) {
      result += type[++i];
    } else if (c == quote) {
      quote = '\0';
    }
  }
  return result;
}

TypeName parse_type(std::string_view text) {
  for (;;) {
    text = trimmed(text);
    TypeName type;
    const auto open = text.find('(');
    type.name = trimmed(text.substr(0, open));
    if (open == std::string_view::npos || !text.ends_with(')')) return type;
    std::string_view inside = text.substr(open + 1, text.size() - open - 2);
    if (type.is("Nullable") || type.is("LowCardinality")) {
      text = inside;
      continue;
    }
    while (!trimmed(inside).empty()) {
      const auto comma = find_outside(inside, ",");
      type.arguments.push_back(trimmed(inside.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      inside.remove_prefix(comma + 1);
    }
    return type;
  }
}

}  // namespace millrace
