#include "transport/format_header.h"

namespace millrace {

bool has_header(std::string_view format) {
  return format.ends_with("WithNames") || format.ends_with("WithNamesAndTypes");
}

std::string header_guess_setting(std::string_view format) {
  if (has_header(format)) return {};
  if (format == "CSV") return "input_format_csv_detect_header";
  if (format.starts_with("TSV") || format.starts_with("TabSeparated") || format == "Raw") {
    return "input_format_tsv_detect_header";
  }
  if (format.starts_with("CustomSeparated")) return "input_format_custom_detect_header";
  return {};
}

}  // namespace millrace
