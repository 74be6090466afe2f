// What is wrong with a configuration, and which line says so. Collects, so that all faults are
// reported together. Owned by one thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "service/config.h"

namespace millrace {

class ConfigFaults {
 public:
  explicit ConfigFaults(std::string file) : file_(std::move(file)) {}

  void add(int line, std::string what) {
    for (const auto& [text, instead] : hidden_)
      for (std::size_t at = 0; (at = what.find(text, at)) != std::string::npos;
           at += instead.size())
        what.replace(at, text.size(), instead);
    faults_.emplace_back(line, file_ + ":" + std::to_string(line) + ": " + what);
  }
  // "path: what", at `line`, or at the line of `path`, or of the nearest section around it that
  // the file has.
  void add(int line, const std::string& path, const std::string& what) {
    add(line, path + ": " + what);
  }
  void add(const std::string& path, const std::string& what) { add(line_of(path), path, what); }

  std::size_t count() const { return faults_.size(); }
  // From now on `text` is shown as `instead`. A text of a few letters would make nonsense of the
  // sentences that it occurs in by chance, and keeps no secret.
  void hide(const std::string& text, const std::string& instead) {
    if (text.size() > 3) hidden_[text] = instead;
  }

  void set_line(const std::string& path, int line) { lines_[path] = line; }
  bool has(const std::string& path) const { return lines_.contains(path); }
  int line_of(std::string path) const {
    for (;;) {
      if (const auto found = lines_.find(path); found != lines_.end()) return found->second;
      const std::size_t end = path.find_last_of(".[");
      if (end == std::string::npos) return 1;
      path.resize(end);
    }
  }

  void throw_if_any() {
    if (faults_.empty()) return;
    std::stable_sort(faults_.begin(), faults_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string text;
    for (const auto& [line, what] : faults_) text += (text.empty() ? "" : "\n") + what;
    throw ConfigError(text);
  }

 private:
  const std::string file_;
  std::map<std::string, int> lines_;
  std::map<std::string, std::string> hidden_;
  std::vector<std::pair<int, std::string>> faults_;
};

}  // namespace millrace
