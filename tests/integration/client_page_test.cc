// Programs as newcomers write them after ClickHouse Connect's Advanced Usage page: that they
// compile is half of the test, the other half is that the server got what their authors meant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <unordered_map>

#include "tests/integration/clickhouse_only.h"
#include "transport/async_client.h"
#include "transport/common_settings.h"
#include "transport/rows.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;

class AsThePageHasIt : public WithClickHouse {
 protected:
  void SetUp() override { client_.emplace(options()); }
  Client& c() { return *client_; }
  // The text of a parameter, as the server read it.
  std::string bound(const std::string& type, const Value& value) {
    return c().command("SELECT {a:" + type + "}", {.parameters = Named{{"a", value}}});
  }

 private:
  std::optional<Client> client_;
};

TEST_F(AsThePageHasIt, OptionsStandInThePagesOrder) {
  EXPECT_EQ(
      c().raw_query(
          "SELECT {a:UInt8}, getSetting('max_threads')",
          {.parameters = Named{{"a", 1}}, .settings = {{"max_threads", "2"}}, .format = "CSV"}),
      "1,2\n");
  EXPECT_EQ(c().raw_query("SELECT {a:UInt8} AS a", {.parameters = {{"a", 13}},
                                                    .settings = {},
                                                    .fmt = "CSVWithNames",
                                                    .use_database = false}),
            "\"a\"\n13\n");
  make_table("x UInt8, y UInt8");
  c().raw_insert(name(), "1\n", {.columns = {"x"}, .format = "CSV"});
  c().raw_insert(
      name(), "2\n",
      {.column_names = {"x"}, .settings = {{"async_insert", 0}}, .fmt = "CSV", .compression = ""});
  EXPECT_EQ(rows(), "1\t0\n2\t0");
  EXPECT_THROW(c().raw_query("SELECT 1", {.fmt = "CSV", .format = "TSV"}), UsageError);
  const ClientOptions named{.host = "127.0.0.1",
                            .port = server().port(),
                            .username = "guarded",
                            .password = "s3c:ret",
                            .database = "system",
                            .compress = "lz4"};
  EXPECT_EQ(Client(named).command("SELECT currentUser(), currentDatabase()"), "guarded\tsystem");
}

TEST_F(AsThePageHasIt, SettingsTakeNumbersBooleansAndTexts) {
  const auto setting = [&](const Settings& settings, const std::string& of) {
    return c().command("SELECT getSetting('" + of + "')", {.settings = settings});
  };
  EXPECT_EQ(setting({{"max_threads", 2}}, "max_threads"), "2");
  EXPECT_EQ(setting({{"join_use_nulls", true}}, "join_use_nulls"), "true");
  EXPECT_EQ(setting({{"join_use_nulls", false}}, "join_use_nulls"), "false");
  EXPECT_EQ(setting({{"max_execution_time", 1.5}}, "max_execution_time"), "1.5");
  c().set_client_setting("max_threads", 3);
  EXPECT_EQ(setting({}, "max_threads"), "3");
  EXPECT_EQ(c().get_client_setting("max_threads"), "3");
  common::set_setting("autogenerate_session_id", true);
  common::set_setting("max_connection_age", 600);
  common::set_setting("product_name", "app");
  common::set_setting("product_name", "");
}

TEST_F(AsThePageHasIt, ParametersAreWhateverAValueCanBe) {
  using namespace std::chrono;
  const std::map<std::string, Value> values{{"a", 13}};
  const std::map<std::string, int> numbers{{"a", 13}};
  const std::unordered_map<std::string, std::string> texts{{"a", "13"}};
  for (const Parameters& parameters :
       {Parameters{{"a", 13}}, Parameters(values), Parameters(numbers), Parameters(texts)}) {
    EXPECT_EQ(c().command("SELECT {a:UInt8}", {.parameters = parameters}), "13");
  }
  EXPECT_EQ(c().raw_query("SELECT {a:UInt8}", {.parameters = numbers}), "13\n");
  EXPECT_EQ(c().command("SELECT %s, %s", {.parameters = Positional{1, "a"}}), "1\ta");
  EXPECT_EQ(bound("Nullable(Int8)", std::nullopt), "\\N");
  EXPECT_EQ(bound("Nullable(Int8)", std::optional<int>()), "\\N");
  EXPECT_EQ(bound("Tuple(Int8, String)", std::tuple(1, "x")), "(1,'x')");
  EXPECT_EQ(bound("Map(String, Int8)", std::unordered_map<std::string, int>{{"k", 1}}), "{'k':1}");
  EXPECT_EQ(bound("Array(Int32)", std::vector<int>{1, 2}), "[1,2]");
  EXPECT_EQ(bound("Array(String)", std::set<std::string>{"a", "b"}), "['a','b']");
  EXPECT_EQ(bound("Array(UInt8)", std::array<unsigned, 2>{1, 2}), "[1,2]");
  EXPECT_EQ(bound("Date", 2024y / 1 / 2), "2024-01-02");
  EXPECT_EQ(bound("Date", 2024y / 2 / last), "2024-02-29");
  EXPECT_THROW(bound("Date", 2023y / 2 / 29), UsageError);
  const auto now = system_clock::now();
  EXPECT_EQ(
      bound("DateTime64(9, 'UTC')", now),
      c().command(
          "SELECT fromUnixTimestamp64Nano({n:Int64}, 'UTC')",
          {.parameters = {{"n", duration_cast<nanoseconds>(now.time_since_epoch()).count()}}}));
}

TEST_F(AsThePageHasIt, IdentifiersAreSentAsTheyAre) {
  for (const std::string id : {"a'b", "a\\b", "plain", "with space", "ta\tb"}) {
    EXPECT_EQ(c().command("SELECT {c:Identifier} FROM (SELECT 7 AS " + quote_identifier(id) + ")",
                          {.parameters = {{"c", id}}}),
              "7")
        << id;
  }
}

TEST_F(AsThePageHasIt, BodiesAreBytesStreamsAndLambdas) {
  make_table("x UInt8");
  const InsertOptions csv{.format = "CSV"};
  c().raw_insert(name(), std::vector<std::byte>{std::byte{'1'}}, csv);
  const std::vector<std::byte> bytes{std::byte{'2'}};
  c().raw_insert(name(), bytes, csv);
  c().raw_insert(name(), std::vector<char>{'3'}, csv);
  c().raw_insert(name(), std::vector<unsigned char>{'4'}, csv);
  c().raw_insert(name(), std::array<char, 1>{'5'}, csv);
  write_file(file("x.csv"), "6\n");
  c().raw_insert(name(), std::ifstream(file("x.csv")), csv);
  int n = 7;
  c().raw_insert(
      name(),
      [&]() -> std::optional<std::string_view> {
        if (n++ > 7) return std::nullopt;
        return "7\n";
      },
      csv);
  // Text of the generator's own: it is gone when the generator returns.
  c().raw_insert(
      name(),
      [&]() -> std::optional<std::string> {
        if (n >= 12) return std::nullopt;
        return std::string(40, ' ') + std::to_string(n++) + "\n";
      },
      csv);
  c().raw_insert(
      name(), [](BodyWriter& w) { w.write("12\n"); }, csv);
  EXPECT_EQ(server().query("SELECT arraySort(groupArray(x)) FROM " + name()),
            "[1,2,3,4,5,6,7,9,10,11,12]");
  const std::string native = c().raw_query("SELECT toUInt8(13) AS x", {.fmt = "Native"});
  c().raw_insert(name(), native);
  c().raw_insert(name(), c().raw_query("SELECT toUInt8(14) AS x", {.fmt = "Native"}));
  EXPECT_EQ(server().query("SELECT max(x) FROM " + name()), "14");
  EXPECT_THROW(c().raw_insert(name(), std::ifstream("/nonexistent"), csv), UsageError);
  std::string packed;
  const auto compressor = Compressor::make(Codec::kGzip);
  compressor->compress("15\n", packed);
  compressor->finish(packed);
  c().raw_insert(name(), packed, {.fmt = "CSV", .compression = "gzip"});
  EXPECT_EQ(server().query("SELECT max(x) FROM " + name()), "15");
}

TEST_F(AsThePageHasIt, StreamsAreRangesOfChunks) {
  std::string all;
  auto s = c().raw_stream("SELECT number FROM numbers(100000)", {.accept = "zstd"});
  for (auto chunk : s) all += chunk;
  EXPECT_EQ(all, c().raw_query("SELECT number FROM numbers(100000)"));
  {
    std::ofstream f(file("output.csv"), std::ios::binary);
    c().raw_stream("SELECT 1", {.format = "CSVWithNames"}).copy_to(f);
    auto again = c().raw_stream("SELECT 2", {.format = "CSV"});
    f << again.istream().rdbuf();
  }
  EXPECT_EQ(read_file(file("output.csv")), "\"1\"\n1\n2\n");
}

TEST_F(AsThePageHasIt, ExternalDataIsAPathOrData) {
  write_file(file("movies.csv"), "Alien,1979\n");
  const std::string path = file("movies.csv");
  const std::string sql = "SELECT * FROM m";
  const auto asked = [&](ExternalFile file) {
    file.file_name = "m.csv";
    return c().command(sql, {.external_data = ExternalData(std::move(file))});
  };
  const std::string structure = "a String, b UInt16";
  EXPECT_EQ(asked({.source = path.c_str(), .format = "CSV", .structure = structure}),
            "Alien\t1979");
  EXPECT_EQ(asked({.source = file("movies.csv"), .format = "CSV", .structure = structure}),
            "Alien\t1979");
  EXPECT_EQ(asked({.file_path = path, .fmt = "CSV", .structure = structure}), "Alien\t1979");
  EXPECT_EQ(asked({.data = "Alien,1979", .fmt = "CSV", .structure = structure}), "Alien\t1979");
  EXPECT_EQ(asked({.source = std::string("Alien,1979"), .fmt = "CSV", .structure = structure}),
            "Alien\t1979");
  EXPECT_THROW(ExternalData({.file_name = "m", .file_path = path, .data = "x"}), UsageError);
}

TEST_F(AsThePageHasIt, SessionsSummariesAndPools) {
  QuerySummary summary;
  c().raw_query("SELECT 1", {.session_id = "abc", .summary = &summary});
  EXPECT_EQ(summary.result_rows, 1u);
  make_table("x UInt8");
  c().raw_insert(name(), "1", {.format = "CSV", .session_id = "x"});
  const auto pool =
      std::make_shared<HttpSessionPool>(HttpSessionPoolOptions{.store_limit = 16, .max_hosts = 12});
  ClientOptions with_pool = options();
  with_pool.pool_mgr = pool;
  Client a(with_pool), b(with_pool);
  a.ping();
  b.ping();
  EXPECT_EQ(pool->stats().created, 1u);
}

TEST_F(AsThePageHasIt, AsyncClientHasEveryCall) {
  make_table("x UInt8");
  AsyncClient a(options());
  const std::string_view sql = "SELECT 1";
  EXPECT_EQ(a.raw_query(sql).get(), "1\n");
  EXPECT_EQ(a.raw_query(std::string(sql)).get(), "1\n");
  EXPECT_EQ(a.command("SELECT 2").get(), "2");
  EXPECT_EQ(c().command(sql), "1");
  write_file(file("x.csv"), "x\n1\n");
  EXPECT_EQ(a.insert_file(name(), file("x.csv")).get().written_rows, 1u);
  EXPECT_EQ(a.raw_insert(name(), std::vector<char>{'2'}, {.fmt = "CSV"}).get().written_rows, 1u);
  EXPECT_EQ(a.describe_table(name()).get().at(0).type, "UInt8");
  EXPECT_TRUE(a.ping().get());
  EXPECT_TRUE(a.is_alive().get());
  EXPECT_EQ(a.server_version().get(), c().server_version());
  EXPECT_TRUE(a.min_version("20.1").get());
  a.set_client_setting("max_threads", 2);
  EXPECT_EQ(a.get_client_setting("max_threads"), "2");
  EXPECT_EQ(a.session_id(), "");
  Session session = a.new_session();
  session.command("CREATE TEMPORARY TABLE t (a Int8)");
  EXPECT_EQ(a.command("SELECT count() FROM t", {.session_id = session.id()}).get(), "0");
  EXPECT_EQ(a.options().host, "127.0.0.1");
  a.close_connections();
  EXPECT_EQ(a.pool()->stats().idle, 0u);
}

TEST_F(AsThePageHasIt, OneCallHasATimeoutOfItsOwn) {
  const auto error = thrown_by<NetworkError>([&] {
    c().raw_query(
        "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1, "
        "function_sleep_max_microseconds_per_block = 0",
        {.request_timeout = std::chrono::milliseconds(200)});
  });
  EXPECT_EQ(error.kind(), NetworkError::Kind::kTimeout);
  EXPECT_EQ(c().command("SELECT 1"), "1");
}

TEST_F(AsThePageHasIt, StatementsWithSixThousandColumns) {
  std::string columns, values, names;
  for (int i = 0; i < 6000; ++i) {
    const std::string column = "c" + std::to_string(i) + std::string(200, 'n');
    columns += (i > 0 ? "," : "") + column + " UInt8";
    names += (i > 0 ? "," : "") + column;
    values += i > 0 ? ",1" : "1";
  }
  const Settings long_ones{{"max_query_size", 100'000'000}};
  c().command("CREATE TABLE " + name() + " (" + columns + ") ENGINE = Memory",
              {.settings = long_ones});
  c().command("INSERT INTO " + name() + " (" + names + ") VALUES (" + values + ")",
              {.settings = long_ones});
  EXPECT_EQ(
      c().raw_query("SELECT " + names + " FROM " + name(), {.settings = long_ones, .fmt = "CSV"}),
      values + "\n");
}

TEST_F(AsThePageHasIt, AResultBeyondTheLimitSaysWhatToDo) {
  ClientOptions small = options();
  small.max_response_bytes = 1000;
  const auto error = thrown_by<ResultTooLargeError>(
      [&] { Client(small).raw_query("SELECT number FROM numbers(100000)"); });
  EXPECT_NE(error.disposition(), Disposition::kRetry);
  EXPECT_THAT(error.what(), HasSubstr("max_response_bytes"));
  EXPECT_THAT(error.what(), HasSubstr("raw_stream"));
}

TEST_F(AsThePageHasIt, NamesOfColumnsMeanNoHeader) {
  make_table("x String, y String");
  c().raw_insert(name(), "x,y\na,b\n", {.columns = {"x", "y"}, .format = "CSV"});
  write_file(file("rows.tsv"), "x\ty\nc\td\n");
  c().insert_file(name(), file("rows.tsv"), {.columns = {"x", "y"}, .format = "TSV"});
  EXPECT_EQ(rows(), "a\tb\nc\td\nx\ty\nx\ty");
  write_file(file("bare.csv"), "7,g\n8,h\n");
  const auto error = thrown_by<ClickHouseError>([&] { c().insert_file(name(), file("bare.csv")); });
  EXPECT_THAT(error.what(), HasSubstr("input_format_skip_unknown_fields"));
  EXPECT_EQ(count(), 4u);
  write_file(file("more.csv"), "x,other\nz,1\n");
  EXPECT_THROW(c().insert_file(name(), file("more.csv")), ClickHouseError);
  c().insert_file(name(), file("more.csv"),
                  {.settings = {{"input_format_skip_unknown_fields", true}}});
  EXPECT_EQ(count(), 5u);
}

TEST_F(AsThePageHasIt, RowsOfEveryTypeGoInAndComeBack) {
  using namespace std::chrono;
  make_table(
      "i Int8, big UInt256, f Float32, b Bool, s String, fs FixedString(3), d Date, d32 Date32, t "
      "DateTime('UTC'), t6 DateTime64(6, 'UTC'), u UUID, v4 IPv4, v6 IPv6, e Enum8('a' = 1, 'b' = "
      "-2), dec Decimal(38, 10), arr Array(Nullable(Int32)), tup Tuple(a Int8, b String), m "
      "Map(String, Array(UInt8)), lc LowCardinality(Nullable(String)), m2 UInt8 MATERIALIZED 1");
  RowWriter writer(c().describe_table(name()));
  const auto append = [&](int i) {
    writer.append(
        i, Number("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
        1.5, true, "it's", "abc", 2024y / 2 / 29, 1925y / 3 / 1, sys_days(2024y / 1 / 2) + 3s,
        sys_days(1969y / 12 / 31) + 1us, Uuid{"61f0c404-5cb3-11e7-907b-a6006ad3dba0"}, "127.0.0.1",
        "2001:db8::1", "b", Number("-1234567890.0123456789"), Array{1, Null{}}, std::tuple(1, "x"),
        std::map<std::string, std::vector<int>>{{"k", {1, 2}}}, i % 2 == 0 ? Value("lc") : Value());
  };
  for (int i = 0; i < 100; ++i) append(i);
  EXPECT_EQ(c().raw_insert(name(), writer.bytes(), writer.options()).written_rows, 100u);
  EXPECT_EQ(server().query("SELECT * FROM " + name() + " WHERE i = 2"),
            "2\t115792089237316195423570985008687907853269984665640564039457584007913129639935\t1."
            "5\ttrue\tit\\'s\tabc\t2024-02-29\t1925-03-01\t2024-01-02 00:00:03\t1969-12-31 "
            "00:00:00.000001\t61f0c404-5cb3-11e7-907b-a6006ad3dba0\t127.0.0.1\t2001:db8::1\tb\t-"
            "1234567890.0123456789\t[1,NULL]\t(1,'x')\t{'k':[1,2]}\tlc");
  RowReader reader(c(), "SELECT * FROM " + name() + " ORDER BY i", {.accept = "lz4"});
  RowWriter again(reader.columns());
  int expected = 0;
  for (const Row& row : reader) {
    EXPECT_EQ(row.get<int>("i"), expected++);
    EXPECT_EQ(row.get<std::vector<std::optional<int>>>("arr").size(), 2u);
    again.append_row(row.values());
  }
  EXPECT_EQ(expected, 100);
  EXPECT_EQ(again.bytes(), writer.bytes());
}

TEST_F(AsThePageHasIt, ATableThatChangedRefusesTheRowsOfBefore) {
  make_table("x UInt8, y UInt8");
  RowWriter writer(c().describe_table(name()));
  writer.append(1, 2);
  server().query("ALTER TABLE " + name() + " MODIFY COLUMN y String");
  EXPECT_THROW(c().raw_insert(name(), writer.bytes(), writer.options()), ClickHouseError);
  EXPECT_EQ(count(), 0u);
}

}  // namespace
}  // namespace millrace::test
