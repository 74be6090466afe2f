#include "service/commands/formats.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "transport/compression.h"

namespace millrace {

std::optional<std::string> format_of_file(const std::filesystem::path& file) {
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
    if (extension == known) return format;
  }
  return std::nullopt;
}

std::string default_output_format(const std::string& output) {
  if (!output.empty() && output != "-") return format_of_file(output).value_or("TabSeparated");
  return ::isatty(STDOUT_FILENO) == 1 ? "PrettyCompact" : "TabSeparated";
}

}  // namespace millrace
