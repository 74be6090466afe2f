// Which ClickHouse format a file is in, by its name.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace millrace {

// Where the names of a file's columns stand. If they were given beside it, no header is expected.
enum class ColumnNames { kInFile, kGiven };

// "x.csv" and "x.csv.gz": CSVWithNames, or CSV if the names are given; nothing for a name that says
// nothing.
std::optional<std::string> format_of_file(const std::filesystem::path& file, ColumnNames names);
// For a result: by the file's name, else PrettyCompact on a terminal, else TabSeparated.
std::string default_output_format(const std::string& output);

}  // namespace millrace
