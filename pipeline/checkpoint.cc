#include "pipeline/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <random>

namespace millrace {
namespace {

constexpr std::string_view kVersion = "m1";
constexpr char kSourceMark = '.';
constexpr int kBase = 36;

template <class Number>
std::string to_text(Number number) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, kBase).ptr;
  return {digits.data(), end};
}

// Nothing unless all of it is a number that is not negative.
std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, kBase);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// Takes what stands before the separator, and the separator.
std::string_view take_field(std::string_view& rest, char separator) {
  const std::string_view field = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(field.size() + 1, rest.size()));
  return field;
}

}  // namespace

std::string plan_text(const Checkpoint& checkpoint) {
  std::string text = std::string(kVersion) + ";" + checkpoint.incarnation + ";" +
                     to_text(checkpoint.written.time_since_epoch().count()) + ";" +
                     checkpoint.config;
  if (!checkpoint.source.empty()) text += kSourceMark + checkpoint.source;
  text += ';';
  std::int64_t last = checkpoint.position;
  for (const std::int64_t end : checkpoint.ends) {
    if (last != checkpoint.position) text += ',';
    text += to_text(end - last);
    last = end;
  }
  return text;
}

std::optional<Checkpoint> parse_plan(std::int64_t position, std::string_view text) {
  if (take_field(text, ';') != kVersion) return std::nullopt;
  Checkpoint checkpoint;
  checkpoint.position = position;
  checkpoint.incarnation = take_field(text, ';');
  const auto written = to_number(take_field(text, ';'));
  std::string_view source = take_field(text, ';');
  checkpoint.config = take_field(source, kSourceMark);
  checkpoint.source = source;
  if (checkpoint.incarnation.empty() || !written) return std::nullopt;
  checkpoint.written = std::chrono::sys_seconds(std::chrono::seconds(*written));
  std::int64_t last = position;
  while (!text.empty()) {
    const auto length = to_number(take_field(text, ','));
    if (!length || *length == 0 || *length > std::numeric_limits<std::int64_t>::max() - last) {
      return std::nullopt;
    }
    last += *length;
    checkpoint.ends.push_back(last);
  }
  return checkpoint;
}

std::string draw_incarnation() {
  std::random_device device;
  return to_text((std::uint64_t{device()} << 32) | device());
}

std::string hash_text(std::initializer_list<std::string_view> parts) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](char c) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  for (const std::string_view part : parts) {
    for (const char c : part) add(c);
    add('\0');
  }
  return to_text(hash);
}

}  // namespace millrace
