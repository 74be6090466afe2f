#include "transport/setting_rules.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace millrace {
namespace {

using Kind = SettingVerdict::Kind;
using Action = InvalidSettingAction;

const ServerSettings& server() {
  static const ServerSettings settings = {
      {"max_threads", {"8", false}},
      {"readonly_one", {"1", true}},
      {"enable_http_compression", {"0", true}},
      {"send_progress_in_http_headers", {"0", false}},
  };
  return settings;
}

SettingVerdict check(std::string_view name, std::string_view text, Action action = Action::kError,
                     std::optional<std::string_view> client_value = {}) {
  return check_setting(server(), name, text, client_value, action);
}

SettingVerdict sent(std::string text = {}) { return {Kind::kSend, std::move(text)}; }
SettingVerdict dropped(std::string text = {}) { return {Kind::kDrop, std::move(text)}; }
SettingVerdict refused(std::string text) { return {Kind::kRefuse, std::move(text)}; }

TEST(CheckSetting, SendsWhatTheServerLetsChange) {
  for (const Action action : {Action::kSend, Action::kDrop, Action::kError}) {
    EXPECT_EQ(check("max_threads", "2", action), sent());
  }
}

TEST(CheckSetting, SendsParametersOfTheRequestUnchecked) {
  for (const char* name : {"database", "buffer_size", "session_id", "compress", "decompress",
                           "session_timeout", "session_check", "query_id", "quota_key",
                           "wait_end_of_query", "client_protocol_version", "role"}) {
    EXPECT_EQ(check(name, "1"), sent()) << name;
  }
}

TEST(CheckSetting, DropsWhatChangesNothing) {
  EXPECT_EQ(check("readonly_one", "1"), dropped());
  EXPECT_EQ(check("max_threads", "8", Action::kError, "8"), dropped());
  // The client sends 4 with every request: 8 must win over it.
  EXPECT_EQ(check("max_threads", "8", Action::kError, "4"), sent());
  EXPECT_EQ(check("max_threads", "8"), sent());
}

TEST(CheckSetting, DecidesReadonlyOnesByTheAction) {
  EXPECT_EQ(check("readonly_one", "2", Action::kError),
            refused("Setting readonly_one is readonly"));
  EXPECT_EQ(check("readonly_one", "2", Action::kSend),
            sent("Sending readonly setting readonly_one"));
  EXPECT_EQ(check("readonly_one", "2", Action::kDrop),
            dropped("Dropping readonly setting readonly_one"));
}

TEST(CheckSetting, DropsUnknownOnesOnlyIfTold) {
  EXPECT_EQ(check("newer", "2", Action::kError), sent());
  EXPECT_EQ(check("newer", "2", Action::kSend), sent());
  EXPECT_EQ(check("newer", "2", Action::kDrop), dropped("Dropping unknown setting newer"));
}

TEST(CheckSetting, DropsOptionalOnesQuietly) {
  EXPECT_EQ(check("http_headers_progress_interval_ms", "1"), dropped());  // unknown
  EXPECT_EQ(check("enable_http_compression", "1"), dropped());            // readonly
  EXPECT_EQ(check("send_progress_in_http_headers", "1"), sent());
}

TEST(CheckSetting, RefusesReservedOnesWhateverTheAction) {
  for (const Action action : {Action::kSend, Action::kDrop, Action::kError}) {
    for (const std::string name : {"query", "user", "password", "default_format", "stacktrace",
                                   "close_session", "param_x", "param_"}) {
      const auto expected =
          refused(name + " is a reserved transport parameter and cannot be sent as a setting");
      EXPECT_EQ(check(name, "x", action), expected);
      EXPECT_EQ(check_setting({}, name, "x", {}, action), expected);
    }
  }
}

TEST(CheckSetting, SendsAllElseIfNobodyAskedTheServer) {
  for (const char* name : {"max_threads", "enable_http_compression"}) {
    EXPECT_EQ(check_setting({}, name, "1", {}, Action::kDrop), sent()) << name;
  }
}

}  // namespace
}  // namespace millrace
