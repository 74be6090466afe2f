// `--print-config` and the generated reference: the declared settings, written out.
#include <algorithm>
#include <array>
#include <ostream>

#include "service/config.h"
#include "service/config_schema.h"
#include "service/config_value.h"

namespace millrace {
namespace {

constexpr char kRedacted[] = "<redacted>";

// As YAML: plain where every reader takes it for the same text, else in double quotes.
std::string yaml_scalar(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-";
  constexpr std::array<std::string_view, 8> kWords{"null",  "Null", "NULL", "true",
                                                   "false", "yes",  "no",   "~"};
  const bool plain = !text.empty() && text.find_first_not_of(kPlain) == std::string::npos &&
                     text.front() != '-' && text.front() != ':' && text.back() != ':' &&
                     std::find(kWords.begin(), kWords.end(), text) == kWords.end();
  if (plain) return text;
  constexpr char kHex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') quoted += '\\';
    if (byte >= 0x20 && byte != 0x7f) {
      quoted += c;
    } else {
      quoted += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
  return quoted + "\"";
}

// Writes settings in the order of their declaration, opening sections as paths ask for them.
template <class Root>
class YamlPrinter {
 public:
  // `first_indent` stands before the very first line, `indent` before all others ("  - ", "    ").
  YamlPrinter(std::ostream& out, std::string first_indent, std::string indent)
      : out_(out), first_indent_(std::move(first_indent)), indent_(std::move(indent)) {}

  void print(const std::vector<Setting<Root>>& settings, const Root& root) {
    for (const Setting<Root>& setting : settings) {
      const std::size_t dot = setting.path.rfind('.');
      open_section(dot == std::string::npos ? "" : setting.path.substr(0, dot + 1));
      print_setting(setting, setting.path.substr(dot + 1), setting.get(root));
    }
  }

 private:
  void open_section(const std::string& section) {
    for (std::size_t begin = 0; begin < section.size();) {
      const std::size_t end = section.find('.', begin) + 1;
      if (!section_.starts_with(section.substr(0, end)))
        line(depth(section.substr(0, begin))) << section.substr(begin, end - 1 - begin) << ":\n";
      begin = end;
    }
    section_ = section;
  }

  void print_setting(const Setting<Root>& setting, const std::string& name,
                     const std::vector<SettingEntry>& entries) {
    std::ostream& out = line(depth(section_)) << name << ":";
    if (setting.shape == SettingShape::kScalar) {
      out << " " << shown(setting, entries.front()) << "\n";
    } else if (setting.shape == SettingShape::kList) {
      std::string list;
      for (const auto& entry : entries) list += (list.empty() ? "" : ", ") + shown(setting, entry);
      out << " [" << list << "]\n";
    } else {
      out << (entries.empty() ? " {}\n" : "\n");
      for (const auto& entry : entries)
        line(depth(section_) + 1) << yaml_scalar(entry.name) << ": " << shown(setting, entry)
                                  << "\n";
    }
  }

  static std::string shown(const Setting<Root>& setting, const SettingEntry& entry) {
    // An empty secret is shown as such: that there is none is worth knowing.
    const bool hidden = setting.hides(entry) && !entry.text.empty();
    return yaml_scalar(hidden ? kRedacted : escape_substitution(entry.text));
  }

  static std::size_t depth(const std::string& section) {
    return static_cast<std::size_t>(std::count(section.begin(), section.end(), '.'));
  }

  std::ostream& line(std::size_t depth) {
    out_ << (first_ ? first_indent_ : indent_) << std::string(2 * depth, ' ');
    first_ = false;
    return out_;
  }

  std::ostream& out_;
  const std::string first_indent_, indent_;
  bool first_ = true;
  std::string section_;
};

// What stands in a cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped;
}

template <class Root>
std::string default_of(const Setting<Root>& setting) {
  if (setting.required) return "required";
  const std::vector<SettingEntry> entries = setting.get(Root{});
  if (entries.empty() || entries.front().text.empty()) return "empty";
  std::string text;
  for (const auto& entry : entries) text += (text.empty() ? "" : ", ") + entry.text;
  return "`" + text + "`";
}

template <class Root>
void print_table(const std::vector<Setting<Root>>& settings, std::ostream& out) {
  out << "| setting | type | default | meaning |\n|---|---|---|---|\n";
  for (const auto& setting : settings) {
    out << "| `" << setting.path << "` | " << cell(setting.type)
        << (setting.bounds.empty() ? "" : ", " + setting.bounds)
        << (setting.secret ? ", secret" : "") << (setting.live ? ", live" : "") << " | "
        << default_of(setting) << " | " << cell(setting.help) << " |\n";
  }
}

}  // namespace

void print_config(const Config& config, std::ostream& out) {
  YamlPrinter<Config>(out, "", "").print(process_settings(), config);
  out << "pipelines:\n";
  for (const PipelineConfig& pipeline : config.pipelines)
    YamlPrinter<PipelineConfig>(out, "  - ", "    ").print(pipeline_settings(), pipeline);
}

void print_config_reference(std::ostream& out) {
  out << R"(# Settings

Generated by `millrace config-reference`; a test compares. One YAML file, given with `-c`. The
smallest useful one:

```yaml
clickhouse:
  endpoints: [http://127.0.0.1:8123]
pipelines:
  - name: events
    source: {kafka: {brokers: 127.0.0.1:9092, group: millrace, topics: [events]}}
    table: events
```

* Dots in a name below are sections in the file: `memory.budget` is `memory: {budget: 512MiB}`.
* Sizes have a unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`), durations too (`ms`,
  `s`, `m`, `h`); whole numbers only; `0` needs none.
* In values `${NAME}` is an environment variable, `${NAME:-text}` one with a default, `${file:/path}`
  a file's content without the newline at its end; `$$` is a dollar sign. What is put in is never
  read as YAML.
* All faults are reported together, each with its line; nothing is started then (exit code 2).
  Values of secrets, and of options whose names say that they are (`sasl.password`), are never shown.
* What is `live` takes effect with a reload (SIGHUP, `POST /reload`, `millrace reload`); a reload names
  what else has changed and needs a restart. `${file:/path}` is read again every 5 seconds, so that a
  rotated secret needs no reload.
* `millrace run -c FILE --print-config` prints what is in effect, defaults included.

## The process

)";
  print_table(process_settings(), out);
  out << R"(
## Each entry of `pipelines`

)";
  print_table(pipeline_settings(), out);
}

}  // namespace millrace
