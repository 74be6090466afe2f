// What a statement is, as far as a client must know: by a lexer of ClickHouse's rules, so that a
// `;` or a `{` in quotes, comments and heredocs is what it is. Pure functions; they never fail
// (with_format refuses a bad name of a format). A statement with an open quote or comment is left
// as it is.
// Data after INSERT … FORMAT x is never looked at: it follows other rules.
// https://github.com/ClickHouse/ClickHouse/blob/master/src/Parsers/Lexer.cpp
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Without `;` at its end, also where spaces and comments stand around them (they stay). An INSERT
// is left alone: what ends it may be data.
std::string strip_semicolons(std::string_view sql);

// The stripped statement and "\n FORMAT x"; `sql` itself if there is no format. Throws UsageError
// if the format is not a word.
std::string with_format(std::string_view sql, std::string_view format);

// `{name:Type}`, which the server fills in.
struct Placeholder {
  std::string_view name, type;  // point into the statement
};
// In their order; a name may occur several times.
std::vector<Placeholder> placeholders(std::string_view sql);

// True for what changes nothing on the server, so that it may be sent again: SELECT and FROM,
// WITH … SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS, VALUES. What we don't know is no read.
bool is_read(std::string_view sql);
// INSERT, also after WITH.
bool is_insert(std::string_view sql);

// `a b` or "a b" in its quotes, escapes included.
bool is_quoted_identifier(std::string_view text);

// The names that a placeholder may have: `a`, `_1`, `1a`, `a$b`, `$a$`.
bool is_placeholder_name(std::string_view name);

}  // namespace millrace
