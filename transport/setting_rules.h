// Whether a setting is sent with a request: what the server said of its settings decides.
//
// Pure functions. The names and rules of the server's parameters:
// https://clickhouse.com/docs/interfaces/http
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// SELECT name, value, readonly FROM system.settings
struct ServerSetting {
  std::string value;
  bool readonly = false;  // the user may not change it
};
using ServerSettings = std::map<std::string, ServerSetting, std::less<>>;

// The common setting invalid_setting_action.
enum class InvalidSettingAction { kSend, kDrop, kError };

struct SettingVerdict {
  enum class Kind { kSend, kDrop, kRefuse };
  Kind kind = Kind::kSend;
  std::string text{};  // kRefuse: the error; else a warning worth a line in a log, or empty

  bool operator==(const SettingVerdict&) const = default;
};

// Throws UsageError for a parameter that is ours to set, or able to turn the request into another
// one.
void check_setting_name(std::string_view name);

// `text` is the setting's text; `client_value` what the client sends with every request under this
// name, if it does. Empty `server` means that nobody asked: then only reserved names are refused.
SettingVerdict check_setting(const ServerSettings& server, std::string_view name,
                             std::string_view text, std::optional<std::string_view> client_value,
                             InvalidSettingAction action);

}  // namespace millrace
