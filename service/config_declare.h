// How a setting is declared: one function for each type, used by config_schema.cc alone.
//
// `field` finds the member in a (const or not) Root; FIELD(pool.hard_limit) writes such a function.
#pragma once

#include <concepts>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "service/config_schema.h"
#include "service/config_value.h"

#define FIELD(member) \
  [](auto& root) -> auto& { return root.member; }  // NOLINT(bugprone-macro-parentheses)

namespace millrace {

template <class Root>
struct Declare {
  // Any single value: parse is text -> value, print the opposite.
  template <class Field, class Parse, class Print>
  static Setting<Root> value(const std::string& path, const std::string& type,
                             const std::string& bounds, Field field, Parse parse, Print print,
                             const std::string& help) {
    Setting<Root> setting;
    setting.path = path;
    setting.type = type;
    setting.bounds = bounds;
    setting.help = help;
    setting.put = [=](Root& root, const SettingEntry& entry) { field(root) = parse(entry.text); };
    setting.copy = [=](Root& to, const Root& from) { field(to) = field(from); };
    setting.get = [=](const Root& root) {
      return std::vector<SettingEntry>{{"", print(field(root))}};
    };
    return setting;
  }

  template <class Field>
  static Setting<Root> text(const std::string& path, Field field, const std::string& help) {
    const auto same = [](const std::string& text) { return text; };
    return value(path, "text", "", field, same, same, help);
  }

  template <class Field>
  static Setting<Root> count(const std::string& path, Field field, std::uint64_t min,
                             std::uint64_t max, const std::string& help) {
    using Count = std::remove_cvref_t<decltype(field(std::declval<Root&>()))>;
    const std::string bounds = std::to_string(min) + " to " + std::to_string(max);
    const auto parse = [=](const std::string& text) {
      return static_cast<Count>(bounded(parse_count(text), min, max, bounds));
    };
    const auto print = [](Count number) { return std::to_string(number); };
    return value(path, "number", bounds, field, parse, print, help);
  }

  template <class Field>
  static Setting<Root> bytes(const std::string& path, Field field, std::size_t min, std::size_t max,
                             const std::string& help) {
    const std::string bounds = print_bytes(min) + " to " + print_bytes(max);
    const auto parse = [=](const std::string& text) {
      return bounded(parse_bytes(text), min, max, bounds);
    };
    return value(path, "size", bounds, field, parse, print_bytes, help);
  }

  template <class Field>
  static Setting<Root> duration(const std::string& path, Field field, std::chrono::milliseconds min,
                                std::chrono::milliseconds max, const std::string& help) {
    using Time = std::remove_cvref_t<decltype(field(std::declval<Root&>()))>;
    const std::string bounds = print_duration(min) + " to " + print_duration(max);
    const auto parse = [=](const std::string& text) {
      const auto whole = bounded(parse_duration(text), min, max, bounds);
      const auto time = std::chrono::duration_cast<Time>(whole);
      if (time != whole) throw std::invalid_argument("is not a number of whole seconds");
      return time;
    };
    const auto print = [](Time time) { return print_duration(time); };
    return value(path, "duration", bounds, field, parse, print, help);
  }

  // One of a few words.
  template <class Field, class Value>
  static Setting<Root> choice(const std::string& path, Field field,
                              std::vector<std::pair<std::string, Value>> words,
                              const std::string& help) {
    std::vector<std::string> all;
    all.reserve(words.size());
    for (const auto& word : words) all.push_back(word.first);
    const std::string names = join(all);
    const auto parse = [=](const std::string& text) {
      for (const auto& [name, meaning] : words)
        if (name == text) return meaning;
      throw std::invalid_argument("is not one of " + names);
    };
    const auto print = [=](const Value& chosen) {
      for (const auto& [name, meaning] : words)
        if (meaning == chosen) return name;
      throw std::logic_error("a choice without a name");
    };
    return value(path, "one of " + names, "", field, parse, print, help);
  }

  // Words that are kept as they are.
  template <class Field>
  static Setting<Root> word(const std::string& path, Field field,
                            const std::vector<std::string>& words, const std::string& help) {
    std::vector<std::pair<std::string, std::string>> pairs;
    pairs.reserve(words.size());
    for (const std::string& each : words) pairs.emplace_back(each, each);
    return choice(path, field, pairs, help);
  }

  template <class Field, class Parse, class Print>
  static Setting<Root> list(const std::string& path, const std::string& type, Field field,
                            Parse parse, Print print, const std::string& help) {
    Setting<Root> setting;
    setting.path = path;
    setting.shape = SettingShape::kList;
    setting.type = type;
    setting.help = help;
    setting.put = [=](Root& root, const SettingEntry& entry) {
      field(root).push_back(parse(entry.text));
    };
    setting.copy = [=](Root& to, const Root& from) { field(to) = field(from); };
    setting.get = [=](const Root& root) {
      std::vector<SettingEntry> entries;
      for (const auto& element : field(root)) entries.push_back({"", print(element)});
      return entries;
    };
    return setting;
  }

  template <class Field>
  static Setting<Root> map(const std::string& path, const std::string& type, Field field,
                           const std::string& help) {
    const auto same = [](const std::string& text) { return text; };
    return map_of(path, type, field, same, same, same, same, help);
  }

  // Names and values that are not text.
  template <class Field, class ParseName, class PrintName, class ParseValue, class PrintValue>
  static Setting<Root> map_of(const std::string& path, const std::string& type, Field field,
                              ParseName parse_name, PrintName print_name, ParseValue parse_value,
                              PrintValue print_value, const std::string& help) {
    Setting<Root> setting;
    setting.path = path;
    setting.shape = SettingShape::kMap;
    setting.type = type;
    setting.help = help;
    setting.put = [=](Root& root, const SettingEntry& entry) {
      field(root)[parse_name(entry.name)] = parse_value(entry.text);
    };
    setting.copy = [=](Root& to, const Root& from) { field(to) = field(from); };
    setting.get = [=](const Root& root) {
      std::vector<SettingEntry> entries;
      for (const auto& [name, value] : field(root)) {
        entries.push_back({print_name(name), print_value(value)});
      }
      return entries;
    };
    return setting;
  }

  static Setting<Root> required(Setting<Root> setting) {
    setting.required = true;
    return setting;
  }

  static Setting<Root> secret(Setting<Root> setting) {
    setting.secret = true;
    return setting;
  }

  // Application::apply must know how.
  static Setting<Root> live(Setting<Root> setting) {
    setting.live = true;
    return setting;
  }
  static std::vector<Setting<Root>> all_live(std::vector<Setting<Root>> settings) {
    for (Setting<Root>& setting : settings) setting.live = true;
    return settings;
  }

 private:
  template <class T>
  static T bounded(T number, T min, T max, const std::string& bounds) {
    if (number < min || number > max)
      throw std::invalid_argument("is out of bounds (" + bounds + ")");
    return number;
  }
};

}  // namespace millrace
