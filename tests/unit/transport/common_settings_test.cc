#include "transport/common_settings.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "transport/error.h"
#include "transport/http_session_pool.h"

namespace millrace {
namespace {

using common::SettingVariant;

const std::map<std::string, SettingVariant>& defaults() {
  static const std::map<std::string, SettingVariant> settings = {
      {"autogenerate_session_id", true},
      {"autogenerate_query_id", true},
      {"dict_parameter_format", "json"},
      {"invalid_setting_action", "error"},
      {"max_connection_age", std::int64_t{600}},
      {"product_name", ""},
      {"send_os_user", true},
      {"max_error_size", std::int64_t{1024}},
  };
  return settings;
}

class CommonSettings : public testing::Test {
 protected:
  ~CommonSettings() override {
    for (const auto& [name, value] : defaults()) common::set_setting(name, value);
  }
};

std::string error_of(std::string_view name, const SettingVariant& value) {
  try {
    common::set_setting(name, value);
    return "no error";
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST_F(CommonSettings, HaveDefaults) {
  for (const auto& [name, value] : defaults()) EXPECT_EQ(common::get_setting(name), value) << name;
}

TEST_F(CommonSettings, KeepWhatIsSet) {
  common::set_setting("autogenerate_session_id", false);
  common::set_setting("max_connection_age", 30);
  common::set_setting("product_name", "loader");
  common::set_setting("dict_parameter_format", "map");
  EXPECT_EQ(common::get_setting("autogenerate_session_id"), SettingVariant(false));
  EXPECT_EQ(common::get_setting("max_connection_age"), SettingVariant(std::int64_t{30}));
  EXPECT_EQ(default_pool_options().max_age, std::chrono::seconds(30));
  EXPECT_EQ(common::get_setting("product_name"), SettingVariant("loader"));
  EXPECT_EQ(common::get_setting("dict_parameter_format"), SettingVariant("map"));
}

TEST_F(CommonSettings, TakeABoolAsANumber) {
  common::set_setting("send_os_user", 0);
  EXPECT_EQ(common::get_setting("send_os_user"), SettingVariant(false));
}

TEST_F(CommonSettings, RefuseUnknownNames) {
  for (const char* name : {"", "readonly", "http_buffer_size", "Product_name"}) {
    const std::string expected = "Unrecognized common setting " + std::string(name);
    EXPECT_EQ(error_of(name, true), expected);
    EXPECT_THROW(common::get_setting(name), UsageError);
  }
}

TEST_F(CommonSettings, RefuseBadOptionsAndKeepTheOldOne) {
  EXPECT_EQ(error_of("dict_parameter_format", "yaml"),
            "Unrecognized option yaml for setting dict_parameter_format");
  EXPECT_EQ(error_of("invalid_setting_action", true),
            "Unrecognized option true for setting invalid_setting_action");
  EXPECT_EQ(error_of("send_os_user", 2), "Unrecognized option 2 for setting send_os_user");
  EXPECT_EQ(error_of("max_connection_age", -1),
            "Unrecognized option -1 for setting max_connection_age");
  EXPECT_NE(error_of("max_connection_age", std::int64_t{1} << 40), "no error");
  EXPECT_NE(error_of("max_connection_age", true), "no error");
  EXPECT_EQ(error_of("max_error_size", 0), "no error");
  EXPECT_EQ(common::get_setting("dict_parameter_format"), SettingVariant("json"));
}

// For ThreadSanitizer.
TEST_F(CommonSettings, MayBeUsedByManyThreads) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int k = 0; k < 100; ++k) {
        common::set_setting("product_name", std::string(40, static_cast<char>('a' + i)));
        const auto name = std::get<std::string>(common::get_setting("product_name"));
        EXPECT_EQ(name, std::string(40, name.front()));
      }
    });
  }
}

}  // namespace
}  // namespace millrace
