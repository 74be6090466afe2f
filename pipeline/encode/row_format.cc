#include "pipeline/encode/row_format.h"

namespace millrace {

std::optional<RowFormat> row_format_of(std::string_view format) {
  constexpr struct {
    std::string_view name;
    RowFormat format;
  } kFormats[] = {{"JSONEachRow", RowFormat::kJsonObjects},
                  {"JSONLines", RowFormat::kJsonObjects},
                  {"NDJSON", RowFormat::kJsonObjects},
                  {"JSONCompactEachRow", RowFormat::kJsonArrays},
                  {"TabSeparated", RowFormat::kTabs},
                  {"TSV", RowFormat::kTabs},
                  {"CSV", RowFormat::kCommas}};
  for (const auto& known : kFormats) {
    if (known.name == format) return known.format;
  }
  return std::nullopt;
}

}  // namespace millrace
