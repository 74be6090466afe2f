#include "service/config_value.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace millrace {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// In the order of printing: the first that divides the number is taken.
constexpr std::array kByteUnits{Unit{"TiB", 1ull << 40},
                                Unit{"GiB", 1ull << 30},
                                Unit{"MiB", 1ull << 20},
                                Unit{"KiB", 1ull << 10},
                                Unit{"TB", 1'000'000'000'000u},
                                Unit{"GB", 1'000'000'000u},
                                Unit{"MB", 1'000'000u},
                                Unit{"kB", 1'000u},
                                Unit{"B", 1u}};
constexpr std::array kTimeUnits{Unit{"h", 3'600'000u}, Unit{"m", 60'000u}, Unit{"s", 1'000u},
                                Unit{"ms", 1u}};

constexpr std::size_t kMaxSecretFileBytes = 64u << 10;

// The digits at the start of `text`, which they are taken off.
std::uint64_t take_number(std::string_view& text, const std::string& otherwise) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) throw std::invalid_argument("is too large");
  if (error != std::errc{}) throw std::invalid_argument(otherwise);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

template <std::size_t N>
std::uint64_t parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                              const std::string& kind, const std::string& example) {
  const std::uint64_t number = take_number(text, "is not a " + kind + ", such as " + example);
  if (text.empty()) {
    if (number == 0) return 0;
    throw std::invalid_argument("needs a unit, such as " + example);
  }
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == text; });
  if (unit == units.end()) {
    std::array<std::string_view, N> names;
    std::transform(units.begin(), units.end(), names.begin(), [](const Unit& u) { return u.name; });
    throw std::invalid_argument("is not a " + kind + ", such as " + example +
                                " (units: " + join(names) + "; whole numbers)");
  }
  // What is counted fits into a signed number everywhere it goes.
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit->factor)
    throw std::invalid_argument("is too large");
  return number * unit->factor;
}

template <std::size_t N>
std::string print_with_unit(std::uint64_t number, const std::array<Unit, N>& units) {
  if (number == 0) return "0";
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const Unit& u) { return number % u.factor == 0; });
  return std::to_string(number / unit->factor) + std::string(unit->name);
}

std::string read_secret_file(const std::string& path) {
  if (!path.starts_with('/'))
    throw std::invalid_argument("names file \"" + path + "\", which is not an absolute path");
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxSecretFileBytes + 1, '\0');
  if (!file || !file.read(text.data(), static_cast<std::streamsize>(text.size())).eof()) {
    const std::string why =
        file.gcount() > 0 ? "it is larger than 64KiB" : std::generic_category().message(errno);
    throw std::invalid_argument("names file " + path + ", which cannot be used: " + why);
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                  (c >= 'a' && c <= 'z');
         });
}

// What `${expression}` stands for.
std::string expand(const std::string& expression) {
  if (expression.starts_with("file:")) return read_secret_file(expression.substr(5));
  const std::size_t separator = expression.find(":-");
  const std::string name = expression.substr(0, separator);
  if (!is_variable_name(name))
    throw std::invalid_argument(
        "has a \"${\" that is none of ${NAME}, ${NAME:-default}, ${file:/path}; "
        "a plain \"${\" is written \"$${\"");
  const char* value = std::getenv(name.c_str());
  if (separator != std::string::npos && (value == nullptr || *value == '\0'))
    return expression.substr(separator + 2);
  if (value == nullptr)
    throw std::invalid_argument("names environment variable " + name +
                                ", which is not set; set it or give a default: ${" + name +
                                ":-default}");
  return value;
}

}  // namespace

std::uint64_t parse_count(std::string_view text) {
  const std::uint64_t number = take_number(text, "is not a whole number");
  if (!text.empty()) throw std::invalid_argument("is not a whole number");
  return number;
}

std::size_t parse_bytes(std::string_view text) {
  return parse_with_unit(text, kByteUnits, "size", "16MiB");
}

std::string print_bytes(std::size_t bytes) { return print_with_unit(bytes, kByteUnits); }

std::chrono::milliseconds parse_duration(std::string_view text) {
  return std::chrono::milliseconds(parse_with_unit(text, kTimeUnits, "duration", "250ms or 5s"));
}

std::string print_duration(std::chrono::milliseconds duration) {
  return print_with_unit(static_cast<std::uint64_t>(duration.count()), kTimeUnits);
}

std::pair<std::string, std::uint16_t> parse_host_port(std::string_view text) {
  const std::string otherwise = "is not host:port, such as 127.0.0.1:9464 or [::1]:9464";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) throw std::invalid_argument(otherwise);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    throw std::invalid_argument(otherwise);
  }
  if (host.empty() || host.find_first_of(" \t/@[]") != std::string_view::npos)
    throw std::invalid_argument(otherwise);
  std::string_view digits = text.substr(colon + 1);
  const std::uint64_t port = take_number(digits, otherwise);
  if (!digits.empty()) throw std::invalid_argument(otherwise);
  if (port > std::numeric_limits<std::uint16_t>::max())
    throw std::invalid_argument("has a port above 65535");
  return {std::string(host), static_cast<std::uint16_t>(port)};
}

std::string print_host_port(const std::string& host, std::uint16_t port) {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string substitute(std::string_view raw) {
  std::string text;
  while (!raw.empty()) {
    const std::size_t dollar = raw.find('$');
    text += raw.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    raw.remove_prefix(dollar + 1);
    if (raw.starts_with('$')) {
      text += '$';
      raw.remove_prefix(1);
    } else if (raw.starts_with('{')) {
      const std::size_t end = raw.find('}');
      if (end == std::string_view::npos) throw std::invalid_argument("has \"${\" without \"}\"");
      text += expand(std::string(raw.substr(1, end - 1)));
      raw.remove_prefix(end + 1);
    } else {
      text += '$';
    }
  }
  return text;
}

std::string escape_substitution(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += c == '$' ? std::string("$$") : std::string(1, c);
  return escaped;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

bool is_secret_name(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array kParts{"password",   "passphrase", "secret",     "token",
                              "credential", "key.pem",    "access_key", "access.key",
                              "api_key",    "api.key",    "jaas",       "oauthbearer.config"};
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](const char* part) { return lower.find(part) != std::string::npos; });
}

}  // namespace millrace
