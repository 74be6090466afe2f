// Reading the file: YAML into the Config structs by the declared settings, faults with their lines.
#include "service/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <set>
#include <system_error>

#include "service/config_checks.h"
#include "service/config_faults.h"
#include "service/config_schema.h"
#include "service/config_value.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxFileBytes = 1u << 20;

int line_of(const YAML::Node& node) { return std::max(node.Mark().line, 0) + 1; }

std::string_view kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a section";
  if (node.IsSequence()) return "a list";
  return node.IsScalar() ? "a single value" : "nothing";
}

// `name` is none of `known`: says so with the nearest of them, or else with a `path` that ends so,
// or all.
std::string unknown_setting(const std::string& name, const std::set<std::string>& known,
                            const std::vector<std::string>& paths) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](auto& a, auto& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  const std::string start = "unknown setting \"" + name + "\"; ";
  if (nearest != known.end() && edit_distance(name, *nearest) <= (name.size() + 2) / 3)
    return start + "did you mean \"" + *nearest + "\"?";
  const std::string ending = "." + name;
  const auto elsewhere =
      std::find_if(paths.begin(), paths.end(), [&](auto& path) { return path.ends_with(ending); });
  if (elsewhere != paths.end()) return start + "did you mean \"" + *elsewhere + "\"?";
  return start + "known here: " + join(known);
}

// Reads the settings of one Root out of a map.
template <class Root>
class SectionReader {
 public:
  // `place` is written before each path: "" or "pipelines[0].".
  SectionReader(const std::vector<Setting<Root>>& settings, std::string place, ConfigFaults& faults)
      : settings_(settings), place_(std::move(place)), faults_(faults) {}

  // `section` is a path inside Root that ends in a dot, or empty. Names in `elsewhere` are known,
  // but read by somebody else.
  void read(const YAML::Node& node, const std::string& section, Root& root,
            const std::set<std::string>& elsewhere = {}) {
    if (node.IsNull()) return;
    if (!node.IsMap()) {
      std::string name = place_ + section;
      if (name.ends_with('.')) name.pop_back();
      faults_.add(line_of(node), name,
                  "a section of settings is expected, not " + std::string(kind_of(node)));
      return;
    }
    std::set<std::string> known = children(section);
    known.insert(elsewhere.begin(), elsewhere.end());
    std::set<std::string> seen;
    for (const auto& child : node) {
      const int line = line_of(child.first);
      const std::string name = child.first.IsScalar() ? child.first.Scalar() : "";
      const std::string path = section + name;
      if (!known.contains(name)) {
        faults_.add(line, unknown_setting(name, known, paths()));
      } else if (!seen.insert(name).second) {
        faults_.add(line, place_ + path, "is set twice");
      } else if (!elsewhere.contains(name)) {
        faults_.set_line(place_ + path, line);
        read_child(child.second, path, root);
      }
    }
  }

  // Those that must be there and are not.
  void require() {
    for (const auto& setting : settings_)
      if (setting.required && !faults_.has(place_ + setting.path))
        faults_.add(place_ + setting.path, "is missing (" + setting.help + ")");
  }

 private:
  std::set<std::string> children(const std::string& section) const {
    std::set<std::string> names;
    for (const auto& setting : settings_)
      if (setting.path.starts_with(section))
        names.insert(setting.path.substr(section.size(),
                                         setting.path.find('.', section.size()) - section.size()));
    return names;
  }

  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& setting : settings_) all.push_back(setting.path);
    return all;
  }

  void read_child(const YAML::Node& node, const std::string& path, Root& root) {
    const auto setting = std::find_if(settings_.begin(), settings_.end(),
                                      [&](const auto& each) { return each.path == path; });
    if (setting == settings_.end()) return read(node, path + ".", root);
    if (setting->shape == SettingShape::kList && node.IsSequence()) {
      for (const auto& element : node) put(*setting, "", element, root);
    } else if (setting->shape == SettingShape::kMap && node.IsMap()) {
      read_map(*setting, node, root);
    } else if (setting->shape == SettingShape::kScalar && node.IsScalar()) {
      put(*setting, "", node, root);
    } else {
      const std::array expected{"a single value", "a list", "a map of names to values"};
      faults_.add(place_ + path, expected[static_cast<std::size_t>(setting->shape)] +
                                     std::string(" is expected, not ").append(kind_of(node)));
    }
  }

  std::string path_of(const Setting<Root>& setting, const std::string& entry) const {
    return place_ + setting.path + (entry.empty() ? "" : "." + entry);
  }

  void read_map(const Setting<Root>& setting, const YAML::Node& node, Root& root) {
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const int line = line_of(entry.first);
      const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::string entry_path = path_of(setting, name);
      if (name.empty()) {
        faults_.add(line, entry_path, "has an entry without a name");
      } else if (!seen.insert(name).second) {
        faults_.add(line, entry_path, "is set twice");
      } else {
        faults_.set_line(entry_path, line);
        put(setting, name, entry.second, root);
      }
    }
  }

  void put(const Setting<Root>& setting, const std::string& name, const YAML::Node& node,
           Root& root) {
    const std::string path = path_of(setting, name);
    if (!node.IsScalar()) {
      // Nothing has no place of its own in the file.
      const int line = node.IsNull() ? faults_.line_of(path) : line_of(node);
      faults_.add(line, path, "a single value is expected, not " + std::string(kind_of(node)));
      return;
    }
    const std::string& written = node.Scalar();
    SettingEntry entry{name, written};
    // Shown is what the file says, before substitution: what comes from elsewhere may be a secret.
    const std::string shown = setting.hides(entry) ? "the value" : "\"" + written + "\"";
    try {
      entry.text = substitute(written);
      if (setting.hides(entry)) faults_.hide(entry.text, "<redacted>");
      if (written.find("${file:") != std::string::npos) faults_.hide(entry.text, written);
      setting.put(root, entry);
    } catch (const std::invalid_argument& error) {
      std::string why = error.what();
      const std::size_t at = entry.text.empty() ? std::string::npos : why.find(entry.text);
      if (entry.text != written && at != std::string::npos)
        why.replace(at, entry.text.size(), written);
      faults_.add(line_of(node), path, shown + " " + why);
    }
  }

  const std::vector<Setting<Root>>& settings_;
  const std::string place_;
  ConfigFaults& faults_;
};

void read_pipelines(const YAML::Node& root, Config& config, ConfigFaults& faults) {
  const YAML::Node list = root["pipelines"];
  if (!list || list.IsNull() || (list.IsSequence() && list.size() == 0)) {
    faults.add("pipelines", "is missing; at least one is needed");
    return;
  }
  if (!list.IsSequence()) {
    faults.add("pipelines", "a list is expected, not " + std::string(kind_of(list)));
    return;
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = "pipelines[" + std::to_string(i) + "]";
    faults.set_line(place, line_of(list[i]));
    PipelineConfig pipeline;
    SectionReader<PipelineConfig> reader(pipeline_settings(), place + ".", faults);
    reader.read(list[i], "", pipeline);
    reader.require();
    config.pipelines.push_back(std::move(pipeline));
  }
}

YAML::Node parse_yaml(std::string_view yaml, ConfigFaults& faults) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() > 1)
      faults.add(line_of(documents[1]), "a second YAML document begins; only one is read");
    if (documents.empty() || documents[0].IsNull())
      faults.add(1, "the file is empty; it needs clickhouse.endpoints and pipelines");
    else if (!documents[0].IsMap())
      faults.add(line_of(documents[0]),
                 "a section of settings is expected, not " + std::string(kind_of(documents[0])));
    else
      return documents[0];
  } catch (const YAML::Exception& error) {
    faults.add(std::max(error.mark.line, 0) + 1,
               "not YAML: " + error.msg + " (column " +
                   std::to_string(std::max(error.mark.column, 0) + 1) + ")");
  }
  faults.throw_if_any();
  return {};
}

}  // namespace

Config parse_config(std::string_view yaml, const std::string& file_name) {
  ConfigFaults faults(file_name);
  const YAML::Node root = parse_yaml(yaml, faults);
  Config config;
  SectionReader<Config> reader(process_settings(), "", faults);
  reader.read(root, "", config, {"pipelines"});
  reader.require();
  read_pipelines(root, config, faults);
  check_config(config, faults);
  faults.throw_if_any();
  return config;
}

ConfigFile read_config_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw ConfigError(path.string() + ": is a directory, not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw ConfigError(path.string() +
                      ": cannot be read: " + std::generic_category().message(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) throw ConfigError(path.string() + ": is larger than 1MiB");
  return {path.string(), std::move(text)};
}

Config load_config(const std::filesystem::path& path) {
  const ConfigFile file = read_config_file(path);
  return parse_config(file.text, file.name);
}

std::size_t Config::prefetch_bytes() const {
  std::size_t sum = 0;
  for (const PipelineConfig& pipeline : pipelines) {
    sum += pipeline.kafka.consumers * pipeline.kafka.prefetch_bytes;
  }
  return sum;
}

std::string PipelineConfig::table_of(const std::string& topic) const {
  if (const auto found = tables.find(topic); found != tables.end()) return found->second;
  if (!table.empty()) return table;
  // Without quotes what is before a topic's dot would be taken for a database.
  return topic.find('.') == std::string::npos ? topic : "`" + topic + "`";
}

}  // namespace millrace
