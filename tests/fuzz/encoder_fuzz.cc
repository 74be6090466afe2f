// Any bytes as messages for a table of every type. A message that fails leaves nothing behind: the
// block is the one of the others alone. Nothing is read further than allowed behind a message.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/encode/native_encoder.h"
#include "pipeline/encode/native_plan.h"
#include "tests/fuzz/fuzz.h"

namespace millrace::fuzz {
namespace {

// One letter each, so that the fuzzer finds them.
const std::vector<TableColumn> kTable = {
    {"a", "UInt8", "", ""},
    {"b", "Int256", "", ""},
    {"c", "Float64", "", ""},
    {"d", "String", "DEFAULT", "'x'"},
    {"e", "DateTime64(3)", "", ""},
    {"f", "Array(Nullable(String))", "", ""},
    {"g", "Map(String, Tuple(x Int8, y DateTime))", "", ""},
    {"h", "Tuple(Decimal(38, 5), Date32, Enum8('a' = 1, 'b' = 2))", "", ""},
    {"i", "Nullable(IPv6)", "", ""},
    {"j", "UUID", "", ""},
    {"k", "FixedString(3)", "", ""},
    {"l", "IPv4", "", ""},
    {"m", "Bool", "", ""},
    {"n.a", "Array(Date)", "", ""},
    {"n.b", "Array(Float32)", "", ""},
    {"o", "Decimal(76, 20)", "", ""},
};

constexpr RowFormat kFormats[] = {RowFormat::kJsonObjects, RowFormat::kJsonArrays, RowFormat::kTabs,
                                  RowFormat::kCommas};

// Text formats have no Array, Map or Tuple.
std::vector<TableColumn> table_for(RowFormat format) {
  std::vector<TableColumn> table = kTable;
  if (has_text_fields(format)) {
    std::erase_if(table, [](const TableColumn& column) {
      return column.type.starts_with("Array") || column.type.starts_with("Map") ||
             column.type.starts_with("Tuple");
    });
  }
  return table;
}

NativeEncoder make_encoder(const std::vector<TableColumn>& table, bool skip_unknown,
                           RowFormat format) {
  EncodeContext context;
  context.format = format;
  context.settings["input_format_skip_unknown_fields"] = skip_unknown ? "1" : "0";
  context.settings["input_format_column_name_matching_mode"] = "auto";
  auto plan = NativePlan::make(table, context);
  auto* made = std::get_if<std::shared_ptr<const NativePlan>>(&plan);
  require(made != nullptr, "the table can be encoded");
  return NativeEncoder(std::move(*made));
}

// In memory that ends where reading must.
bool add(NativeEncoder& encoder, std::string_view message) {
  const auto memory = std::make_unique<char[]>(message.size() + kReadAhead);
  if (!message.empty()) std::memcpy(memory.get(), message.data(), message.size());
  std::fill_n(memory.get() + message.size(), kReadAhead, '1');
  const std::size_t rows = encoder.rows();
  const auto failure = encoder.add({memory.get(), message.size()}, "\"d\":\"front\"");
  require(!failure || encoder.rows() == rows, "a message that fails adds no row");
  require(!failure || failure->position <= message.size(), "a failure lies in its message");
  return !failure;
}

std::string body_of(NativeEncoder& encoder) {
  std::string body;
  for (const std::string_view piece : encoder.finish().pieces) body += piece;
  return body;
}

void check(std::string_view bytes, bool skip_unknown, RowFormat format) {
  const std::vector<TableColumn> table = table_for(format);
  NativeEncoder all = make_encoder(table, skip_unknown, format),
                good = make_encoder(table, skip_unknown, format);
  const char* const numbers =
      has_text_fields(format) ? "LowCardinality(UInt16)" : "Array(LowCardinality(UInt16))";
  NativeEncoder dictionary = make_encoder({{"a", "LowCardinality(Nullable(String))", "", ""},
                                           {"d", "String", "", ""},
                                           {"f", numbers, "", ""}},
                                          true, format);
  for (std::size_t at = 0; at <= bytes.size();) {
    const std::size_t end = std::min(bytes.find('\x1e', at), bytes.size());
    const std::string_view message = bytes.substr(at, end - at);
    if (add(all, message)) require(add(good, message), "a message means the same again");
    add(dictionary, message);
    at = end + 1;
  }
  require(all.rows() == good.rows(), "rows are counted");
  require(body_of(all) == body_of(good), "a message that fails leaves nothing");
  body_of(dictionary);
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  millrace::fuzz::check(bytes.substr(1), (data[0] & 1) != 0,
                        millrace::fuzz::kFormats[data[0] >> 1 & 3]);
  return 0;
}
