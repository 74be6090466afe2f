#include "pipeline/insert_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace millrace {
namespace {

using std::chrono::minutes;
using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

const SteadyTime kNow{std::chrono::hours(1)};

// As ClickHouse 26.7 says it, and as servers before 24 did.
std::string refusal(const std::string& name) {
  return "Code: 115. DB::Exception: Unknown setting '" + name +
         "'. Maybe you meant ['async_insert','insert_deduplicate']. (UNKNOWN_SETTING)";
}
std::string old_refusal(const std::string& name) {
  return "Code: 115. DB::Exception: Setting " + name +
         " is neither a builtin setting nor started with the prefix 'SQL_' registered for "
         "user-defined settings. (UNKNOWN_SETTING)";
}

TEST(InsertSettings, AreSentThoughNobodyAskedTheServer) {
  const InsertSettings settings(Settings{{"max_threads", "1"}});
  for (const char* format : {"JSONEachRow", "Native"}) {
    const Settings sent = settings.of_insert({}, format, kNow);
    EXPECT_THAT(sent, Contains(Pair("async_insert", "0")));
    EXPECT_THAT(sent, Contains(Pair("deduplicate_insert", "enable")));
    EXPECT_THAT(sent, Contains(Pair("input_format_parallel_parsing", "0")));
    EXPECT_THAT(sent, Contains(Pair("use_strict_insert_block_limits", "0")));
    EXPECT_THAT(sent, Contains(Pair("max_insert_threads", "1")));
    EXPECT_THAT(sent, Contains(Pair("max_threads", "1")));
    EXPECT_THAT(sent, Not(Contains(Key("insert_deduplicate")))) << "it has two names";
  }
}

TEST(InsertSettings, TheUserHasAllButTheFixedOnes) {
  const InsertSettings settings({{"async_insert", "1"}, {"input_format_skip_unknown_fields", "1"}});
  const Settings sent = settings.of_insert({}, "JSONEachRow", kNow);
  EXPECT_THAT(sent, Contains(Pair("async_insert", "0")));
  EXPECT_THAT(sent, Contains(Pair("input_format_skip_unknown_fields", "1")));
}

TEST(InsertSettings, OneThatTheServerRefusesIsLeftOutForAWhile) {
  InsertSettings settings{Settings{}};
  EXPECT_TRUE(settings.leave_out(refusal("deduplicate_insert"), kNow));
  EXPECT_FALSE(settings.leave_out(refusal("deduplicate_insert"), kNow)) << "tries have an end";
  EXPECT_TRUE(settings.leave_out(old_refusal("use_strict_insert_block_limits"), kNow));
  const Settings sent = settings.of_insert({}, "Native", kNow + minutes(9));
  EXPECT_THAT(sent, Not(Contains(Key("deduplicate_insert"))));
  EXPECT_THAT(sent, Contains(Pair("insert_deduplicate", "1")));
  EXPECT_THAT(sent, Not(Contains(Key("use_strict_insert_block_limits"))));
  const Settings later = settings.of_insert({}, "Native", kNow + minutes(11));
  EXPECT_THAT(later, Contains(Pair("deduplicate_insert", "enable"))) << "it may be upgraded";
  EXPECT_TRUE(settings.leave_out(refusal("deduplicate_insert"), kNow + minutes(11)));
}

TEST(InsertSettings, NothingElseIsLeftOut) {
  InsertSettings settings(Settings{{"input_format_skip_unknown_fields", "1"}, {"mine", "1"}});
  EXPECT_FALSE(settings.leave_out("", kNow));
  EXPECT_FALSE(settings.leave_out("Code: 115", kNow));
  EXPECT_FALSE(settings.leave_out(refusal("mine"), kNow)) << "the user must know";
  EXPECT_FALSE(settings.leave_out(refusal("input_format_skip_unknown_fields"), kNow));
  EXPECT_FALSE(settings.leave_out(refusal("async"), kNow));
  EXPECT_EQ(unknown_setting_in("Unknown setting `a_1`"), "a_1");
  EXPECT_EQ(unknown_setting_in("Setting async_insert"), "async_insert");
}

}  // namespace
}  // namespace millrace
