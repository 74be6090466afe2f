// The text that goes to ClickHouse and comes back: pure functions without a connection.
// quote_identifier() and quote_table(), which users of the client need too, are in client.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::wire {

// For a query string.
std::string url_encode(std::string_view text);

// The checks throw UsageError.
// What can't travel in a header: it would end it, or arrive as something else.
void check_header_value(std::string_view name, std::string_view value);
void check_header_name(std::string_view name);
void check_format(std::string_view format);

// At most `max` bytes of it, cut between characters; what is not UTF-8 becomes '?'.
std::string valid_utf8(std::string_view text, std::size_t max);
// "… (UNKNOWN_TABLE) (version 26.7)": the last (UPPER_CASE) of an error's text.
std::string error_name_in(std::string_view text);
// Of X-ClickHouse-Summary, {"read_rows":"1","written_rows":"2",…}: flat, every value digits.
std::uint64_t summary_value(std::string_view json, std::string_view key);
std::string unescape_tsv(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace millrace::wire
