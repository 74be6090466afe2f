// Queries against a real server: parameters, external data, settings, who asks.
#include "transport/client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/clickhouse_only.h"
#include "transport/common_settings.h"
#include "transport/value.h"

namespace millrace::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;
using std::chrono::sys_days;

class ClientQuery : public WithClickHouse {};

// A value, and how ClickHouse writes it.
struct Sample {
  const char* type;
  Value value;
  const char* literal;
};

std::vector<Sample> samples() {
  constexpr auto kDay = sys_days(std::chrono::year(2026) / 11 / 22);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {
      {"Int32", -13, "toInt32(-13)"},
      {"UInt64", std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"},
      {"Int256", Number("-57896044618658097711785492504343953926634992332820282019728792003956564"),
       "toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564')"},
      {"Decimal(38, 9)", Number("-12345678901234567890.123456789"),
       "toDecimal128('-12345678901234567890.123456789', 9)"},
      {"Bool", true, "true"},
      {"Float64", 0.1, "0.1"},
      {"Float64", -kInfinity, "-inf"},
      {"String", "it's \"a\"\ttab,\nline, \\ and {braces} % ё \r `tick`",
       R"('it\'s "a"\ttab,\nline, \\ and {braces} % ё \r `tick`')"},
      {"String", "", "''"},
      {"Nullable(String)", Null{}, "NULL"},
      {"Nullable(Int8)", std::optional<int>(5), "5"},
      {"Array(String)", Array{"a'b", "c\td\n", "\\"}, R"(['a\'b', 'c\td\n', '\\'])"},
      {"Array(Nullable(Int8))", Array{1, Null{}}, "[1, NULL]"},
      {"Tuple(Int8, String)", Tuple{{1, "x'y"}}, R"((1, 'x\'y'))"},
      {"Map(String, Int8)", Map{{"k'", 1}, {"l\\", 2}}, R"(map('k\'', 1, 'l\\', 2))"},
      {"Date", kDay, "toDate('2026-11-22')"},
      {"DateTime", std::chrono::sys_seconds(kDay) + 3661s,
       "toDateTime('2026-11-22 01:01:01', 'UTC')"},
      {"DateTime64(6)", DateTime64{std::chrono::sys_seconds(kDay) + 1234567us},
       "toDateTime64('2026-11-22 00:00:01.234567', 6, 'UTC')"},
      {"UUID", Uuid{"61f0c404-5cb3-11e7-907b-a6006ad3dba0"},
       "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')"},
      {"IPv4", "116.253.40.133", "toIPv4('116.253.40.133')"},
  };
}

TEST_F(ClientQuery, ParametersOfAllTypesArriveAsTheyAre) {
  Client client = this->client();
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(std::string(sample.type) + " " + sample.literal);
    const std::string type(sample.type);
    const std::string literal = "CAST(" + std::string(sample.literal) + " AS " + type + ")";
    const std::string sql = "SELECT toString({x:" + type + "}) AS given, toString(" + literal +
                            ") AS meant, ifNull(given = meant, given IS NULL AND meant IS NULL)";
    const std::string row = client.raw_query(sql, {.parameters = Named{{"x", sample.value}}});
    EXPECT_TRUE(row.ends_with("\t1\n")) << row;
  }
}

TEST_F(ClientQuery, NotANumberArrivesAsSuch) {
  EXPECT_EQ(
      client().raw_query("SELECT isNaN({x:Float64})",
                         {.parameters = Named{{"x", std::numeric_limits<double>::quiet_NaN()}}}),
      "1\n");
}

TEST_F(ClientQuery, ParametersMayBeWrittenIntoTheStatementHere) {
  Client client = this->client();
  common::set_setting("dict_parameter_format", "map");
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(std::string(sample.type) + " " + sample.literal);
    const std::string type(sample.type);
    const std::string sql = "SELECT toString(CAST(%(x)s AS " + type +
                            ")) AS given, toString(CAST(%(y)s AS " + type +
                            ")) AS again, ifNull(given = again, 1), 7 %% 4";
    const std::string row =
        client.raw_query(sql, {.parameters = Named{{"x", sample.value}, {"y", sample.value}}});
    EXPECT_TRUE(row.ends_with("\t1\t3\n")) << row;
    const std::string expected = client.raw_query(
        "SELECT toString(CAST(" + std::string(sample.literal) + " AS " + type + "))");
    EXPECT_EQ(row.substr(0, row.find('\t')), expected.substr(0, expected.size() - 1));
  }
  common::set_setting("dict_parameter_format", "json");
  EXPECT_EQ(client.raw_query("SELECT %s, %s", {.parameters = Positional{"a'b", 2}}), "a\\'b\t2\n");
}

TEST_F(ClientQuery, NamesOfTablesMayBeBound) {
  make_table("n UInt8");
  EXPECT_EQ(client().raw_query("SELECT count() FROM {t:Identifier}",
                               {.parameters = Named{{"t", name()}}}),
            "0\n");
}

TEST_F(ClientQuery, LongParametersGoAsAForm) {
  Client client = this->client();
  const std::string sql = "SELECT length({x:String}), {y:UInt8}";
  for (const std::size_t size : {5'000u, 120'000u}) {
    EXPECT_EQ(client.raw_query(sql, {.parameters = Named{{"x", std::string(size, 'x')}, {"y", 1}}}),
              std::to_string(size) + "\t1\n");
  }
  const auto error = thrown_by<ClickHouseError>([&] {
    client.raw_query(sql, {.parameters = Named{{"x", std::string(140'000, 'x')}, {"y", 1}}});
  });
  EXPECT_EQ(error.code(), 1000);
  EXPECT_NE(error.message().find("too long"), std::string::npos) << error.message();
  // And an array that is long in sum only.
  EXPECT_EQ(client.raw_query("SELECT length({x:Array(UInt32)})",
                             {.parameters = Named{{"x", Array(10'000, Value(1))}}}),
            "10000\n");
}

TEST_F(ClientQuery, FormMayBeAskedForAlways) {
  ClientOptions with_form = options();
  with_form.form_encode_query_params = true;
  EXPECT_EQ(Client(with_form).raw_query("SELECT {x:String}", {.parameters = Named{{"x", "a\tb"}}}),
            "a\\tb\n");
}

TEST_F(ClientQuery, AddressThatTheServerFindsTooLongIsAnError) {
  Client client = this->client();
  const auto error = thrown_by<TransportError>([&] {
    client.raw_query("SELECT 1", {.settings = {{"log_comment", std::string(1'200'000, 'x')}}});
  });
  EXPECT_EQ(error.http_status(), 400) << error.what();
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientQuery, SettingsOfTheCallAreStrongerThanTheClients) {
  ClientOptions of_client = options();
  of_client.settings = {{"max_block_size", "111"}};
  Client client(of_client);
  const std::string ask = "SELECT getSetting('max_block_size')";
  EXPECT_EQ(client.raw_query(ask), "111\n");
  EXPECT_EQ(client.raw_query(ask, {.settings = {{"max_block_size", "222"}}}), "222\n");
  client.set_client_setting("max_block_size", "333");
  EXPECT_EQ(client.raw_query(ask), "333\n");
  EXPECT_EQ(client.get_client_setting("max_block_size"), "333");
}

// Reads are sent as read-only ones, and that can be said only once.
TEST_F(ClientQuery, StatementMaySayThatItIsReadOnly) {
  EXPECT_EQ(client().raw_query("SELECT 1 SETTINGS readonly = 1"), "1\n");
  EXPECT_EQ(client().raw_query("SELECT 1", {.settings = {{"readonly", "1"}}}), "1\n");
  EXPECT_EQ(client().raw_query("SELECT 1 SETTINGS max_threads = 1"), "1\n");
}

TEST_F(ClientQuery, SettingsThatTheUserMayNotChangeAreRefusedHere) {
  ClientOptions limited = options();
  limited.user = "limited";
  Client client(limited);
  EXPECT_EQ(client.raw_query("SELECT currentUser()"), "limited\n");
  EXPECT_THROW(client.raw_query("SELECT 1", {.settings = {{"max_block_size", "7"}}}), UsageError);
  EXPECT_THROW(client.raw_query("SELECT 1", {.settings = {{"password", "x"}}}), UsageError);
  common::set_setting("invalid_setting_action", "drop");
  EXPECT_EQ(
      client.raw_query("SELECT 1", {.settings = {{"max_block_size", "7"}, {"unknown_one", "1"}}}),
      "1\n");
  common::set_setting("invalid_setting_action", "error");
  limited.connect = false;  // nobody asked what is allowed: the server says
  EXPECT_EQ(thrown_by<ClickHouseError>([&] {
              Client(limited).raw_query("SELECT 1", {.settings = {{"max_block_size", "7"}}});
            }).code(),
            164);
}

// What is only for convenience is left out for them, or they could do nothing.
TEST_F(ClientQuery, UsersWhoMayNotChangeSettingsGetProgressAndCompressionIfTheServerLikes) {
  ClientOptions limited = options();
  limited.user = "limited";
  Client client(limited);
  EXPECT_EQ(client.raw_query("SELECT 1", {.on_progress = [](const Progress&) {}}), "1\n");
  for (const Codec codec : {Codec::kGzip, Codec::kZstd, Codec::kLz4}) {
    EXPECT_EQ(client.raw_query("SELECT 1", {.accept = codec}), "1\n");
  }
}

TEST_F(ClientQuery, UnknownSettingIsRefusedByTheServerUnlessDropped) {
  Client client = this->client();
  const QueryOptions unknown{.settings = {{"no_such_setting", "1"}}};
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { client.raw_query("SELECT 1", unknown); }).code(), 115);
  common::set_setting("invalid_setting_action", "drop");
  EXPECT_EQ(client.raw_query("SELECT 1", unknown), "1\n");
  common::set_setting("invalid_setting_action", "error");
}

TEST_F(ClientQuery, DatabaseAndFormatAreTheCallers) {
  ClientOptions of_system = options();
  of_system.database = "system";
  Client client(of_system);
  EXPECT_EQ(client.raw_query("SELECT currentDatabase()"), "system\n");
  EXPECT_EQ(client.raw_query("SELECT currentDatabase()", {.use_database = false}), "default\n");
  EXPECT_EQ(client.raw_query("SELECT 1 AS a; -- done;", {.format = "JSONEachRow"}), "{\"a\":1}\n");
}

TEST_F(ClientQuery, SummaryAndProgressTellOfTheQuery) {
  Client client = this->client();
  QuerySummary summary;
  std::vector<Progress> seen;
  client.raw_query("SELECT sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1",
                   {.query_id = "with-progress",
                    .on_progress = [&](const Progress& progress) { seen.push_back(progress); },
                    .summary = &summary});
  EXPECT_EQ(summary.query_id, "with-progress");
  EXPECT_EQ(summary.read_rows, 10u);
  EXPECT_EQ(summary.result_rows, 10u);
  EXPECT_GT(summary.elapsed_ns, 500'000'000u);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_GT(seen.front().read_rows, 0u);
  EXPECT_LT(seen.front().read_rows, seen.back().read_rows);
  client.raw_query("SELECT 1", {.summary = &summary});
  EXPECT_EQ(summary.query_id.size(), 36u);  // one of our own
}

TEST_F(ClientQuery, SameIdTwiceAtATimeIsAnError) {
  Client client = this->client();
  const RawStream stream =
      client.raw_stream("SELECT number FROM system.numbers", {.query_id = "twin"});
  EXPECT_EQ(thrown_by<ClickHouseError>([&] {
              client.raw_query("SELECT 1", {.query_id = "twin"});
            }).code(),
            216);
}

TEST_F(ClientQuery, StoppedQueryEndsOnTheServer) {
  Client client = this->client();
  std::stop_source stop;
  std::jthread other([&] {
    EXPECT_TRUE(eventually([] { return runs("to-stop"); }, kPatience, "the query runs"));
    stop.request_stop();
  });
  EXPECT_THROW(client.raw_query("SELECT count() FROM system.numbers",
                                {.query_id = "to-stop", .stop = stop.get_token()}),
               AbortedError);
  other.join();
  EXPECT_TRUE(vanishes("to-stop"));
}

TEST_F(ClientQuery, ExternalDataAreTables) {
  const auto path = file("years.csv");
  write_file(path, "Alien,1979\nBrazil,1985\n");
  ExternalData data;
  data.add_file({.file_name = "years.csv",
                 .source = path,
                 .format = "CSV",
                 .structure = "m String, y UInt16"});
  data.add_file({.file_name = "stars.json",
                 .source = std::string("{\"m\":\"Brazil\",\"s\":5}\n{\"m\":\"Alien\",\"s\":4}\n"),
                 .format = "JSONEachRow",
                 .structure = "m String, s UInt8"});
  data.add_file({.file_name = "plain.tsv",
                 .source = std::string("7\t\\N\n"),
                 .types = "UInt8,Nullable(String)"});
  Client client = this->client();
  const std::string sql =
      "SELECT m, y, s, (SELECT _1 FROM plain) FROM years JOIN stars USING m WHERE s > {s:UInt8}";
  for (const std::string& long_one : {std::string(), std::string(5000, 'x')}) {
    EXPECT_EQ(client.raw_query(sql, {.parameters = Named{{"s", 4}, {"unused", long_one}},
                                     .external_data = data}),
              "Brazil\t1985\t5\t7\n");
  }
  EXPECT_EQ(
      client.raw_stream(sql, {.parameters = Named{{"s", 4}}, .external_data = data}).next_chunk(),
      "Brazil\t1985\t5\t7\n");
}

TEST_F(ClientQuery, ServerIsKnown) {
  Client client = this->client();
  EXPECT_EQ(client.server_version(), server().query("SELECT version()"));
  EXPECT_TRUE(client.min_version("21.3"));
  EXPECT_FALSE(client.min_version("99.1"));
  EXPECT_TRUE(client.is_alive());
  EXPECT_NO_THROW(client.ping());
  make_table("a UInt8 DEFAULT 1, `b c` String");
  const auto columns = client.describe_table(name());
  ASSERT_EQ(columns.size(), 2u);
  EXPECT_EQ(columns[0].default_expression, "1");
  EXPECT_EQ(columns[1].name, "b c");
  EXPECT_EQ(columns[1].type, "String");
}

TEST_F(ClientQuery, UserMayBeNamedInEachWay) {
  const std::string ask = "SELECT currentUser()";
  const std::string address = "127.0.0.1:" + std::to_string(server().port());
  ClientOptions by_header = options(), basic = options();
  by_header.user = basic.user = "guarded";
  by_header.password = basic.password = "s3c:ret";
  basic.basic_auth = true;
  EXPECT_EQ(Client(by_header).raw_query(ask), "guarded\n");
  EXPECT_EQ(Client(basic).raw_query(ask), "guarded\n");
  Client by_dsn(ClientOptions::from_dsn("clickhouse://guarded:s3c%3Aret@" + address +
                                        "/system?max_block_size=123&query_retries=1"));
  EXPECT_EQ(by_dsn.raw_query(ask + ", currentDatabase(), getSetting('max_block_size')"),
            "guarded\tsystem\t123\n");
}

TEST_F(ClientQuery, WrongPasswordIsAnErrorOfConstructionAndHidesItself) {
  for (const bool basic : {false, true}) {
    ClientOptions wrong = options();
    wrong.user = "guarded";
    wrong.password = "not-this-one";
    wrong.basic_auth = basic;
    const auto error = thrown_by<ClickHouseError>([&] { Client client(wrong); });
    EXPECT_EQ(error.code(), 516);
    EXPECT_EQ(error.disposition(), Disposition::kWait);
    EXPECT_EQ(std::string(error.what()).find("not-this-one"), std::string::npos);
  }
}

TEST_F(ClientQuery, TokenThatTheServerDoesNotTakeIsAnErrorOfItsOwn) {
  ClientOptions with_token = options();
  with_token.user.clear();
  with_token.access_token = "header.payload.signature";
  const auto error = thrown_by<ClickHouseError>([&] { Client client(with_token); });
  EXPECT_NE(error.code(), 0) << error.what();
  EXPECT_EQ(std::string(error.what()).find("payload"), std::string::npos);
}

}  // namespace
}  // namespace millrace::test
