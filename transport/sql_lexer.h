// Cuts a statement into tokens as ClickHouse does. Only what statement.h needs to tell apart has a
// kind of its own. Owned by one thread; a copy looks ahead. The tokens point into the statement.
// https://github.com/ClickHouse/ClickHouse/blob/master/src/Parsers/Lexer.cpp
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace {

enum class TokenKind {
  kEnd,
  kTrivia,    // spaces and comments
  kWord,      // a keyword or a bare name, also `1a` and `a$b`
  kQuoted,    // a string, a quoted name or a heredoc
  kUnclosed,  // a quote or comment without its end: takes all the rest
  kOther,     // one character of anything else, or a number
};

struct SqlToken {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text{};

  bool is_word(std::string_view upper_case) const noexcept;
  bool is_char(char c) const noexcept;  // of kind kOther
};

class SqlLexer {
 public:
  explicit SqlLexer(std::string_view sql) : sql_(sql) {}
  SqlToken next();              // kEnd for ever, once it is reached
  SqlToken next_significant();  // no trivia
  std::size_t position() const noexcept { return position_; }

 private:
  SqlToken take(TokenKind kind, std::size_t end);
  SqlToken take_through(TokenKind kind, std::string_view closer, std::size_t from);
  SqlToken take_quoted(char quote);
  SqlToken take_block_comment();
  SqlToken take_dollar();
  std::size_t word_end(std::size_t from, bool dollars) const;

  std::string_view sql_;
  std::size_t position_ = 0;
};

}  // namespace millrace
