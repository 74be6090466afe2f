#include "service/config_diff.h"

#include <algorithm>

#include "service/config_checks.h"
#include "service/config_faults.h"
#include "service/config_schema.h"

namespace millrace {
namespace {

const PipelineConfig* find_pipeline(const Config& config, const std::string& name) {
  const auto found = std::find_if(config.pipelines.begin(), config.pipelines.end(),
                                  [&](const PipelineConfig& each) { return each.name == name; });
  return found == config.pipelines.end() ? nullptr : &*found;
}

template <class Root>
std::string shown(const Setting<Root>& setting, const std::vector<SettingEntry>& entries) {
  std::string text;
  for (const SettingEntry& entry : entries) {
    const bool hidden = setting.hides(entry) && !entry.text.empty();
    text += (text.empty() ? "" : ", ") + (entry.name.empty() ? "" : entry.name + ": ") +
            (hidden ? "<redacted>" : entry.text);
  }
  return text;
}

template <class Root>
void add_changes(const std::vector<Setting<Root>>& settings, const std::string& place,
                 const Root& before, const Root& after, std::vector<SettingChange>& changes) {
  for (const Setting<Root>& setting : settings) {
    const auto was = setting.get(before), is = setting.get(after);
    if (was == is) continue;
    changes.push_back(
        {place + setting.path, shown(setting, was), shown(setting, is), setting.live});
  }
}

template <class Root>
void copy_live(const std::vector<Setting<Root>>& settings, const Root& from, Root& to) {
  for (const Setting<Root>& setting : settings)
    if (setting.live) setting.copy(to, from);
}

}  // namespace

std::vector<SettingChange> changes_between(const Config& before, const Config& after) {
  std::vector<SettingChange> changes;
  add_changes(process_settings(), "", before, after, changes);
  for (const PipelineConfig& was : before.pipelines) {
    const std::string place = "pipelines." + was.name;
    if (const PipelineConfig* is = find_pipeline(after, was.name))
      add_changes(pipeline_settings(), place + ".", was, *is, changes);
    else
      changes.push_back({place, "there", "removed", false});
  }
  for (const PipelineConfig& is : after.pipelines)
    if (find_pipeline(before, is.name) == nullptr)
      changes.push_back({"pipelines." + is.name, "", "added", false});
  return changes;
}

Config with_live_settings(const Config& now, const Config& wanted, const std::string& file_name) {
  Config mixed = now;
  copy_live(process_settings(), wanted, mixed);
  for (PipelineConfig& pipeline : mixed.pipelines)
    if (const PipelineConfig* from = find_pipeline(wanted, pipeline.name))
      copy_live(pipeline_settings(), *from, pipeline);
  ConfigFaults faults(file_name);
  check_config(mixed, faults);
  try {
    faults.throw_if_any();
  } catch (const ConfigError& error) {
    throw ConfigError(std::string(error.what()) +
                      "\n(beside settings that need a restart and are still as before: restart, "
                      "or change them one after the other)");
  }
  return mixed;
}

}  // namespace millrace
