// How a configuration that was read again differs from the one in effect, and what of it can take
// effect while the process runs (the settings declared live in config_schema.cc). Pure.
#pragma once

#include <string>
#include <vector>

#include "service/config.h"

namespace millrace {

struct SettingChange {
  std::string setting;        // "memory.budget", "pipelines.events.batch.max_rows"
  std::string before, after;  // as text; secrets as "<redacted>", nothing as ""
  bool live = false;          // else it needs a restart
};

// In the order of declaration. Pipelines are the same when their names are.
std::vector<SettingChange> changes_between(const Config& before, const Config& after);

// `now` with the live settings of `wanted`. Throws ConfigError where these do not fit the others of
// `now`, which stay as they are until a restart.
Config with_live_settings(const Config& now, const Config& wanted, const std::string& file_name);

}  // namespace millrace
