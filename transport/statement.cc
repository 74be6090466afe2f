#include "transport/statement.h"

#include <cstddef>
#include <optional>

#include "transport/sql_lexer.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

enum class Leading { kRead, kInsert, kOther };

// A statement that begins with WITH is what stands after the last of its expressions: an INSERT if
// that word occurs outside parentheses. It may also be a name there; only with INTO it can't be.
Leading after_with(SqlLexer& lexer) {
  std::size_t depth = 0;
  bool maybe_insert = false;
  for (;;) {
    SqlToken token = lexer.next_significant();
    while (depth == 0 && token.is_word("INSERT")) {
      maybe_insert = true;
      token = lexer.next_significant();
      if (token.is_word("INTO")) return Leading::kInsert;
    }
    if (token.kind == TokenKind::kUnclosed) return Leading::kOther;
    if (token.kind == TokenKind::kEnd) return maybe_insert ? Leading::kOther : Leading::kRead;
    if (token.is_char('(')) ++depth;
    if (token.is_char(')') && depth > 0) --depth;
  }
}

Leading leading(std::string_view sql) {
  SqlLexer lexer(sql);
  SqlToken token = lexer.next_significant();
  while (token.is_char('(')) token = lexer.next_significant();
  if (token.is_word("INSERT")) return Leading::kInsert;
  if (token.is_word("WITH")) return after_with(lexer);
  for (std::string_view word :
       {"SELECT", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "VALUES"}) {
    if (token.is_word(word)) return Leading::kRead;
  }
  return Leading::kOther;
}

// What begins with a `{`; moves the lexer behind it only if it is a placeholder.
std::optional<Placeholder> placeholder(std::string_view sql, SqlLexer& lexer) {
  SqlLexer ahead = lexer;
  const SqlToken name = ahead.next_significant();
  if (name.kind != TokenKind::kWord) return std::nullopt;
  if (!ahead.next_significant().is_char(':')) return std::nullopt;
  const std::size_t begin = ahead.position();
  std::size_t end = begin;
  for (;;) {
    const SqlToken token = ahead.next_significant();
    if (token.is_char('}')) break;
    // No type holds a `{`; it ends the search, so that many of them do not each read to the end.
    if (token.kind == TokenKind::kEnd || token.kind == TokenKind::kUnclosed || token.is_char('{')) {
      return std::nullopt;
    }
    end = ahead.position();
  }
  const std::string_view type = sql.substr(begin, end - begin);
  const auto first = type.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::nullopt;
  lexer = ahead;
  return Placeholder{name.text, type.substr(first)};
}

}  // namespace

std::string strip_semicolons(std::string_view sql) {
  std::string result(sql);
  if (sql.find(';') == std::string_view::npos || is_insert(sql)) return result;
  std::vector<std::size_t> at_end;
  SqlLexer lexer(sql);
  for (SqlToken token = lexer.next(); token.kind != TokenKind::kEnd; token = lexer.next()) {
    if (token.kind == TokenKind::kUnclosed) return result;
    if (token.is_char(';')) {
      at_end.push_back(lexer.position() - 1);
    } else if (token.kind != TokenKind::kTrivia) {
      at_end.clear();
    }
  }
  if (at_end.empty()) return result;
  result.resize(at_end.front());
  for (std::size_t i = 0; i < at_end.size(); ++i) {
    const std::size_t begin = at_end[i] + 1;
    const std::size_t end = i + 1 < at_end.size() ? at_end[i + 1] : sql.size();
    result.append(sql.substr(begin, end - begin));
  }
  return result;
}

std::string with_format(std::string_view sql, std::string_view format) {
  if (format.empty()) return std::string(sql);
  wire::check_format(format);
  return strip_semicolons(sql) + "\n FORMAT " + std::string(format);
}

std::vector<Placeholder> placeholders(std::string_view sql) {
  std::vector<Placeholder> found;
  if (sql.find('{') == std::string_view::npos) return found;
  const bool insert = is_insert(sql);
  SqlLexer lexer(sql);
  std::size_t depth = 0;
  for (;;) {
    const SqlToken token = lexer.next_significant();
    if (token.kind == TokenKind::kEnd || token.kind == TokenKind::kUnclosed) return found;
    if (insert && depth == 0 && token.is_word("FORMAT")) return found;  // data may follow
    if (token.is_char('(')) ++depth;
    if (token.is_char(')') && depth > 0) --depth;
    if (!token.is_char('{')) continue;
    if (const auto one = placeholder(sql, lexer)) found.push_back(*one);
  }
}

bool is_read(std::string_view sql) { return leading(sql) == Leading::kRead; }

bool is_insert(std::string_view sql) { return leading(sql) == Leading::kInsert; }

bool is_quoted_identifier(std::string_view text) {
  if (text.size() <= 2 || (text.front() != '`' && text.front() != '"')) return false;
  const SqlToken token = SqlLexer(text).next();
  return token.kind == TokenKind::kQuoted && token.text.size() == text.size();
}

bool is_placeholder_name(std::string_view name) {
  SqlLexer lexer(name);
  const SqlToken token = lexer.next();
  return token.kind == TokenKind::kWord && token.text.size() == name.size() && !name.empty();
}

}  // namespace millrace
