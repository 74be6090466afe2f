#include "service/commands/formats.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "transport/compression.h"
#include "transport/format_header.h"

namespace millrace {

std::optional<std::string> format_of_file(const std::filesystem::path& file, ColumnNames names) {
  std::filesystem::path name = file;
  if (codec_of_file(name.string())) name.replace_extension();
  std::string extension = name.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::pair<const char*, const char*>, 13> kFormats{{
      {".csv", "CSVWithNames"},
      {".tsv", "TabSeparatedWithNames"},
      {".jsonl", "JSONEachRow"},
      {".ndjson", "JSONEachRow"},
      {".json", "JSONEachRow"},
      {".parquet", "Parquet"},
      {".arrow", "Arrow"},
      {".orc", "ORC"},
      {".avro", "Avro"},
      {".native", "Native"},
      {".rowbinary", "RowBinary"},
      {".msgpack", "MsgPack"},
      {".md", "Markdown"},
  }};
  for (const auto& [known, format] : kFormats) {
    if (extension != known) continue;
    std::string name_of_format = format;
    if (names == ColumnNames::kGiven && has_header(format)) {
      name_of_format.resize(name_of_format.size() - std::string_view("WithNames").size());
    }
    return name_of_format;
  }
  return std::nullopt;
}

std::string default_output_format(const std::string& output) {
  if (!output.empty() && output != "-")
    return format_of_file(output, ColumnNames::kInFile).value_or("TabSeparated");
  return ::isatty(STDOUT_FILENO) == 1 ? "PrettyCompact" : "TabSeparated";
}

}  // namespace millrace
