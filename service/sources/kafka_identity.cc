#include "service/sources/kafka_identity.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace millrace {
namespace {

constexpr int kBase = 36;
constexpr char kSeparator = '.';

void append_number(std::string& text, std::int64_t number) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, kBase).ptr;
  text.append(digits.data(), end);
}

void append_mark(std::string& text, const LogMark& mark, std::int64_t position) {
  append_number(text, mark.timestamp_ms);
  text += kSeparator;
  append_number(text, position - std::min(mark.offset, position));
}

std::optional<std::int64_t> take_number(std::string_view& text) {
  const std::string_view field = text.substr(0, text.find(kSeparator));
  text.remove_prefix(std::min(field.size() + 1, text.size()));
  std::int64_t number = 0;
  const auto [end, error] =
      std::from_chars(field.data(), field.data() + field.size(), number, kBase);
  if (error != std::errc{} || end != field.data() + field.size()) return std::nullopt;
  return number;
}

std::optional<LogMark> take_mark(std::string_view& text, std::int64_t position) {
  const auto timestamp = take_number(text);
  const auto distance = take_number(text);
  if (!timestamp || !distance || *timestamp < 0 || *distance < 0) return std::nullopt;
  return LogMark{*timestamp, std::max<std::int64_t>(position - *distance, 0)};
}

}  // namespace

std::int64_t timestamp_to_mark(std::int64_t newest_ms, std::int64_t now_ms) {
  return newest_ms < 0 ? now_ms : std::min(newest_ms + 1, now_ms);
}

LogMarks remark(LogMarks marks, std::int64_t timestamp_ms, std::int64_t answer,
                std::int64_t next_offset) {
  const LogMark found{timestamp_ms, answer < 0 ? next_offset : std::min(answer, next_offset)};
  // Records that came with old timestamps: what is known already tells more.
  if (found.offset <= marks.recent.offset) return marks;
  if (marks.deep.offset == 0 || marks.deep.offset < found.offset / 4) marks.deep = marks.recent;
  marks.recent = found;
  return marks;
}

bool contradicts(const LogMark& mark, std::int64_t answer) {
  return answer >= 0 && answer < mark.offset;
}

std::int64_t begin_of_other(const LogMarks& marks, std::int64_t recent_answer,
                            std::int64_t deep_answer, std::int64_t low) {
  const bool same_begin = marks.deep.offset > 0 && marks.deep.timestamp_ms > 0 &&
                          !contradicts(marks.deep, deep_answer) &&
                          recent_answer >= marks.deep.offset;
  return same_begin ? recent_answer : low;
}

std::string marks_text(const LogMarks& marks, std::int64_t position) {
  std::string text;
  if (marks.recent.offset == 0) return text;
  append_mark(text, marks.recent, position);
  if (marks.deep.offset == 0) return text;
  text += kSeparator;
  append_mark(text, marks.deep, position);
  return text;
}

LogMarks parse_marks(std::string_view text, std::int64_t position) {
  LogMarks marks;
  const auto recent = take_mark(text, position);
  if (!recent) return {};
  marks.recent = *recent;
  if (text.empty()) return marks;
  const auto deep = take_mark(text, position);
  if (!deep) return {};
  marks.deep = *deep;
  return marks;
}

}  // namespace millrace
