// A table in the WHERE of a query to system.tables and its like, by query parameters.
#pragma once

#include <string>

#include "transport/client.h"

namespace millrace {

// The table that table_parameters() names: `name` or `database.name`.
inline constexpr char kIsTable[] =
    "database = if({database:String} = '', currentDatabase(), {database:String}) "
    "AND name = {table:String}";

inline Named table_parameters(const std::string& table) {
  const auto dot = table.find('.');
  if (dot == std::string::npos) return {{"database", std::string()}, {"table", table}};
  return {{"database", table.substr(0, dot)}, {"table", table.substr(dot + 1)}};
}

}  // namespace millrace
