#include "transport/setting_rules.h"

#include <algorithm>
#include <initializer_list>

#include "transport/error.h"

namespace millrace {
namespace {

using Kind = SettingVerdict::Kind;

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Parameters of the request that are no settings of the server's.
bool is_transport(std::string_view name) {
  return one_of(name, {"database", "buffer_size", "session_id", "compress", "decompress",
                       "session_timeout", "session_check", "query_id", "quota_key",
                       "wait_end_of_query", "client_protocol_version", "role"});
}

// Wanted for convenience: a server without them is no reason to fail.
bool is_optional(std::string_view name) {
  return one_of(name, {"send_progress_in_http_headers", "http_headers_progress_interval_ms",
                       "enable_http_compression"});
}

bool is_reserved(std::string_view name) {
  return name.starts_with("param_") || one_of(name, {"query", "user", "password", "default_format",
                                                     "stacktrace", "close_session"});
}

std::string refusal_of_reserved(std::string_view name) {
  return std::string(name) + " is a reserved transport parameter and cannot be sent as a setting";
}

}  // namespace

void check_setting_name(std::string_view name) {
  if (is_reserved(name)) throw UsageError(refusal_of_reserved(name));
}

SettingVerdict check_setting(const ServerSettings& server, std::string_view name,
                             std::string_view text, std::optional<std::string_view> client_value,
                             InvalidSettingAction action) {
  if (is_transport(name)) return {Kind::kSend};
  const std::string key(name);
  const auto known = server.find(name);
  if (known == server.end()) {
    if (is_reserved(name)) return {Kind::kRefuse, refusal_of_reserved(name)};
    if (server.empty()) return {Kind::kSend};
    if (is_optional(name)) return {Kind::kDrop};
    if (action != InvalidSettingAction::kDrop) return {Kind::kSend};
    return {Kind::kDrop, "Dropping unknown setting " + key};
  }
  const bool is_so_already = known->second.value == text;
  if (is_so_already && (known->second.readonly || client_value == text)) return {Kind::kDrop};
  if (!known->second.readonly) return {Kind::kSend};
  if (is_optional(name)) return {Kind::kDrop};
  switch (action) {
    case InvalidSettingAction::kSend:
      return {Kind::kSend, "Sending readonly setting " + key};
    case InvalidSettingAction::kDrop:
      return {Kind::kDrop, "Dropping readonly setting " + key};
    case InvalidSettingAction::kError:
      break;
  }
  return {Kind::kRefuse, "Setting " + key + " is readonly"};
}

}  // namespace millrace
