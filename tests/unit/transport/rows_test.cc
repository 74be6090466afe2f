#include "transport/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transport/transport_rig.h"
#include "transport/row_type.h"
#include "transport/wide_number.h"

namespace millrace::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using testing::HasSubstr;
using wide::Sign;

std::string bytes_of(const std::string& type, const Value& value) {
  std::string bytes;
  RowType(type).write(value, bytes);
  return bytes;
}

// Its literal, which tells types and values apart.
std::string there_and_back(const std::string& type, const Value& value) {
  const std::string bytes = bytes_of(type, value);
  const RowType read(type);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string_view part = std::string_view(bytes).substr(0, size);
    EXPECT_THROW(read.read(part), RowType::Unfinished) << type << " cut to " << size;
  }
  std::string_view in = bytes;
  const Value again = read.read(in);
  EXPECT_EQ(in.size(), 0u) << type;
  return again.as_sql_literal();
}

TEST(WideNumber, TextsOfAnyWidthComeBack) {
  struct Case {
    const char* text;
    std::size_t size;
    Sign sign;
  };
  for (const Case& c :
       {Case{"0", 1, Sign::kUnsigned},
        {"255", 1, Sign::kUnsigned},
        {"-128", 1, Sign::kSigned},
        {"127", 1, Sign::kSigned},
        {"18446744073709551615", 8, Sign::kUnsigned},
        {"-9223372036854775808", 8, Sign::kSigned},
        {"-170141183460469231731687303715884105728", 16, Sign::kSigned},
        {"340282366920938463463374607431768211455", 16, Sign::kUnsigned},
        {"115792089237316195423570985008687907853269984665640564039457584007913129639935", 32,
         Sign::kUnsigned}}) {
    const auto bytes = wide::bytes_of(c.text, 0, c.size, c.sign);
    ASSERT_TRUE(bytes) << c.text;
    EXPECT_EQ(wide::text_of(*bytes, 0, c.sign), c.text);
  }
  for (const Case& c : {Case{"256", 1, Sign::kUnsigned},
                        {"-1", 8, Sign::kUnsigned},
                        {"128", 1, Sign::kSigned},
                        {"-129", 1, Sign::kSigned},
                        {"1.5", 4, Sign::kSigned},
                        {"", 4, Sign::kSigned},
                        {"1e3", 4, Sign::kSigned},
                        {"9223372036854775808", 8, Sign::kSigned}}) {
    EXPECT_FALSE(wide::bytes_of(c.text, 0, c.size, c.sign)) << c.text;
  }
  EXPECT_EQ(wide::text_of(*wide::bytes_of("-0.05", 2, 4, Sign::kSigned), 2, Sign::kSigned),
            "-0.05");
  EXPECT_FALSE(wide::bytes_of("0.005", 2, 4, Sign::kSigned)) << "a digit would be lost";
}

TEST(RowType, ValuesComeBack) {
  EXPECT_EQ(there_and_back("UInt8", 200), "200");
  EXPECT_EQ(there_and_back("Int64", -5), "-5");
  EXPECT_EQ(there_and_back("Bool", true), "true");
  EXPECT_EQ(there_and_back("Float64", 1.25), "1.25");
  EXPECT_EQ(there_and_back("Float32", 3), "3.0");
  EXPECT_EQ(there_and_back("String", std::string(300, 'x')), "'" + std::string(300, 'x') + "'");
  EXPECT_EQ(there_and_back("Nullable(Int16)", Null{}), "NULL");
  EXPECT_EQ(there_and_back("LowCardinality(Nullable(String))", "a"), "'a'");
  EXPECT_EQ(there_and_back("Date", 2024y / 2 / 29), "'2024-02-29'");
  EXPECT_EQ(there_and_back("Date32", 1925y / 1 / 1), "'1925-01-01'");
  EXPECT_EQ(there_and_back("DateTime('UTC')", sys_days(2024y / 1 / 2) + 3s),
            "toDateTime('2024-01-02 00:00:03', 'UTC')");
  EXPECT_EQ(there_and_back("DateTime64(3)", sys_days(1969y / 12 / 31) + 1ms),
            "toDateTime64('1969-12-31 00:00:00.001000000', 9, 'UTC')");
  EXPECT_EQ(there_and_back("Time64(6)", -1500ms), "'-00:00:01.500000'");
  EXPECT_EQ(there_and_back("Decimal(9, 2)", Number("-12.50")), "toDecimal64('-12.50', 2)");
  EXPECT_EQ(there_and_back("UUID", Uuid{"61f0c404-5cb3-11e7-907b-a6006ad3dba0"}),
            "'61f0c404-5cb3-11e7-907b-a6006ad3dba0'");
  EXPECT_EQ(there_and_back("IPv4", "127.0.0.1"), "'127.0.0.1'");
  EXPECT_EQ(there_and_back("IPv6", "2001:db8::1"), "'2001:db8::1'");
  EXPECT_EQ(there_and_back("Enum8('a, (' = 1, 'it\\'s' = -2)", "it's"), "'it\\'s'");
  EXPECT_EQ(there_and_back("Array(Array(UInt8))", Array{Array{1, 2}, Array{}}), "[[1, 2], []]");
  EXPECT_EQ(there_and_back("Tuple(a Int8, `b c` String)", Tuple{{1, "x"}}), "(1, 'x')");
  EXPECT_EQ(there_and_back("SimpleAggregateFunction(sum, UInt64)", 7), "7");
  EXPECT_EQ(there_and_back("Point", Tuple{{1.5, 2.5}}), "(1.5, 2.5)");
}

TEST(RowType, WhatDoesNotFitIsRefusedAndSaysWhatIsWanted) {
  const auto why = [](const std::string& type, const Value& value) {
    const auto error = thrown_by<UsageError>([&] { bytes_of(type, value); });
    return error ? std::string(error->what()) : std::string();
  };
  EXPECT_THAT(why("UInt8", 300), HasSubstr("UInt8"));
  EXPECT_THAT(why("UInt8", -1), HasSubstr("number"));
  EXPECT_THAT(why("Int8", "1"), HasSubstr("number"));
  EXPECT_THAT(why("String", Null{}), HasSubstr("not Nullable"));
  EXPECT_THAT(why("String", 5), HasSubstr("text"));
  EXPECT_THAT(why("Date", 1960y / 1 / 1), HasSubstr("1970"));
  EXPECT_THAT(why("Enum8('a' = 1)", "b"), HasSubstr("one of its names"));
  EXPECT_THAT(why("Tuple(Int8, Int8)", Tuple{{1}}), HasSubstr("Tuple of 2"));
  EXPECT_THAT(why("FixedString(2)", "abc"), HasSubstr("2 bytes"));
  EXPECT_THROW(RowType("JSON"), UsageError);
  EXPECT_THROW(RowType("AggregateFunction(sum, UInt64)"), UsageError);
  EXPECT_THROW(RowType("Array(Dynamic)"), UsageError);
}

TEST(RowWriter, ARowThatDoesNotFitLeavesNothing) {
  RowWriter writer(std::vector<ResultColumn>{{"a", "UInt8"}, {"b", "String"}});
  writer.append(1, "x");
  const std::string before = writer.bytes();
  const auto error = thrown_by<UsageError>([&] { writer.append(2, 5); });
  EXPECT_THAT(error->what(), HasSubstr("column b of row 2"));
  EXPECT_THROW(writer.append(1), UsageError);
  EXPECT_EQ(writer.bytes(), before);
  EXPECT_EQ(writer.rows(), 1u);
  EXPECT_THAT(writer.options().columns, testing::ElementsAre("a", "b"));
}

TEST(RowWriter, LeavesOutWhatCannotBeInserted) {
  const std::vector<ColumnDescription> table{{"a", "UInt8", "", ""},
                                             {"m", "UInt8", "MATERIALIZED", "a"},
                                             {"l", "UInt8", "ALIAS", "a"},
                                             {"d", "UInt8", "DEFAULT", "1"}};
  EXPECT_THAT(RowWriter(table).options().columns, testing::ElementsAre("a", "d"));
  EXPECT_THAT(RowWriter(table, {"d"}).options().columns, testing::ElementsAre("d"));
  EXPECT_THROW(RowWriter(table, {"x"}), UsageError);
}

// A result that comes byte by byte, cut at any place.
TEST(RowReader, ReadsRowsHoweverTheyAreCut) {
  RowWriter writer(std::vector<ResultColumn>{{"n", "UInt16"}, {"s", "Nullable(String)"}});
  writer.append(1, "one");
  writer.append(500, std::nullopt);
  std::string body;
  for (const char c : writer.bytes()) body += std::string("1\r\n") + c + "\r\n";
  TransportRig rig({[&](ScriptedConnection& c) {
    c.read_request();
    c.send("HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: chunked\r\n\r\n" +
           body + "0\r\n\r\n");
  }});
  std::vector<std::pair<int, std::optional<std::string>>> got;
  for (const Row& row : RowReader(rig.client, "SELECT")) {
    got.emplace_back(row.get<int>("n"), row.get<std::optional<std::string>>(1));
    EXPECT_THROW(row["nothing"], UsageError);
    EXPECT_THROW(row.get<std::string>("n"), UsageError);
    EXPECT_EQ(row.get<double>(0), row.get<std::uint16_t>(0));
  }
  EXPECT_THAT(got, testing::ElementsAre(testing::Pair(1, testing::Optional(std::string("one"))),
                                        testing::Pair(500, std::nullopt)));
}

TEST(RowReader, AResultThatEndsWithinARowIsNoEnd) {
  RowWriter writer(std::vector<ResultColumn>{{"n", "UInt16"}});
  writer.append(1);
  const std::string body = writer.bytes().substr(0, writer.bytes().size() - 1);
  TransportRig rig({[&](ScriptedConnection& c) {
    c.read_request();
    c.send("HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
  }});
  RowReader reader(rig.client, "SELECT");
  EXPECT_THROW(reader.next(), NetworkError);
}

}  // namespace
}  // namespace millrace::test
