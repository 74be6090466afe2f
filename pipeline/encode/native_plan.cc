#include "pipeline/encode/native_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "pipeline/encode/type_writers.h"
#include "pipeline/encoder.h"

namespace millrace {
namespace {

// Settings under which the encoder's meaning is ClickHouse's. With another value of one of these,
// or with another setting of this kind, the server reads the rows.
struct Meaning {
  std::string_view name, value;
  std::string_view type = {};  // only for columns of types with this in their name
};
constexpr Meaning kMeaning[] = {
    {"bool_false_representation", "false", "Bool"},
    {"bool_true_representation", "true", "Bool"},
    {"date_time_input_format", "best_effort", "DateTime"},
    {"date_time_input_format", "basic", "DateTime"},
    {"date_time_overflow_behavior", "ignore", "Date"},
    {"format_csv_allow_double_quotes", "1"},
    {"format_csv_allow_single_quotes", "0"},
    {"format_csv_delimiter", ","},
    {"format_csv_null_representation", "\\N"},
    {"format_tsv_null_representation", "\\N"},
    {"input_format_allow_errors_num", "0"},
    {"input_format_allow_errors_ratio", "0"},
    {"input_format_csv_allow_cr_end_of_line", "0"},
    {"input_format_csv_allow_variable_number_of_columns", "0"},
    {"input_format_csv_allow_whitespace_or_tab_as_delimiter", "0"},
    {"input_format_csv_empty_as_default", "1"},
    {"input_format_csv_enum_as_number", "0", "Enum"},
    {"input_format_csv_skip_first_lines", "0"},
    {"input_format_csv_skip_trailing_empty_lines", "0"},
    {"input_format_csv_trim_whitespaces", "1"},
    {"input_format_csv_use_default_on_bad_values", "0"},
    {"input_format_defaults_for_omitted_fields", "1"},
    {"input_format_import_nested_json", "0"},
    {"input_format_ipv4_default_on_conversion_error", "0", "IPv4"},
    {"input_format_ipv6_default_on_conversion_error", "0", "IPv6"},
    {"input_format_json_compact_allow_variable_number_of_columns", "0"},
    {"input_format_json_defaults_for_missing_elements_in_named_tuple", "1"},
    {"input_format_json_empty_as_default", "0"},
    {"input_format_json_ignore_unknown_keys_in_named_tuple", "1"},
    {"input_format_json_ignore_unnecessary_fields", "1"},
    {"input_format_json_map_as_array_of_tuples", "0"},
    {"input_format_json_max_depth", "1000"},
    {"input_format_json_named_tuples_as_objects", "1"},
    {"input_format_json_read_arrays_as_strings", "1"},
    {"input_format_json_read_bools_as_numbers", "1"},
    {"input_format_json_read_bools_as_strings", "1"},
    {"input_format_json_read_numbers_as_strings", "1"},
    {"input_format_json_read_objects_as_strings", "1"},
    {"input_format_json_throw_on_bad_escape_sequence", "1"},
    {"input_format_null_as_default", "1"},
    {"input_format_tsv_allow_variable_number_of_columns", "0"},
    {"input_format_tsv_crlf_end_of_line", "0"},
    {"input_format_tsv_empty_as_default", "0"},
    {"input_format_tsv_enum_as_number", "0", "Enum"},
    {"input_format_tsv_skip_first_lines", "0"},
    {"input_format_tsv_skip_trailing_empty_lines", "0"},
    {"precise_float_parsing", "0"},
    {"precise_float_parsing", "1"},
};
constexpr std::string_view kSkipUnknown = "input_format_skip_unknown_fields";
// Older servers have no such setting, and match the case.
constexpr std::string_view kNameMatching = "input_format_column_name_matching_mode";

// Settings of input that only say how text is cut into blocks, or concern other formats.
constexpr std::string_view kWithoutMeaning[] = {
    "input_format_arrow_",    "input_format_avro_",
    "input_format_binary_",   "input_format_bson_",
    "input_format_capn_",     "input_format_csv_detect_header",
    "input_format_custom_",   "input_format_hive_",
    "input_format_max_",      "input_format_msgpack_",
    "input_format_native_",   "input_format_orc_",
    "input_format_parquet_",  "input_format_parallel_parsing",
    "input_format_protobuf_", "input_format_tsv_detect_header",
    "input_format_values_",   "input_format_with_"};

// Those that are about one format only.
bool concerns(std::string_view setting, RowFormat format) {
  const auto about = [&](const char* part) { return setting.find(part) != setting.npos; };
  if (about("format_csv_")) return format == RowFormat::kCommas;
  if (about("format_tsv_")) return format == RowFormat::kTabs;
  if (about("format_json_")) return !has_text_fields(format);
  return !setting.starts_with("bool_") || has_text_fields(format);
}

bool has_meaning(std::string_view setting, RowFormat format) {
  constexpr std::string_view kOfInput[] = {"input_format_",
                                           "format_csv_",
                                           "format_tsv_",
                                           "bool_true_representation",
                                           "bool_false_representation",
                                           "date_time_input",
                                           "date_time_overflow",
                                           "precise_float_parsing"};
  const auto has_prefix = [&](auto prefix) { return setting.starts_with(prefix); };
  return concerns(setting, format) &&
         std::any_of(std::begin(kOfInput), std::end(kOfInput), has_prefix) &&
         std::none_of(std::begin(kWithoutMeaning), std::end(kWithoutMeaning), has_prefix);
}

bool same_value(std::string_view a, std::string_view b) {
  const auto plain = [](std::string_view text) {
    return text == "true" ? "1" : text == "false" ? "0" : text;
  };
  return plain(a) == plain(b);
}

bool concerns(const Meaning& meaning, const std::vector<TableColumn>& table) {
  return std::any_of(table.begin(), table.end(), [&](const TableColumn& column) {
    return column.type.find(meaning.type) != std::string::npos;
  });
}

std::optional<CannotEncode> check_setting(std::string_view name, std::string_view value,
                                          const std::vector<TableColumn>& table, RowFormat format) {
  const bool any = name == kSkipUnknown || !has_meaning(name, format);
  if (any || (name == kNameMatching && (value == "auto" || value == "match_case"))) return {};
  for (const Meaning& known : kMeaning) {
    if (known.name == name && (same_value(known.value, value) || !concerns(known, table)))
      return {};
  }
  return CannotEncode{"", "the setting " + std::string(name) + " is " + std::string(value)};
}

bool is_number_literal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.front() >= '0' && text.front() <= '9' &&
         text.find_first_not_of("0123456789.") == text.npos;
}

// What a literal is in JSON; empty where that is not plain. Numbers are only taken for numbers.
std::string literal_as_json(std::string_view expression, std::string_view type) {
  const std::string_view base = without_wrappers(type);
  const bool number = base.starts_with("Int") || base.starts_with("UInt") || base == "Float64";
  const bool text =
      base == "String" || base.starts_with("Enum") || base.starts_with("FixedString(");
  if (number && is_number_literal(expression)) return std::string(expression);
  if (expression == "NULL" && base != type) return "null";
  if (base == "Bool" && (expression == "true" || expression == "false")) {
    return std::string(expression);
  }
  if (!text || expression.size() < 2 || expression.front() != '\'') return {};
  // One literal, not two with an operator in between.
  for (std::size_t at = 1; at + 1 < expression.size(); ++at) {
    if (expression[at] == '\'') return {};
    if (expression[at] == '\\') ++at;
    if (at + 1 >= expression.size()) return {};
  }
  if (expression.back() != '\'') return {};
  std::string json;
  append_json_string(unquote_sql(expression), json);
  return json;
}

bool is_whole_in_csv(std::string_view type, TimeForm form) {
  const std::string_view base = without_wrappers(type);
  return base.starts_with("Time") ||
         (base.starts_with("DateTime") && form == TimeForm::kBestEffort);
}

// What DESCRIBE says of an EPHEMERAL column without an expression.
bool is_default_of_type(std::string_view expression) {
  return expression.empty() || expression.starts_with("defaultValueOfTypeName(");
}

bool has_no_strings(std::string_view type) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  return type.find("String") == type.npos && type.find("JSON") == type.npos &&
         std::all_of(type.begin(), type.end(), is_ascii);
}

// Whether the writer takes the literal, which then is as good as the expression.
bool takes(ColumnWriter& writer, const std::string& json) {
  std::string padded = json;
  padded.reserve(json.size() + kReadAhead);
  JsonCursor in({padded.data(), json.size()});
  try {
    read_or_default(writer, in);
    return in.done();
  } catch (const JsonRefusal&) {
    return false;
  }
}

}  // namespace

std::vector<std::string_view> relied_on_settings() {
  std::vector<std::string_view> names{kSkipUnknown, kNameMatching};
  for (const Meaning& known : kMeaning) {
    if (known.name != names.back()) names.push_back(known.name);
  }
  return names;
}

std::variant<std::shared_ptr<const NativePlan>, CannotEncode> NativePlan::make(
    const std::vector<TableColumn>& table, const EncodeContext& context) {
  auto plan = std::make_shared<NativePlan>();
  plan->format_ = plan->types_.format = context.format;
  plan->types_.time_zone = context.time_zone;
  for (const auto& [name, value] : context.settings) {
    if (auto cannot = check_setting(name, value, table, context.format)) return *cannot;
    if (name == kSkipUnknown) plan->skip_unknown_ = same_value(value, "1");
    if (name == "date_time_input_format" && value == "basic") {
      plan->types_.time_form = TimeForm::kBasic;
    }
    if (name == "precise_float_parsing") plan->types_.precise_floats = same_value(value, "1");
    if (name == kNameMatching) plan->either_case_ = value == "auto";
  }
  for (const TableColumn& column : table) {
    if (column.default_kind == "MATERIALIZED" || column.default_kind == "ALIAS") {
      plan->computed_[column.name] = column.default_kind;
      continue;
    }
    const bool ephemeral = column.default_kind == "EPHEMERAL";
    // Rows without names have no value for it: as in an insert that names no columns.
    if (ephemeral && context.format != RowFormat::kJsonObjects) continue;
    try {
      const ColumnWriterPtr writer = make_type_writer(column.type, plan->types_);
      Column planned{column.name, column.type, column.default_kind == "DEFAULT"};
      if (ephemeral) planned.has_default = !is_default_of_type(column.default_expression);
      planned.ephemeral = ephemeral;
      planned.whole_in_csv = is_whole_in_csv(column.type, plan->types_.time_form);
      planned.takes_null = writer->takes_null();
      planned.text_form = writer->text_form();
      if (planned.has_default) {
        std::string json = literal_as_json(column.default_expression, column.type);
        if (takes(*writer, json)) planned.default_json = std::move(json);
      }
      plan->columns_.push_back(std::move(planned));
    } catch (const UnsupportedType& error) {
      return CannotEncode{column.name, error.what()};
    }
  }
  if (plan->columns_.empty()) return CannotEncode{"", "the table has no column to insert into"};
  plan->skip_mark_ = has_no_strings(plan->columns_.front().type);
  plan->find_nested();
  return std::shared_ptr<const NativePlan>(std::move(plan));
}

std::string_view NativePlan::computed_kind(std::string_view name) const {
  const auto found = computed_.find(name);
  return found == computed_.end() ? std::string_view() : found->second;
}

void NativePlan::find_nested() {
  std::map<std::string_view, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::string_view name = columns_[i].name;
    const std::size_t dot = name.find('.');
    if (dot == name.npos || !columns_[i].type.starts_with("Array(")) continue;
    groups[name.substr(0, dot)].push_back(i);
  }
  for (auto& [name, columns] : groups) {
    if (columns.size() > 1) nested_.push_back(std::move(columns));
  }
}

std::vector<ColumnWriterPtr> NativePlan::make_writers() const {
  std::vector<ColumnWriterPtr> writers;
  for (const Column& column : columns_) {
    writers.push_back(make_type_writer(column.type, types_));
  }
  return writers;
}

}  // namespace millrace
