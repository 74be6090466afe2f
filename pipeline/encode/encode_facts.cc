#include "pipeline/encode/encode_facts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/table_sql.h"

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
      settings_query(), {.settings = insert_settings, .format = "TabSeparatedRaw"});
  for (const std::string& row : answer_lines(rows)) {
    const std::size_t tab = std::min(row.find('\t'), row.size());
    const std::string name = row.substr(0, tab);
    const std::string value = tab < row.size() ? row.substr(tab + 1) : std::string();
    if (name == "timezone()") {
      facts.context.time_zone = value;
    } else {
      facts.context.settings[name] = value;
    }
  }
  for (ColumnDescription& column : client.describe_table(table)) {
    facts.columns.push_back({std::move(column.name), std::move(column.type),
                             std::move(column.default_kind), std::move(column.default_expression)});
  }
  return facts;
}

}  // namespace millrace
