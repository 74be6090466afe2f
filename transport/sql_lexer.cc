#include "transport/sql_lexer.h"

#include <algorithm>
#include <cctype>

namespace millrace {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word_char(char c) { return is_letter(c) || is_digit(c); }

// The bytes of a space at the start of `text`, 0 if there is none; ClickHouse takes the spaces of
// Unicode too, for statements pasted from documents.
std::size_t space_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  if (byte(0) == ' ' || (byte(0) >= '\t' && byte(0) <= '\r')) return 1;
  if (byte(0) == 0xc2) return byte(1) == 0x85 || byte(1) == 0xa0 ? 2 : 0;  // U+0085, U+00A0
  if (byte(0) < 0xe1 || byte(0) > 0xef || (byte(1) & 0xc0) != 0x80 || (byte(2) & 0xc0) != 0x80) {
    return 0;
  }
  const unsigned c = (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  const bool space = c == 0x180e || (c >= 0x2000 && c <= 0x200d) || c == 0x2028 || c == 0x2029 ||
                     c == 0x202f || c == 0x205f || c == 0x2060 || c == 0x3000 || c == 0xfeff;
  return space ? 3 : 0;
}

}  // namespace

bool SqlToken::is_word(std::string_view upper_case) const noexcept {
  return kind == TokenKind::kWord &&
         std::equal(
             text.begin(), text.end(), upper_case.begin(), upper_case.end(),
             [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; });
}

bool SqlToken::is_char(char c) const noexcept {
  return kind == TokenKind::kOther && text.size() == 1 && text.front() == c;
}

SqlToken SqlLexer::next_significant() {
  SqlToken token = next();
  while (token.kind == TokenKind::kTrivia) token = next();
  return token;
}

SqlToken SqlLexer::next() {
  const std::string_view rest = sql_.substr(position_);
  if (rest.empty()) return {};
  if (const std::size_t space = space_length(rest); space > 0) {
    return take(TokenKind::kTrivia, position_ + space);
  }
  const char c = rest.front();
  if (c == '\'' || c == '"' || c == '`') return take_quoted(c);
  if (rest.starts_with("‘")) return take_through(TokenKind::kQuoted, "’", position_ + 3);
  if (rest.starts_with("“")) return take_through(TokenKind::kQuoted, "”", position_ + 3);
  if (rest.starts_with("/*")) return take_block_comment();
  if (rest.starts_with("--") || rest.starts_with("//") || rest.starts_with("# ") ||
      rest.starts_with("#!")) {
    return take(TokenKind::kTrivia, std::min(sql_.find('\n', position_), sql_.size()));
  }
  if (c == '$') return take_dollar();
  if (is_letter(c)) return take(TokenKind::kWord, word_end(position_, true));
  if (is_digit(c)) {  // a number, or a name that begins with one: no `$` in it
    const std::size_t end = word_end(position_, false);
    const std::string_view text = sql_.substr(position_, end - position_);
    const bool number = std::all_of(text.begin(), text.end(), is_digit);
    return take(number ? TokenKind::kOther : TokenKind::kWord, end);
  }
  return take(TokenKind::kOther, position_ + 1);
}

SqlToken SqlLexer::take(TokenKind kind, std::size_t end) {
  const SqlToken token{kind, sql_.substr(position_, end - position_)};
  position_ = end;
  return token;
}

SqlToken SqlLexer::take_through(TokenKind kind, std::string_view closer, std::size_t from) {
  const auto close = sql_.find(closer, from);
  if (close == std::string_view::npos) return take(TokenKind::kUnclosed, sql_.size());
  return take(kind, close + closer.size());
}

SqlToken SqlLexer::take_quoted(char quote) {
  for (std::size_t i = position_ + 1; i < sql_.size(); ++i) {
    if (sql_[i] == '\\') {
      ++i;
    } else if (sql_[i] == quote) {
      if (i + 1 == sql_.size() || sql_[i + 1] != quote) return take(TokenKind::kQuoted, i + 1);
      ++i;  // doubled: one of them is meant
    }
  }
  return take(TokenKind::kUnclosed, sql_.size());
}

SqlToken SqlLexer::take_block_comment() {
  std::size_t depth = 1;
  for (std::size_t i = position_ + 2; i + 2 <= sql_.size();) {
    const std::string_view two = sql_.substr(i, 2);
    if (two == "/*") {
      ++depth;
    } else if (two == "*/" && --depth == 0) {
      return take(TokenKind::kTrivia, i + 2);
    }
    i += two == "/*" || two == "*/" ? 2 : 1;
  }
  return take(TokenKind::kUnclosed, sql_.size());
}

// `$tag$ … $tag$` is a string; a `$` whose tag does not come again begins a name, or is alone.
SqlToken SqlLexer::take_dollar() {
  const std::size_t tag_end = word_end(position_ + 1, false);
  if (tag_end < sql_.size() && sql_[tag_end] == '$') {
    const std::string_view tag = sql_.substr(position_, tag_end + 1 - position_);
    const auto close = sql_.find(tag, tag_end + 1);
    if (close != std::string_view::npos) return take(TokenKind::kQuoted, close + tag.size());
  }
  if (tag_end == position_ + 1) return take(TokenKind::kOther, tag_end);
  return take(TokenKind::kWord, word_end(tag_end, true));
}

std::size_t SqlLexer::word_end(std::size_t from, bool dollars) const {
  while (from < sql_.size() && (is_word_char(sql_[from]) || (dollars && sql_[from] == '$'))) {
    ++from;
  }
  return from;
}

}  // namespace millrace
