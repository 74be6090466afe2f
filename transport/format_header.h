// Which of ClickHouse's text formats begin with names, and what keeps the server from guessing it.
//
// Two of the server's defaults lose rows without a word. CSV, TSV and CustomSeparated take a first
// row that equals the names of the columns for a header (input_format_…_detect_header), and
// …WithNames passes over what it does not know (input_format_skip_unknown_fields), so that of a
// file without header the first row is taken for names and the others arrive as defaults. Pure
// functions.
// https://clickhouse.com/docs/operations/settings/formats#input_format_skip_unknown_fields
#pragma once

#include <string>
#include <string_view>

namespace millrace {

inline constexpr std::string_view kSkipUnknownFields = "input_format_skip_unknown_fields";

// "CSVWithNames", "TSVWithNamesAndTypes" …: the first row has the names of the columns.
bool has_header(std::string_view format);

// The setting by which the server guesses a header in this format; empty for one in which it does
// not.
std::string header_guess_setting(std::string_view format);

}  // namespace millrace
