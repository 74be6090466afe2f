#include "pipeline/setting_check.h"

namespace millrace {
namespace {

constexpr int kUnknownSetting = 115;
constexpr int kReadOnly = 164;
constexpr int kConstraintViolation = 452;

// Nothing when the server takes them.
std::vector<SettingRefusal> try_settings(Client& client, const std::string& name,
                                         const std::string& value, const Settings& settings) {
  QueryOptions options;
  options.format = "TabSeparated";
  options.settings = settings;
  try {
    (void)client.raw_query("SELECT 1", options);
  } catch (const ClickHouseError& error) {
    if (error.code() != kUnknownSetting && !is_setting_refusal(error.code())) throw;
    return {{name, value, error.code(), error.details().message}};
  }
  return {};
}

}  // namespace

bool is_setting_refusal(int code) { return code == kReadOnly || code == kConstraintViolation; }

std::vector<SettingRefusal> ask_refused_settings(Client& client, const Settings& settings) {
  std::vector<SettingRefusal> refused;
  if (try_settings(client, "", "", settings).empty()) return refused;
  for (const auto& [name, value] : settings) {
    for (SettingRefusal& each : try_settings(client, name, value, {{name, value}}))
      refused.push_back(std::move(each));
  }
  return refused;
}

std::string setting_list(const std::vector<SettingRefusal>& refusals) {
  std::string list;
  for (const SettingRefusal& each : refusals)
    list += (list.empty() ? "" : ", ") + each.name + " = " + each.value;
  return list;
}

}  // namespace millrace
