// The formats whose rows are read here and become Native columns. All others are passed on.
#pragma once

#include <optional>
#include <string_view>

namespace millrace {

enum class RowFormat {
  kJsonObjects,  // JSONEachRow: fields by name
  kJsonArrays,   // JSONCompactEachRow: one value for each column that can be inserted, in their
                 // order
  kTabs,         // TabSeparated, TSV
  kCommas,       // CSV
};
// Whether values stand in it as plain text, not as JSON.
constexpr bool has_text_fields(RowFormat format) {
  return format == RowFormat::kTabs || format == RowFormat::kCommas;
}

// By ClickHouse's name of the format; nothing if its rows are not read here.
std::optional<RowFormat> row_format_of(std::string_view format);

}  // namespace millrace
