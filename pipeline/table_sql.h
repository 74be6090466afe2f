// Questions to system.tables and its like about one table.
#pragma once

#include <string>
#include <string_view>

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

}  // namespace millrace
