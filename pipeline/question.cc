#include "pipeline/question.h"

#include <charconv>
#include <utility>

#include "transport/error.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

constexpr std::string_view kMark = "millrace: end of the answer";

[[noreturn]] void fail(NetworkError::Kind kind, const QuerySummary& summary,
                       const std::string& what) {
  throw NetworkError(kind,
                     summary.endpoint + ": the answer to a question is not whole: " + what +
                         " (query_id " + summary.query_id + "); is the server's disk full?",
                     false);
}

template <class Number>
Number parsed(std::string_view field) {
  Number number{};
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
  if (error == std::errc() && end == field.data() + field.size()) return number;
  throw NetworkError(NetworkError::Kind::kProtocol,
                     "'" + wire::valid_utf8(field, 100) + "' was answered where a number belongs",
                     false);
}

}  // namespace

std::vector<AnswerRow> ask_rows(Client& client, std::string_view sql, std::size_t fields,
                                QueryOptions options) {
  using Kind = NetworkError::Kind;
  QuerySummary summary;
  options.summary = &summary;
  // TabSeparated, and what stands behind all rows.
  options.format = "CustomSeparated";
  options.settings.insert_or_assign("format_custom_escaping_rule", "Escaped");
  options.settings.insert_or_assign("format_custom_result_after_delimiter", std::string(kMark));
  const std::string answer = client.raw_query(sql, options);
  std::string_view rest = answer;
  if (!rest.ends_with(kMark)) fail(Kind::kTruncated, summary, "our mark at its end is missing");
  rest.remove_suffix(kMark.size());
  std::vector<AnswerRow> rows;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    AnswerRow row;
    for (const std::string_view field : wire::split(rest.substr(0, end), '\t')) {
      row.push_back(field == "\\N" ? std::string(field) : wire::unescape_tsv(field));
    }
    if (end == rest.npos || row.size() != fields) {
      fail(Kind::kTruncated, summary, "a row of " + std::to_string(row.size()) + " fields");
    }
    rows.push_back(std::move(row));
    rest.remove_prefix(end + 1);
  }
  return rows;
}

AnswerRow ask_row(Client& client, std::string_view sql, std::size_t fields, QueryOptions options) {
  std::vector<AnswerRow> rows = ask_rows(client, sql, fields, std::move(options));
  if (rows.size() == 1) return std::move(rows.front());
  throw NetworkError(NetworkError::Kind::kProtocol,
                     std::to_string(rows.size()) + " rows were answered where one belongs", false);
}

std::int64_t number_of(std::string_view field) { return parsed<std::int64_t>(field); }
std::uint64_t count_of(std::string_view field) { return parsed<std::uint64_t>(field); }

std::vector<ColumnDescription> ask_columns(Client& client, std::string_view table) {
  std::vector<ColumnDescription> columns;
  // Name, type, default, comment, codec, TTL: seven fields since ClickHouse 19.
  for (AnswerRow& row : ask_rows(client, "DESCRIBE TABLE " + quote_table(table), 7,
                                 {.settings = {{"describe_compact_output", "0"}}})) {
    columns.push_back({std::move(row[0]), std::move(row[1]), std::move(row[2]), std::move(row[3])});
  }
  if (columns.empty()) {
    throw NetworkError(NetworkError::Kind::kProtocol,
                       "DESCRIBE TABLE " + quote_table(table) + " was answered without a column",
                       false);
  }
  return columns;
}

}  // namespace millrace
