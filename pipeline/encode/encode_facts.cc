#include "pipeline/encode/encode_facts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace millrace {
namespace {

// Rows of two columns. The time zone is in there by the name of its function; under the insert's
// settings, as session_timezone may be one of them.
std::string settings_query() {
  std::string sql =
      "SELECT 'timezone()', timezone() UNION ALL SELECT name, value FROM "
      "system.settings WHERE name IN (";
  for (const std::string_view name : relied_on_settings()) {
    if (sql.back() != '(') sql += ", ";
    sql.append("'").append(name).append("'");
  }
  return sql + ")";
}

}  // namespace

EncodeFacts ask_encode_facts(Client& client, std::string_view table,
                             const Settings& insert_settings) {
  EncodeFacts facts;
  facts.context.settings.insert(insert_settings.begin(), insert_settings.end());
  const std::string rows = client.raw_query(
      settings_query(), {.format = "TabSeparatedRaw", .settings = insert_settings});
  for (std::size_t at = 0; at < rows.size();) {
    const std::size_t tab = std::min(rows.find('\t', at), rows.size());
    const std::size_t end = std::min(rows.find('\n', tab), rows.size());
    const std::string name = rows.substr(at, tab - at);
    const std::string value = tab < end ? rows.substr(tab + 1, end - tab - 1) : std::string();
    if (name == "timezone()") {
      facts.context.time_zone = value;
    } else {
      facts.context.settings[name] = value;
    }
    at = end + 1;
  }
  for (ColumnDescription& column : client.describe_table(table)) {
    facts.columns.push_back({std::move(column.name), std::move(column.type),
                             std::move(column.default_kind), std::move(column.default_expression)});
  }
  return facts;
}

}  // namespace millrace
