// Text of a setting <-> value, for the types that settings have. Pure.
//
// The parsers throw std::invalid_argument; its text continues a sentence whose subject is the value
// ("needs a unit, such as 16MiB") and never repeats the value, which may be a secret.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

std::uint64_t parse_count(std::string_view text);

// `16MiB`, `1GB`, `512B`, `0`: a whole number and a unit, binary or decimal.
std::size_t parse_bytes(std::string_view text);
std::string print_bytes(std::size_t bytes);

// `250ms`, `1s`, `5m`, `2h`, `0`: a whole number and a unit.
std::chrono::milliseconds parse_duration(std::string_view text);
std::string print_duration(std::chrono::milliseconds duration);

// `127.0.0.1:9464`, `[::1]:9464`; the host comes back without brackets.
std::pair<std::string, std::uint16_t> parse_host_port(std::string_view text);
std::string print_host_port(const std::string& host, std::uint16_t port);

// Replaces `${ENV}`, `${ENV:-default}`, `${file:/path}` (without the newline at its end) and `$$`.
// A `$` before anything else stays, as patterns end with one. Reads the environment and files.
std::string substitute(std::string_view raw);
// The opposite for printing: what substitute() turns back into `text`.
std::string escape_substitution(std::string_view text);

// "a, b, c".
template <class Range>
std::string join(const Range& words) {
  std::string joined;
  for (const std::string_view word : words) joined.append(joined.empty() ? "" : ", ").append(word);
  return joined;
}

// Changes, insertions and removals that make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

// Whether an option of this name holds a secret ("sasl.password", "ssl.key.pem" …).
bool is_secret_name(std::string_view name);

}  // namespace millrace
