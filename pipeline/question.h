// Questions to ClickHouse that decide of rows: an answer that is not whole is no answer.
//
// A server whose disk is full can answer with nothing, or with a part, and a proper end; a proxy
// that takes ClickHouse's header fields away leaves nothing else to tell a page by. So each answer
// ends with a mark of ours, which the server's format writes behind the last row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "transport/client.h"

namespace millrace {

using AnswerRow = std::vector<std::string>;  // its fields, unescaped; NULL is the text "\N"

// The rows of a statement, each of `fields` fields. `options.format` is set here. Throws what
// Client::raw_query throws, and NetworkError (kTruncated) for an answer without the mark or with a
// row of other fields.
std::vector<AnswerRow> ask_rows(Client& client, std::string_view sql, std::size_t fields,
                                QueryOptions options = {});
// The one row of a statement that always has one.
AnswerRow ask_row(Client& client, std::string_view sql, std::size_t fields,
                  QueryOptions options = {});

// A field that is a whole number. Throws NetworkError (kProtocol) for all else: nothing is no 0.
std::int64_t number_of(std::string_view field);
std::uint64_t count_of(std::string_view field);

// As DESCRIBE TABLE has them: at least one.
std::vector<ColumnDescription> ask_columns(Client& client, std::string_view table);

}  // namespace millrace
