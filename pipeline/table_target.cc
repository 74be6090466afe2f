#include "pipeline/table_target.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "pipeline/checkpoint.h"
#include "pipeline/encode/row_format.h"

namespace millrace {
namespace {

// ClickHouse's formats whose bodies are a sequence of independent messages: no header, no footer,
// no brackets around the whole. https://clickhouse.com/docs/interfaces/formats
constexpr std::array<std::string_view, 16> kLineFormats = {
    "JSONEachRow",
    "JSONLines",
    "NDJSON",
    "JSONStringsEachRow",
    "JSONCompactEachRow",
    "JSONCompactStringsEachRow",
    "JSONAsString",
    "JSONAsObject",
    "CSV",
    "TSV",
    "TabSeparated",
    "TSVRaw",
    "TabSeparatedRaw",
    "Raw",
    "TSKV",
    "LineAsString",
};
constexpr std::array<std::string_view, 8> kBinaryFormats = {
    "RowBinary", "RowBinaryWithDefaults", "Native",        "MsgPack", "Protobuf",
    "CapnProto", "BSONEachRow",           "AvroConfluent",
};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Framing framing_of(std::string_view format) {
  if (contains(kLineFormats, format)) return Framing::kLines;
  if (contains(kBinaryFormats, format)) return Framing::kConcatenated;
  throw std::invalid_argument(
      "format " + std::string(format) +
      ": its messages can't be put one behind the other in one insert (or it is unknown; names are "
      "case-sensitive). Formats that can: JSONEachRow, JSONCompactEachRow, CSV, TabSeparated, "
      "TSKV, RowBinary, RowBinaryWithDefaults, Native, MsgPack, Protobuf");
}

std::optional<std::string_view> tombstone_row(std::string_view format) {
  constexpr std::array<std::string_view, 8> kEmptyLineIsRow = {
      "CSV", "TSV", "TabSeparated", "TSVRaw", "TabSeparatedRaw", "Raw", "TSKV", "LineAsString"};
  if (row_format_of(format) == RowFormat::kJsonObjects) return "{}";
  if (contains(kEmptyLineIsRow, format)) return "";
  return std::nullopt;
}

std::string_view to_string(Delivery delivery) {
  switch (delivery) {
    case Delivery::kAuto:
      return "auto";
    case Delivery::kAtLeastOnce:
      return "at_least_once";
    case Delivery::kExactlyOnce:
      return "exactly_once";
  }
  return "";
}

bool TableTarget::encodes() const {
  return encoding == Encoding::kNative && row_format_of(format).has_value();
}

BufferLayout TableTarget::layout() const {
  BufferLayout layout;
  layout.add_separator = framing_of(format) == Framing::kLines;
  if (encodes()) layout.budget_factor = 2;
  if (!columns.any()) return layout;
  if (row_format_of(format) != RowFormat::kJsonObjects) {
    throw std::invalid_argument("format " + format +
                                ": columns from the record's topic, partition, offset, timestamp, "
                                "key, headers or lack of a value need format JSONEachRow");
  }
  layout.keep_key = !columns.key.empty();
  layout.keep_headers = !columns.headers.empty();
  layout.budget_factor = 2;
  return layout;
}

std::string TableTarget::config_hash() const {
  const std::string hash =
      hash_text({table, format, columns.topic, columns.partition, columns.offset, columns.timestamp,
                 columns.key, columns.headers});
  // As it was before there was such a column: plans outlive a new version.
  return columns.deleted.empty() ? hash : hash_text({hash, columns.deleted});
}

}  // namespace millrace
