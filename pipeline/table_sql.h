// Questions to system.tables and its like about one table, and the lines of their answers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "transport/client.h"

namespace millrace {

// The WHERE of the table that table_parameters() names (`name` or `database.name`), by the column
// that has its name: "name" in system.tables, "table" in system.parts.
inline std::string is_table(std::string_view name_column = "name") {
  return "database = if({database:String} = '', currentDatabase(), {database:String}) AND " +
         std::string(name_column) + " = {table:String}";
}

inline Named table_parameters(const std::string& table) {
  const auto dot = table.find('.');
  if (dot == std::string::npos) return {{"database", std::string()}, {"table", table}};
  return {{"database", table.substr(0, dot)}, {"table", table.substr(dot + 1)}};
}

// Of an answer in a format of lines whose values have none of their own.
inline std::vector<std::string> answer_lines(std::string_view answer) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < answer.size();) {
    const std::size_t end = std::min(answer.find('\n', at), answer.size());
    lines.emplace_back(answer.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace millrace
