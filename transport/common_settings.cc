#include "transport/common_settings.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "transport/error.h"
#include "transport/fork_guard.h"
#include "transport/mutex.h"

namespace millrace::common {
namespace {

// Far from where a duration in nanoseconds would overflow.
constexpr std::int64_t kMaximum = 2'147'483'647;

struct Setting {
  SettingVariant value;  // the default at first; its type is the setting's
  std::vector<std::string> options{};
};

class Store {
 public:
  void set(std::string_view name, SettingVariant value) {
    BriefLock lock(mutex_);
    Setting& setting = find(name);
    const auto* number = std::get_if<std::int64_t>(&value);
    if (std::holds_alternative<bool>(setting.value) && number && (*number == 0 || *number == 1)) {
      value = *number == 1;
    }
    if (!takes(setting, value)) {
      throw UsageError("Unrecognized option " + text_of(value) + " for setting " +
                       std::string(name));
    }
    setting.value = std::move(value);
  }

  SettingVariant get(std::string_view name) {
    BriefLock lock(mutex_);
    return find(name).value;
  }

 private:
  Setting& find(std::string_view name) REQUIRES(mutex_) {
    const auto found = settings_.find(name);
    if (found == settings_.end()) {
      throw UsageError("Unrecognized common setting " + std::string(name));
    }
    return found->second;
  }

  static bool takes(const Setting& setting, const SettingVariant& value) {
    if (value.index() != setting.value.index()) return false;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      return *number >= 0 && *number <= kMaximum;
    }
    const auto* text = std::get_if<std::string>(&value);
    const auto& options = setting.options;
    return text == nullptr || options.empty() ||
           std::find(options.begin(), options.end(), *text) != options.end();
  }

  static std::string text_of(const SettingVariant& value) {
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    return std::get<std::string>(value);
  }

  Mutex mutex_;
  std::map<std::string, Setting, std::less<>> settings_ GUARDED_BY(mutex_) = {
      {"autogenerate_session_id", {true}},
      {"autogenerate_query_id", {true}},
      {"dict_parameter_format", {"json", {"json", "map"}}},
      {"invalid_setting_action", {"error", {"send", "drop", "error"}}},
      {"max_connection_age", {std::int64_t{600}}},
      {"product_name", {""}},
      {"send_os_user", {true}},
      {"max_error_size", {std::int64_t{1024}}},
  };
};

Store& store() {
  static Store& the_one = *new Store;  // never destroyed: other statics may still ask
  return the_one;
}

}  // namespace

void set_setting(std::string_view name, SettingVariant value) {
  store().set(name, std::move(value));
}

SettingVariant get_setting(std::string_view name) { return store().get(name); }

}  // namespace millrace::common
