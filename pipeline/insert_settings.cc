#include "pipeline/insert_settings.h"

#include <algorithm>
#include <chrono>
#include <iterator>

namespace millrace {
namespace {

constexpr std::chrono::minutes kLeftOutFor{10};

enum class For {
  kAll,
  kParsed,     // all formats but Native
  kTimestamp,  // the timestamp column, which is spliced in as ISO 8601
};
struct InsertSetting {
  const char* name;
  const char* value;
  For use = For::kAll;
  bool fixed = false;  // a repeat would not be recognisable otherwise: the user can't change it
};
constexpr InsertSetting kInsertSettings[] = {
    {"async_insert", "0", For::kAll, true},
    {"deduplicate_insert", "enable", For::kAll, true},
    // The same for servers before 26, which do not know the former.
    {"insert_deduplicate", "1", For::kAll, true},
    {"deduplicate_blocks_in_dependent_materialized_views", "1"},
    {"materialized_views_ignore_errors", "0"},
    {"distributed_foreground_insert", "1"},
    // One body is one chunk, today and in a repeat: the server counts chunks into the identity.
    {"use_strict_insert_block_limits", "0", For::kAll, true},
    {"max_insert_threads", "1", For::kAll, true},
    {"input_format_parallel_parsing", "0", For::kAll, true},
    {"max_insert_block_size", "100000000", For::kAll, true},
    {"min_insert_block_size_rows", "100000000", For::kAll, true},
    {"max_insert_block_size_bytes", "0", For::kAll, true},
    {"min_insert_block_size_bytes", "0", For::kAll, true},
    // Rows that do not parse are an error, never skipped in silence.
    {"input_format_allow_errors_num", "0", For::kParsed},
    {"input_format_allow_errors_ratio", "0", For::kParsed},
    // The first message of a block is no header, even if it looks like one.
    {"input_format_csv_detect_header", "0", For::kParsed},
    {"input_format_tsv_detect_header", "0", For::kParsed},
    // A value without a column is an error, too, unless the user says otherwise.
    {"input_format_skip_unknown_fields", "0", For::kParsed},
    {"date_time_input_format", "best_effort", For::kTimestamp},
};

bool applies(For use, const TableTarget& target, std::string_view format) {
  switch (use) {
    case For::kAll:
      break;
    case For::kParsed:
      return format != "Native";
    case For::kTimestamp:
      return !target.columns.timestamp.empty();
  }
  return true;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::string unknown_setting_in(std::string_view server_message) {
  const auto at =
      std::min(server_message.find("Unknown setting "), server_message.find("Setting "));
  if (at == server_message.npos) return {};
  std::string_view rest = server_message.substr(server_message.find("etting ", at) + 7);
  if (rest.starts_with('\'') || rest.starts_with('`')) rest.remove_prefix(1);
  const auto* const end = std::find_if_not(rest.begin(), rest.end(), is_name_character);
  return {rest.begin(), end};
}

Settings all_insert_settings(const Settings& of_user) {
  Settings all = of_user;
  for (const InsertSetting& setting : kInsertSettings) {
    if (setting.fixed || !of_user.contains(setting.name)) all[setting.name] = setting.value;
  }
  all["insert_deduplication_token"] = "millrace-check";
  return all;
}

bool InsertSettings::left_out(const std::string& name, SteadyTime now) const {
  const auto found = left_out_until_.find(name);
  return found != left_out_until_.end() && now < found->second;
}

Settings InsertSettings::of_insert(const TableTarget& target, std::string_view format,
                                   SteadyTime now) const {
  Settings result = of_user_;
  for (const InsertSetting& setting : kInsertSettings) {
    if (!applies(setting.use, target, format)) continue;
    if (setting.fixed || !of_user_.contains(setting.name)) result[setting.name] = setting.value;
  }
  std::erase_if(result, [&](const auto& each) { return left_out(each.first, now); });
  if (result.contains("deduplicate_insert")) result.erase("insert_deduplicate");
  return result;
}

bool InsertSettings::leave_out(std::string_view server_message, SteadyTime now) {
  const std::string name = unknown_setting_in(server_message);
  const auto* const ours =
      std::find_if(std::begin(kInsertSettings), std::end(kInsertSettings),
                   [&](const InsertSetting& setting) { return setting.name == name; });
  if (ours == std::end(kInsertSettings) || left_out(name, now)) return false;
  if (!ours->fixed && of_user_.contains(name)) return false;  // who wants it must know
  left_out_until_[name] = now + kLeftOutFor;
  return true;
}

}  // namespace millrace
