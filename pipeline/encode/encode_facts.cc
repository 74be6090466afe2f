#include "pipeline/encode/encode_facts.h"

#include <string>
#include <utility>
#include <vector>

#include "pipeline/question.h"

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
  for (AnswerRow& row : ask_rows(client, settings_query(), 2, {.settings = insert_settings})) {
    if (row[0] == "timezone()") {
      facts.context.time_zone = std::move(row[1]);
    } else {
      facts.context.settings[row[0]] = std::move(row[1]);
    }
  }
  for (ColumnDescription& column : ask_columns(client, table)) {
    facts.columns.push_back({std::move(column.name), std::move(column.type),
                             std::move(column.default_kind), std::move(column.default_expression)});
  }
  return facts;
}

}  // namespace millrace
