// The settings: each declared once, in config_schema.cc. Reading a file, `--print-config`,
// redaction and the reference all go through these declarations.
//
// Root is the struct that a declaration fills: Config for the settings of the process,
// PipelineConfig for those of each entry of `pipelines`.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "service/config.h"

namespace millrace {

enum class SettingShape { kScalar, kList, kMap };

// One value of a setting as text: a list has several without a name, a map several with one.
struct SettingEntry {
  std::string name, text;
  bool operator==(const SettingEntry&) const = default;
};

// Immutable after construction.
template <class Root>
struct Setting {
  std::string path;  // from Root: "pool.hard_limit"
  SettingShape shape = SettingShape::kScalar;
  std::string type;    // for people: "size", "one of earliest, latest"
  std::string bounds;  // for people: "1MiB to 1TiB"; empty where there are none
  std::string help;    // one sentence, and what a larger value costs
  bool required = false;
  bool secret = false;
  bool live = false;  // a reload puts it into effect; else a restart
  // Called for each entry. Throws std::invalid_argument, as the parsers of config_value.h do.
  std::function<void(Root&, const SettingEntry&)> put;
  std::function<std::vector<SettingEntry>(const Root&)> get;
  std::function<void(Root& to, const Root& from)> copy;

  // Whether the value of this entry must never be shown.
  bool hides(const SettingEntry& entry) const;
};

const std::vector<Setting<Config>>& process_settings();
const std::vector<Setting<PipelineConfig>>& pipeline_settings();

}  // namespace millrace
