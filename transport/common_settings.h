// Settings of the whole process; each client may override some of them with its own options.
//
//   name                     values             default      read
//   autogenerate_session_id  bool               true         when a client is made
//   autogenerate_query_id    bool               true         when a client is made
//   dict_parameter_format    json, map          json         when parameters are bound
//   invalid_setting_action   send, drop, error  error        when a setting is checked
//   max_connection_age       seconds, ≥ 0       600          when a pool's default options are made
//   product_name             text               ""           when a client is made
//   send_os_user             bool               true         when a client is made
//   max_error_size           bytes, 0: all      1024         at each error
//
// Numbers end at 2147483647. Any thread may call both functions. An unknown name, or a value that
// its setting does not take, is a UsageError.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::common {

using SettingVariant = std::variant<bool, std::int64_t, std::string>;

// A bool may be given as 0 or 1.
void set_setting(std::string_view name, SettingVariant value);
// Of the type in the table: std::get is safe.
SettingVariant get_setting(std::string_view name);

}  // namespace millrace::common
