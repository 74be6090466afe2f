#include "transport/value.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "transport/error.h"
#include "transport/type_name.h"

namespace millrace {
namespace {

using std::chrono::hours, std::chrono::milliseconds, std::chrono::minutes;
using std::chrono::nanoseconds, std::chrono::seconds, std::chrono::sys_days;
using std::chrono::year;

constexpr sys_days kDay = year(2024) / 1 / 2;
constexpr std::chrono::sys_seconds kSecond = kDay + hours(3) + minutes(4) + seconds(5);
constexpr std::chrono::sys_time<nanoseconds> kNanosecond = kSecond + nanoseconds(123'456'789);

Bytes bytes(std::initializer_list<int> values) {
  Bytes result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

// A character would be a number to some and text to others.
static_assert(!std::convertible_to<char, Value> && !std::convertible_to<char8_t, Value>);
static_assert(!std::convertible_to<void*, Value> && !std::convertible_to<std::nullptr_t, Value>);
static_assert(!std::convertible_to<int*, Value>);

struct BindCase {
  Value value;
  std::string type, text;
};

void expect_bind_texts(const std::vector<BindCase>& cases) {
  for (const auto& [value, type, text] : cases) {
    EXPECT_EQ(value.as_bind_text(type), text) << type;
  }
}

TEST(ValueBindText, WritesScalarsBareAtTheTopAndQuotedInside) {
  expect_bind_texts({
      {"it's\t", "String", "it\\'s\\\t"},
      {"a\\b`c\nd", "String", "a\\\\b\\`c\\\nd"},
      {std::string("\r\0", 2), "String", std::string("\r\0", 2)},
      {"", "String", ""},
      {Array{"it's", "b"}, "Array(String)", "['it\\'s', 'b']"},
      {Null{}, "Nullable(Int32)", "\\N"},
      {Value(), "String", "\\N"},
      {std::optional<int>(), "Nullable(Int32)", "\\N"},
      {std::optional<int>(5), "Nullable(Int32)", "5"},
      {Array{Null{}, 1}, "Array(Nullable(Int32))", "[NULL, 1]"},
      {bytes({0, 0xff, 0x27}), "String", "\\x00\\xff\\x27"},
      {Array{bytes({0x41})}, "Array(String)", "['\\x41']"},
      {Uuid{"61f0c404-5cb3-11e7-907b-a6006ad3dba0"}, "UUID",
       "61f0c404-5cb3-11e7-907b-a6006ad3dba0"},
      {Array{Uuid{"61f0c404"}}, "Array(UUID)", "['61f0c404']"},
      {kDay, "Date", "2024-01-02"},
      {Array{kDay}, "Array(Date)", "['2024-01-02']"},
      {sys_days(year(33) / 4 / 3), "String", "0033-04-03"},
  });
}

TEST(ValueBindText, WritesNumbersInFull) {
  expect_bind_texts({
      {std::numeric_limits<std::int64_t>::min(), "Int64", "-9223372036854775808"},
      {std::numeric_limits<std::uint64_t>::max(), "UInt64", "18446744073709551615"},
      {std::int8_t{-5}, "Int8", "-5"},
      {std::uint8_t{200}, "UInt8", "200"},
      {1LL, "Int64", "1"},
      {1UL, "UInt64", "1"},
      {Number("-170141183460469231731687303715884105728"), "Int128",
       "-170141183460469231731687303715884105728"},
      {Array{Number("12.50")}, "Array(Decimal(9, 2))", "[12.50]"},
      {0.1, "Float64", "0.1"},
      {1e300, "Float64", "1e+300"},
      {5e-324, "Float64", "5e-324"},
      {std::numeric_limits<double>::quiet_NaN(), "Float64", "nan"},
      {-std::numeric_limits<double>::quiet_NaN(), "Float64", "nan"},
      {std::numeric_limits<double>::infinity(), "Float64", "inf"},
      {Array{-std::numeric_limits<double>::infinity()}, "Array(Float64)", "[-inf]"},
  });
}

TEST(ValueBindText, WritesABoolAsItsTypeReadsIt) {
  expect_bind_texts({
      {true, "Bool", "true"},
      {false, "String", "false"},
      {true, "UInt8", "1"},
      {Array{true, false}, "Array(Bool)", "[true, false]"},
      {Array{true, false}, "Array(LowCardinality(UInt8))", "[1, 0]"},
  });
}

// An instant: a text would be read in the zone of the column or of the server.
TEST(ValueBindText, SendsAPointInTimeAsATimestamp) {
  expect_bind_texts({
      {kSecond, "DateTime", "1704164645"},
      {kSecond, "DateTime('Asia/Tokyo')", "1704164645"},
      {kSecond, "Nullable(DateTime32)", "1704164645"},
      {kSecond, "DateTime64(3)", "1704164645.000"},
      {std::chrono::sys_seconds(seconds(5)), "DateTime", "0000000005"},
      {kDay + hours(3), "DateTime", "1704164400"},
      {Array{kSecond}, "Array(DateTime)", "['1704164645']"},
      {std::chrono::sys_seconds(sys_days(year(2299) / 12 / 31)), "DateTime64(0)", "10413705600"},
      {kSecond, "String", "2024-01-02 03:04:05"},
      {Array{kSecond}, "Array(String)", "['2024-01-02 03:04:05']"},
      {kSecond, "", "2024-01-02 03:04:05"},
  });
}

TEST(ValueBindText, WritesFractionsForDateTime64OnlyAndInItsDigits) {
  const Value time(DateTime64{kNanosecond});
  expect_bind_texts({
      {time, "DateTime", "1704164645"},
      {time, "String", "2024-01-02 03:04:05"},
      {time, "DateTime64", "1704164645.123"},
      {time, "DateTime64(6, 'UTC')", "1704164645.123456"},
      {time, "datetime64(9)", "1704164645.123456789"},
      {time, "LowCardinality(Nullable(DateTime64(1)))", "1704164645.1"},
      {kNanosecond, "DateTime64(9)", "1704164645.123456789"},
      {kSecond + milliseconds(5), "DateTime64(3)", "1704164645.005"},
      {Array{time}, "Array(DateTime64(3))", "['1704164645.123']"},
      {Tuple{{time, time}}, "Tuple(DateTime, DateTime64(3, 'UTC'))",
       "('1704164645', '1704164645.123')"},
      {Tuple{{time, time}}, "Tuple(DateTime64(6, 'UTC'), DateTime)",
       "('1704164645.123456', '1704164645')"},
      {Tuple{{1, time}}, "Tuple(x Int32, `y (` DateTime64(2))", "(1, '1704164645.12')"},
      {Map{{"k", time}}, "Map(String, DateTime64(3))", "{'k':'1704164645.123'}"},
  });
}

TEST(ValueBindText, TimesBefore1970RoundDown) {
  const DateTime64 time{std::chrono::sys_time<nanoseconds>(nanoseconds(-1'250'000'000))};
  expect_bind_texts({
      {time, "DateTime64(2)", "-0000000001.25"},
      {time, "DateTime64(1)", "-0000000001.3"},
      {time, "DateTime64(0)", "-0000000002"},
      {std::chrono::sys_seconds(seconds(-1)), "DateTime64(3)", "-0000000001.000"},
      {time, "String", "1969-12-31 23:59:58"},
  });
}

TEST(ValueBindText, KeepsMicrosecondsInTextOnRequest) {
  const Value time(DateTime64{kNanosecond});
  EXPECT_EQ(time.as_bind_text("String", MapText::kJson, true), "2024-01-02 03:04:05.123456");
  EXPECT_EQ(Value(Array{time}).as_bind_text("Array(String)", MapText::kJson, true),
            "['2024-01-02 03:04:05.123456']");
  EXPECT_EQ(time.as_bind_text("DateTime", MapText::kJson, true), "1704164645");
}

TEST(ValueBindText, WritesSpansOfTime) {
  expect_bind_texts({
      {hours(100) + seconds(5), "Time", "100:00:05"},
      {-minutes(90), "Time", "-01:30:00"},
      {milliseconds(-500), "Time64(3)", "-00:00:00.500"},
      {milliseconds(1250), "Time64(6)", "00:00:01.250000"},
      {nanoseconds(1), "Time64(9)", "00:00:00.000000001"},
      {milliseconds(1250), "Time", "00:00:01"},
      {Array{seconds(1)}, "Array(Time)", "['00:00:01']"},
      {nanoseconds::min(), "Time64(9)", "-2562047:47:16.854775808"},
  });
}

TEST(ValueBindText, NestsArraysAndTuples) {
  expect_bind_texts({
      {Array{}, "Array(Int8)", "[]"},
      {Array{Array{1, 2}, Array{}}, "Array(Array(Int8))", "[[1, 2], []]"},
      {std::vector<int>{1, 2}, "Array(Int8)", "[1, 2]"},
      {std::vector<std::string>{"a"}, "Array(String)", "['a']"},
      {Tuple{{1, "x'y", Null{}}}, "Tuple(Int8, String, Nullable(String))", "(1, 'x\\'y', NULL)"},
      {Tuple{{Array{"a"}}}, "Tuple(Array(String))", "(['a'])"},
  });
}

TEST(ValueBindText, WritesAMapAsThePlaceholderNeedsIt) {
  const Map map = {{"k'", 1}, {"l", Array{"x\"y"}}};
  const std::string json = "{\"k\\'\":1,\"l\":[\"x\\\\\"y\"]}";  // escaped as any string
  expect_bind_texts({
      {map, "Map(String, String)", "{'k\\'':1, 'l':['x\"y']}"},
      {map, "JSON", json},
      {map, "JSON(max_dynamic_paths=8)", json},
      {map, "String", json},
      {Array{Map{{"k", 1}}}, "Array(JSON)", "['{\"k\":1}']"},
      {Array{Map{{"k", 1}}}, "Array(Map(String, Int8))", "[{'k':1}]"},
      {Map{{1, kDay}}, "Map(Int32, Date)", "{1:'2024-01-02'}"},
      {std::map<std::string, int>{{"a", 1}, {"b", 2}}, "Map(String, Int8)", "{'a':1, 'b':2}"},
      {Map{}, "Map(String, Int8)", "{}"},
  });
  EXPECT_EQ(Value(map).as_bind_text("String", MapText::kMap), "{'k\\'':1, 'l':['x\"y']}");
  EXPECT_EQ(Value(map).as_bind_text("JSON", MapText::kMap), json);
}

TEST(ValueBindText, WritesEveryKindAsJson) {
  const Map map = {{1, true},          {"n", Null{}},
                   {"d", kDay},        {"t", kSecond},
                   {"f", 0.5},         {"i", std::numeric_limits<double>::infinity()},
                   {"u", Uuid{"6-1"}}, {"c", std::string("\x01é", 3)},
                   {"m", Map{}},       {"x", Tuple{{1, Number("2.0")}}},
                   {"s", seconds(1)}};
  EXPECT_EQ(Value(map).as_bind_text("JSON"),
            "{\"1\":true,\"n\":null,\"d\":\"2024-01-02\",\"t\":\"2024-01-02 03:04:05\",\"f\":0.5,"
            "\"i\":null,\"u\":\"6-1\",\"c\":\"\\\\u0001é\",\"m\":{},\"x\":[1,2.0],"
            "\"s\":\"00:00:01\"}");
  EXPECT_THROW(Value(Map{{"b", bytes({1})}}).as_bind_text("JSON"), UsageError);
}

TEST(ValueSqlLiteral, IsALiteralOfTheSameValue) {
  const std::vector<std::pair<Value, std::string>> cases = {
      {Null{}, "NULL"},
      {true, "true"},
      {-1, "-1"},
      {1.0, "1.0"},
      {1e300, "1e+300"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {"it's\\\n", "'it\\'s\\\\\\\n'"},
      {bytes({0xab}), "'\\xab'"},
      {Uuid{"6-1"}, "'6-1'"},
      {kDay, "'2024-01-02'"},
      {kSecond, "toDateTime('2024-01-02 03:04:05', 'UTC')"},
      {std::chrono::sys_seconds(seconds(-1)), "toDateTime64('1969-12-31 23:59:59', 0, 'UTC')"},
      {kNanosecond, "toDateTime64('2024-01-02 03:04:05.123456789', 9, 'UTC')"},
      {seconds(1), "'00:00:01'"},
      {Array{1, "a", Null{}}, "[1, 'a', NULL]"},
      {Tuple{{1, "a"}}, "(1, 'a')"},
      {Tuple{{1}}, "(1,)"},
      {Tuple{}, "tuple()"},
      {Map{{"k'", 1}}, "'{\"k\\'\":1}'"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(value.as_sql_literal(), text);
  EXPECT_EQ(Value(Map{{"k", 1}, {"l", kDay}}).as_sql_literal(MapText::kMap),
            "map('k', 1, 'l', '2024-01-02')");
}

TEST(ValueSqlLiteral, LongNumbersLoseNothing) {
  const auto literal = [](const char* text) { return Value(Number(text)).as_sql_literal(); };
  EXPECT_EQ(literal("42"), "42");
  EXPECT_EQ(literal("18446744073709551616"), "toUInt256('18446744073709551616')");
  EXPECT_EQ(literal("-18446744073709551616"), "toInt256('-18446744073709551616')");
  EXPECT_EQ(literal("-1.50"), "toDecimal64('-1.50', 2)");
  EXPECT_EQ(literal("1234567890123456789.0"), "toDecimal128('1234567890123456789.0', 1)");
  EXPECT_EQ(literal("123456789012345678901234567890123456789.0"),
            "toDecimal256('123456789012345678901234567890123456789.0', 1)");
}

TEST(ValueSettingText, IsPlainButForCollections) {
  const std::vector<std::pair<Value, std::string>> cases = {
      {true, "1"},
      {false, "0"},
      {2, "2"},
      {0.5, "0.5"},
      {"it's", "it's"},
      {kSecond, "2024-01-02 03:04:05"},
      {Map{{"t", "x != 'a'"}, {"u", 1}}, "{'t': 'x != \\'a\\'', 'u': 1}"},
      {Array{"a", true}, "['a', 1]"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(value.as_setting_text(), text);
  EXPECT_THROW(Value(Null{}).as_setting_text(), UsageError);
}

TEST(Number, TakesDecimalNumbersOnly) {
  for (const char* text : {"0", "-12", "12.50", "-0.1"}) EXPECT_EQ(Number(text).text(), text);
  for (const char* text : {"", "-", "1.", ".5", "1e5", "+1", " 1", "1)", "0x1", "1.2.3", "--1"}) {
    EXPECT_THROW(Number{text}, UsageError) << text;
  }
}

TEST(ValueDates, OfMoreThanFourDigitsAreRefused) {
  EXPECT_EQ(Value(sys_days(year(9999) / 12 / 31)).as_bind_text(), "9999-12-31");
  EXPECT_THROW(Value(sys_days(year(10000) / 1 / 1)).as_bind_text(), UsageError);
  EXPECT_THROW(Value(sys_days(year(-1) / 1 / 1)).as_bind_text(), UsageError);
  EXPECT_THROW(Value(std::chrono::sys_seconds::max()).as_sql_literal(), UsageError);
}

TEST(TypeName, IsWrittenInOneLine) {
  EXPECT_EQ(one_line("Tuple(\n    a Int8,\n    `b  c` Enum8('x  (' = 1))"),
            "Tuple(a Int8, `b  c` Enum8('x  (' = 1))");
  EXPECT_EQ(one_line("Array(UInt8)"), "Array(UInt8)");
}

TEST(BindText, AnIdentifierIsSentAsItIs) {
  EXPECT_EQ(Value("a'b\\c\t`").as_bind_text("Identifier"), "a'b\\c\t`");
}

TEST(BindText, AStringForACompositeTypeIsALiteralAlready) {
  EXPECT_EQ(Value("['a\\tb', 'it''s']").as_bind_text("Array(String)"), "['a\\tb', 'it''s']");
  EXPECT_EQ(Value("{'k': 1}").as_bind_text("Map(String, UInt8)"), "{'k': 1}");
  EXPECT_EQ(Value("it's").as_bind_text("LowCardinality(String)"), "it\\'s");
}

}  // namespace
}  // namespace millrace
