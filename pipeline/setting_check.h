// Which of the settings that we send the server does not let our user change. It refuses a request
// for one of them, and names the next one only when that is gone.
#pragma once

#include <string>
#include <vector>

#include "transport/client.h"

namespace millrace {

struct SettingRefusal {
  std::string name, value;
  int code = 0;  // 452: constrained by the user's profile, 164: it is read-only, 115: unknown
  std::string words{};  // the server's
};

// Tries all together and, if that is refused, each by itself. `client` is to send none of its own.
// Throws TransportError when it is something else that the server refuses.
std::vector<SettingRefusal> ask_refused_settings(Client& client, const Settings& settings);

// Whether an error says that a setting may not be changed.
bool is_setting_refusal(int code);
// "async_insert = 0, max_insert_threads = 1"
std::string setting_list(const std::vector<SettingRefusal>& refusals);

}  // namespace millrace
