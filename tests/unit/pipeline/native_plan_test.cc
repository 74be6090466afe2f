#include "pipeline/encode/native_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/encode/time_zone.h"

namespace millrace {
namespace {

using testing::HasSubstr;

CannotEncode refusal(const std::vector<TableColumn>& table,
                     std::map<std::string, std::string> settings = {},
                     const std::string& time_zone = "UTC") {
  const auto plan =
      NativePlan::make(table, {.time_zone = time_zone, .settings = std::move(settings)});
  const auto* cannot = std::get_if<CannotEncode>(&plan);
  return cannot != nullptr ? *cannot : CannotEncode{"none", "it can be encoded"};
}
bool can(const std::string& type) { return refusal({{"x", type, "", ""}}).column == "none"; }

TEST(NativePlan, KnowsTypesAndAnyNestingOfThem) {
  for (const char* type : {"UInt8",
                           "Int256",
                           "BFloat16",
                           "Bool",
                           "String",
                           "FixedString(16)",
                           "UUID",
                           "IPv6",
                           "Date32",
                           "DateTime",
                           "DateTime('UTC')",
                           "DateTime64(9)",
                           "DateTime64(3, 'UTC')",
                           "Decimal(76, 20)",
                           "Enum8('a' = 1, 'it\\'s, (b' = -2)",
                           "LowCardinality(Nullable(FixedString(2)))",
                           "Array(Array(Nullable(Decimal(9, 2))))",
                           "Map(LowCardinality(String), Array(UInt8))",
                           "Tuple(UInt8, String)",
                           "Tuple(a UInt8, b Tuple(c Array(String), d DateTime64(3, 'UTC')))",
                           "Array(Tuple(x UInt8, `y z` String))"}) {
    EXPECT_TRUE(can(type)) << type;
  }
}

TEST(NativePlan, NamesTheColumnThatIsInTheWay) {
  for (const char* type :
       {"Dynamic", "Variant(UInt8, String)", "AggregateFunction(sum, UInt8)", "Array(Dynamic)",
        "IntervalDay", "Nullable(Tuple(UInt8))", "LowCardinality(Float64)"}) {
    const auto cannot = refusal({{"a", "UInt8", "", ""}, {"x", type, "", ""}});
    EXPECT_EQ(cannot.column, "x") << type;
    EXPECT_THAT(cannot.reason, HasSubstr("left to ClickHouse")) << type;
  }
  EXPECT_THAT(refusal({{"t", "DateTime('Mars/Olympus')", "", ""}}).reason,
              HasSubstr("Mars/Olympus"));
  EXPECT_THAT(refusal({{"t", "DateTime", "", ""}}, {}, "../etc/passwd").reason,
              HasSubstr("time zone"));
  EXPECT_THAT(refusal({{"m", "UInt8", "MATERIALIZED", "1"}}).reason, HasSubstr("no column"));
}

TEST(NativePlan, NamesTheSettingThatIsInTheWay) {
  const std::vector<TableColumn> table = {{"a", "UInt8", "", ""}};
  const auto with = [&](const std::string& name, const std::string& value) {
    return refusal(table, {{name, value}}).reason;
  };
  const std::vector<TableColumn> times = {{"t", "Array(DateTime)", "", ""}};
  EXPECT_THAT(refusal(times, {{"date_time_input_format", "best_effort_us"}}).reason,
              HasSubstr("date_time_input_format is best_effort_us"));
  EXPECT_EQ(refusal(times, {{"date_time_input_format", "basic"}}).column, "none");
  EXPECT_EQ(with("date_time_input_format", "best_effort_us"), "it can be encoded");
  EXPECT_THAT(with("input_format_null_as_default", "0"), HasSubstr("null_as_default"));
  EXPECT_THAT(with("input_format_json_new_thing", "1"), HasSubstr("new_thing"));
  EXPECT_EQ(with("input_format_null_as_default", "true"), "it can be encoded");
  EXPECT_EQ(with("input_format_skip_unknown_fields", "1"), "it can be encoded");
  EXPECT_EQ(with("input_format_parquet_max_block_size", "1"), "it can be encoded");
  EXPECT_EQ(with("max_memory_usage", "1"), "it can be encoded");
}

TEST(NativePlan, KnowsWhichDefaultsAreLiterals) {
  const auto json_of = [](const std::string& type, const std::string& expression) {
    const auto plan = NativePlan::make({{"x", type, "DEFAULT", expression}}, {});
    return std::get<std::shared_ptr<const NativePlan>>(plan)->columns()[0].default_json;
  };
  EXPECT_EQ(json_of("UInt8", "7"), "7");
  EXPECT_EQ(json_of("Int8", "-7"), "-7");
  EXPECT_EQ(json_of("Float64", "1.5"), "1.5");
  EXPECT_EQ(json_of("String", "'it\\'s \"x\"'"), "\"it's \\\"x\\\"\"");
  EXPECT_EQ(json_of("LowCardinality(String)", "'x'"), "\"x\"");
  EXPECT_EQ(json_of("Nullable(String)", "NULL"), "null");
  EXPECT_EQ(json_of("Bool", "true"), "true");
  for (const auto& [type, expression] :
       std::map<std::string, std::string>{{"UInt8", "1 + 1"},
                                          {"Int8", "1.5"},
                                          {"UInt16", "-1"},
                                          {"String", "'a' || 'b'"},
                                          {"DateTime", "now()"},
                                          {"FixedString(1)", "'ab'"},
                                          {"Enum8('a' = 1)", "'b'"},
                                          {"Date", "'2024-01-01'"},
                                          {"LowCardinality(String)", "upper('x')"}}) {
    EXPECT_EQ(json_of(type, expression), "") << type;
  }
}

// What the zone of Berlin is in a zoneinfo file of today: no table, only the rule.
std::shared_ptr<const TimeZone> zone_of_rule(const std::string& rule) {
  const auto part = [](char times) {
    std::string text = "TZif2" + std::string(15, '\0');
    for (int i = 0; i < 4; ++i) text += std::string(4, '\0');
    text += std::string("\0\0\0\1", 4) + std::string("\0\0\0\4", 4);
    static_cast<void>(times);
    return text + std::string("\0\0\x0e\x10\0\0", 6) + std::string("CET\0", 4);  // +01:00
  };
  return TimeZone::parse(part(4) + part(8) + "\n" + rule + "\n");
}

TEST(TimeZone, FollowsTheRule) {
  const auto berlin = zone_of_rule("CET-1CEST,M3.5.0,M10.5.0/3");
  ASSERT_TRUE(berlin);
  const auto moment = [&](int year, unsigned month, unsigned day, int hour, int minute) {
    return berlin->day(day_number(year, month, day)).moment(hour * 3600 + minute * 60);
  };
  EXPECT_EQ(moment(2024, 1, 2, 3, 4), 1704161040);
  EXPECT_EQ(moment(2024, 7, 2, 3, 4), 1719882240);
  EXPECT_EQ(moment(2024, 3, 31, 1, 59), 1711846740);
  EXPECT_EQ(moment(2024, 3, 31, 3, 0), 1711846800);
  EXPECT_EQ(moment(2024, 3, 31, 2, 30), 1711848600 - 3600);  // there is no such time
  EXPECT_EQ(moment(2024, 10, 27, 2, 59), 1729990740);        // the first one
  EXPECT_EQ(moment(2024, 10, 27, 3, 0), 1729994400);
  EXPECT_EQ(moment(9026, 7, 1, 12, 0) - moment(9026, 1, 1, 12, 0), 181 * 86400 - 3600);
  EXPECT_EQ(moment(9026, 7, 1, 12, 0) - moment(2226, 7, 1, 12, 0), 17 * 146097LL * 86400);
  EXPECT_EQ(moment(2290, 7, 1, 12, 0) - moment(2290, 1, 1, 12, 0), 181 * 86400 - 3600);
}

TEST(TimeZone, RefusesWhatIsNoZoneFile) {
  EXPECT_FALSE(TimeZone::parse(""));
  EXPECT_FALSE(TimeZone::parse("TZif2"));
  EXPECT_FALSE(zone_of_rule("CET-1CEST,M3.5.0"));
  EXPECT_FALSE(zone_of_rule("CET-1CEST,M13.5.0,M10.5.0"));
  EXPECT_TRUE(zone_of_rule("<+0545>-5:45"));
  EXPECT_FALSE(TimeZone::find("no/such"));
  EXPECT_TRUE(TimeZone::find("UTC")->is_utc());
}

}  // namespace
}  // namespace millrace
