#include "transport/wire_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "transport/client.h"  // quote_identifier, quote_table
#include "transport/error.h"

namespace millrace {

std::string quote_identifier(std::string_view name) {
  std::string quoted = "`";
  for (const char c : name) {
    if (c == '`' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "`";
}

std::string quote_table(std::string_view table) {
  // Where the first dot outside quotes is; what is quoted already stays as it is.
  const auto quoted_length = [](std::string_view text) -> std::size_t {
    if (text.empty() || (text.front() != '`' && text.front() != '"')) return 0;
    for (std::size_t i = 1; i < text.size(); ++i) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == text.front()) {
        return i + 1;
      }
    }
    return 0;
  };
  const auto part = [&](std::string_view text) {
    const std::size_t quoted = quoted_length(text);
    return quoted > 0 && quoted == text.size() ? std::string(text) : quote_identifier(text);
  };
  const auto dot = table.find('.', quoted_length(table));
  if (dot == std::string_view::npos) return part(table);
  return part(table.substr(0, dot)) + "." + part(table.substr(dot + 1));
}

namespace wire {

std::string url_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool alphanumeric =
        (u >= '0' && u <= '9') || (u >= 'A' && u <= 'Z') || (u >= 'a' && u <= 'z');
    if (alphanumeric || c == '-' || c == '_' || c == '.' || c == '~') {
      result += c;
    } else {
      result += '%';
      result += kHex[u >> 4];
      result += kHex[u & 0x0f];
    }
  }
  return result;
}

void check_header_value(std::string_view name, std::string_view value) {
  const bool control = std::any_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
  const bool padded = !value.empty() && (value.front() == ' ' || value.back() == ' ');
  if (control || padded) {
    throw UsageError(std::string(name) +
                     " has a control character (a line end from a file?) or a space at its start "
                     "or end: HTTP can't carry it");
  }
}

void check_format(std::string_view format) {
  const bool word = std::all_of(format.begin(), format.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
  if (!word || format.empty()) {
    throw UsageError("'" + std::string(format) + "' is not the name of a format");
  }
}

void check_header_name(std::string_view name) {
  const bool token = std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  if (!token || name.empty()) {
    throw UsageError("'" + std::string(name) + "' is not the name of an HTTP header");
  }
}

std::string valid_utf8(std::string_view text, std::size_t max) {
  std::string result;
  for (std::size_t i = 0; i < text.size() && result.size() < max;) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0x80                   ? 1
                         : lead >= 0xc2 && lead < 0xe0 ? 2
                         : lead >= 0xe0 && lead < 0xf0 ? 3
                         : lead >= 0xf0 && lead < 0xf5 ? 4
                                                       : 0;
    bool valid = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; valid && k < length; ++k) {
      valid = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    }
    if (valid && result.size() + length > max) break;
    if (valid) {
      result.append(text.substr(i, length));
    } else {
      result += '?';
      length = 1;
    }
    i += length;
  }
  return result;
}

std::string error_name_in(std::string_view text) {
  for (auto open = text.rfind('('); open != std::string_view::npos;) {
    const auto close = text.find(')', open);
    const std::string_view name =
        close == std::string_view::npos ? "" : text.substr(open + 1, close - open - 1);
    const bool upper = name.size() > 2 && std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
                       });
    if (upper && name.front() >= 'A') return std::string(name);
    if (open == 0) break;
    open = text.rfind('(', open - 1);
  }
  return {};
}

std::uint64_t summary_value(std::string_view json, std::string_view key) {
  const std::string quoted = "\"" + std::string(key) + "\":";
  const auto at = json.find(quoted);
  if (at == std::string_view::npos) return 0;
  json.remove_prefix(at + quoted.size());
  if (json.starts_with('"')) json.remove_prefix(1);
  std::uint64_t value = 0;
  std::from_chars(json.data(), json.data() + json.size(), value);
  return value;
}

std::string unescape_tsv(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result += text[i];
      continue;
    }
    const char c = text[++i];
    result += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == '0' ? '\0' : c;
  }
  return result;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace wire
}  // namespace millrace
