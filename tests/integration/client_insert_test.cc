// Inserts into a real server: every kind of body, every coding, and what a failure leaves.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <fstream>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/integration/clickhouse_only.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

class ClientInsert : public WithClickHouse {
 protected:
  static QuerySummary insert(InsertBody body, const InsertOptions& options = {.format = "TSV"}) {
    return client().raw_insert(name(), std::move(body), options);
  }
};

std::string numbers(int end) {
  std::string text;
  for (int i = 0; i < end; ++i) text += std::to_string(i) + "\n";
  return text;
}

std::string gzipped(const std::string& text) {
  std::string out;
  const auto compressor = Compressor::make(Codec::kGzip);
  compressor->compress(text, out);
  compressor->finish(out);
  return out;
}

TEST_F(ClientInsert, TakesTextAndBytes) {
  make_table("n UInt32");
  const std::string kept = "1\n";
  EXPECT_EQ(insert(kept).written_rows, 1u);
  insert("2\n");
  insert(std::string("3\n"));
  insert(std::string_view("4\n"));
  constexpr std::array kBytes{std::byte{'5'}, std::byte{'\n'}};
  insert(InsertBody(kBytes));
  const std::array<std::string_view, 3> pieces{"6", "\n7", "\n"};
  client().raw_insert(name(), BodyPieces(pieces), {.format = "TSV"});
  EXPECT_EQ(rows(), "1\n2\n3\n4\n5\n6\n7");
}

TEST_F(ClientInsert, TakesGeneratorsAndSkipsTheirEmptyItems) {
  make_table("n UInt32");
  int next = 0;
  std::string row;
  insert(PullSource([&]() -> std::optional<std::string_view> {
    if (next == 1000) return std::nullopt;
    row = next % 2 == 0 ? std::to_string(next) + "\n" : "";
    ++next;
    return row;
  }));
  EXPECT_EQ(count(), 500u);
  insert(PushSource([](BodyWriter& out) {
    out.write("");
    out.write("1001\n");
    out.flush();
    out.write(std::string_view());
    out.write("1003\n");
  }));
  EXPECT_EQ(server().query("SELECT count(), sum(n) FROM " + name()),
            "502\t" + std::to_string(499 * 500 + 1001 + 1003));
}

TEST_F(ClientInsert, TakesIstreamsFromWhereTheyStand) {
  make_table("n UInt32");
  std::istringstream in("1\n2\n3\n");
  in.ignore(2);
  insert(in);
  EXPECT_EQ(rows(), "2\n3");
}

// A long statement stands in front of the body, in its coding; what comes first there could be
// taken for a part of it.
TEST_F(ClientInsert, TakesALongStatementWithEachCodingAndWhateverTheDataBeginWith) {
  std::string columns = "s String, n UInt32";
  InsertOptions options{.columns = {"s", "n"}, .format = "TSV"};
  for (int i = 0; i < 57; ++i) {
    const std::string column = "column_with_a_name_that_is_rather_long_" + std::to_string(i);
    columns += ", " + column + " UInt8";
    options.columns.push_back(column);
  }
  make_table(columns);  // 59 columns: a Native block begins with a semicolon
  const std::string row = "SETTINGS a\t1" + [] {
    std::string rest;
    for (int i = 0; i < 57; ++i) rest += "\t0";
    return rest + "\n";
  }();
  insert(row, options);
  insert(";" + row, options);
  insert("-- " + row, options);
  insert(PullSource([&, sent = false]() mutable -> std::optional<std::string_view> {
           return std::exchange(sent, true) ? std::nullopt : std::optional<std::string_view>(row);
         }),
         options);
  for (const Codec codec : {Codec::kGzip, Codec::kZstd, Codec::kLz4, Codec::kDeflate}) {
    InsertOptions coded = options;
    coded.compress_with = codec;
    insert(row, coded);
    std::string packed;
    const auto compressor = Compressor::make(codec);
    compressor->compress(row, packed);
    compressor->finish(packed);
    coded.compress_with = Codec::kNone;
    coded.compression = codec;
    insert(packed, coded);
  }
  EXPECT_EQ(count(), 12u);
  const std::string native = client().raw_query("SELECT * FROM " + name(), {.format = "Native"});
  ASSERT_EQ(native.front(), ';');
  options.format = "Native";
  insert(native, options);
  EXPECT_EQ(server().query("SELECT count(), countIf(s LIKE '%SETTINGS a'), sum(n) FROM " + name()),
            "24\t24\t24");
}

// ClickHouse takes a URL of 128 KiB, and reads a statement of 256.
TEST_F(ClientInsert, TakesAStatementBeyondTheServersUsualLimit) {
  std::string columns = "n UInt32";
  InsertOptions options{.columns = {"n"}, .format = "TSV"};
  for (int i = 0; i < 3; ++i) {
    const std::string column = std::string(100'000, static_cast<char>('a' + i));
    columns += ", " + column + " UInt8";
    options.columns.push_back(column);
  }
  client().command("CREATE TABLE " + name() + " (" + columns + ") ENGINE = Memory",
                   {.settings = {{"max_query_size", "1000000"}}});
  insert("7\t1\t2\t3\n", options);
  EXPECT_EQ(server().query("SELECT n FROM " + name()), "7");
}

TEST_F(ClientInsert, TakesFilesPlainAndCompressedAlready) {
  make_table("n UInt32");
  const auto plain = file("rows.tsv"), packed = file("rows.tsv.gz");
  write_file(plain, "1\n2\n");
  write_file(packed, gzipped("3\n4\n"));
  insert(plain);
  insert(packed, {.format = "TSV", .compression = Codec::kGzip});
  EXPECT_EQ(rows(), "1\n2\n3\n4");
}

TEST_F(ClientInsert, InsertFileKnowsTheCodingAndTakesTheNamesFromTheFile) {
  make_table("a UInt32, b String");
  const auto with_names = file("names.csv.gz"), columns_only = file("plain.csv");
  write_file(with_names, gzipped("b,a\n\"x, y\",1\n"));
  write_file(columns_only, "z,2\n");
  Client client = this->client();
  EXPECT_EQ(client.insert_file(name(), with_names).written_rows, 1u);
  client.insert_file(name(), columns_only, InsertOptions{.columns = {"b", "a"}, .format = "CSV"});
  EXPECT_EQ(rows(), "1\tx, y\n2\tz");
}

TEST_F(ClientInsert, CompressesWithEachCodecWhateverTheBody) {
  make_table("n UInt32");
  const std::string body = numbers(100000);
  Client client = this->client();
  std::uint64_t expected = 0;
  for (const Codec codec : {Codec::kGzip, Codec::kDeflate, Codec::kZstd, Codec::kLz4}) {
    SCOPED_TRACE(content_coding(codec));
    const InsertOptions options{.format = "TSV", .compress_with = codec};
    client.raw_insert(name(), body, options);
    client.raw_insert(name(), PushSource([&](BodyWriter& out) { out.write(body); }), options);
    const std::array<std::string_view, 2> halves{std::string_view(body).substr(0, 777),
                                                 std::string_view(body).substr(777)};
    client.raw_insert(name(), BodyPieces(halves), options);
    expected += 3;
    EXPECT_EQ(server().query("SELECT count(), sum(n), uniqExact(n) FROM " + name()),
              std::to_string(expected * 100000) + "\t" + std::to_string(expected * 4999950000) +
                  "\t100000");
  }
  client.raw_insert(name(), "1\n",
                    {.format = "TSV", .compress_with = Codec::kZstd, .compression_level = 19});
  EXPECT_EQ(count(), expected * 100000 + 1);
}

TEST_F(ClientInsert, NamesOfTablesAndColumnsAreQuoted) {
  const std::string odd = "we`ird \"name\" \\ of 'it'";
  server().query("CREATE DATABASE `other db`");
  server().query(
      "CREATE TABLE `other db`.`t.able` (`a``b` UInt8, `c\"d'e` String, `f.g` UInt8) "
      "ENGINE = MergeTree ORDER BY ()");
  Client client = this->client();
  client.raw_insert("`other db`.`t.able`", "x\t1\t2\n",
                    {.columns = {"c\"d'e", "a`b", "f.g"}, .format = "TSV"});
  EXPECT_EQ(server().query("SELECT * FROM `other db`.`t.able`"), "1\tx\t2");
  client.command("CREATE TABLE " + quote_identifier(odd) +
                 " (n UInt8) ENGINE = MergeTree ORDER BY ()");
  client.raw_insert(quote_identifier(odd), "7\n", {.format = "TSV"});
  EXPECT_EQ(client.raw_query("SELECT n FROM " + quote_identifier(odd)), "7\n");
}

TEST_F(ClientInsert, TableMayBeOfAnotherDatabase) {
  server().query("CREATE DATABASE elsewhere");
  server().query("CREATE TABLE elsewhere.t (n UInt8) ENGINE = MergeTree ORDER BY ()");
  client().raw_insert("elsewhere.t", "1\n", {.format = "TSV"});
  ClientOptions there = options();
  there.database = "elsewhere";
  Client(there).raw_insert("t", "2\n", {.format = "TSV"});
  EXPECT_EQ(server().query("SELECT n FROM elsewhere.t ORDER BY n"), "1\n2");
}

TEST_F(ClientInsert, BodyMayHoldTheWholeStatement) {
  make_table("n UInt32");
  Client client = this->client();
  const std::string statement = "INSERT INTO " + name() + " FORMAT TSV\n";
  client.raw_insert("", statement + "1\n", {});
  client.raw_insert("", PushSource([&](BodyWriter& out) {
                      out.write(statement);
                      out.write("2\n");
                    }),
                    {.compress_with = Codec::kLz4});
  EXPECT_EQ(rows(), "1\n2");
}

TEST_F(ClientInsert, GeneratorThatThrowsReachesTheCallerAndLeavesNoRow) {
  make_table("n UInt32");
  struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  Client client = this->client();
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kZstd, Codec::kLz4}) {
    const std::string id = "broken-" + std::to_string(static_cast<int>(codec));
    const auto insert = [&] {
      client.raw_insert(name(), PushSource([&](BodyWriter& out) {
                          // The server begins when it has 256 KiB, decoded.
                          out.write(numbers(500000));
                          out.flush();
                          EXPECT_TRUE(eventually([&] { return runs(id); }, kPatience, id));
                          throw Broken("half way");
                        }),
                        {.format = "TSV", .query_id = id, .compress_with = codec});
    };
    EXPECT_THROW(insert(), Broken);
    EXPECT_TRUE(vanishes(id));
  }
  EXPECT_EQ(count(), 0u);
  client.raw_insert(name(), "1\n", {.format = "TSV"});
  EXPECT_EQ(count(), 1u);
}

TEST_F(ClientInsert, StopTokenEndsItAndLeavesNoRow) {
  make_table("n UInt32");
  std::stop_source stop;
  const auto insert = [&] {
    client().raw_insert(name(), PushSource([&](BodyWriter& out) {
                          for (;;) {
                            out.write("1\n");
                            out.flush();
                            stop.request_stop();
                          }
                        }),
                        {.format = "TSV", .query_id = "stopped-insert", .stop = stop.get_token()});
  };
  EXPECT_THROW(insert(), AbortedError);
  EXPECT_TRUE(vanishes("stopped-insert"));
  EXPECT_EQ(count(), 0u);
}

TEST_F(ClientInsert, UnknownTableIsAnErrorWithItsCode) {
  for (const Codec codec : {Codec::kNone, Codec::kGzip}) {
    const auto error = thrown_by<ClickHouseError>([&] {
      client().raw_insert("nowhere", numbers(200000), {.format = "TSV", .compress_with = codec});
    });
    EXPECT_EQ(error.code(), 60);
    EXPECT_EQ(error.name(), "UNKNOWN_TABLE");
    EXPECT_EQ(error.disposition(), Disposition::kWait);
    EXPECT_FALSE(error.may_have_been_applied());
    EXPECT_FALSE(error.query_id().empty());
  }
}

TEST_F(ClientInsert, WrongRowIsAnErrorThatNamesItAndLeavesNoRow) {
  make_table("n UInt32");
  const auto error = thrown_by<ClickHouseError>([] { insert("1\n2\nthree\n"); });
  EXPECT_EQ(error.code(), 27);
  EXPECT_EQ(error.name(), "CANNOT_PARSE_INPUT_ASSERTION_FAILED");
  EXPECT_NE(error.message().find("three"), std::string::npos) << error.message();
  EXPECT_EQ(count(), 0u);
}

TEST_F(ClientInsert, BodyThatIsNotWhatItSaysIsAnError) {
  make_table("n UInt32");
  const auto error = thrown_by<ClickHouseError>(
      [] { insert("1\n", {.format = "TSV", .compression = Codec::kGzip}); });
  EXPECT_EQ(error.code(), 354);
  EXPECT_EQ(count(), 0u);
}

TEST_F(ClientInsert, SameDeduplicationTokenInsertsOnce) {
  server().query("CREATE TABLE " + name() +
                 " (n UInt32) ENGINE = MergeTree ORDER BY () "
                 "SETTINGS non_replicated_deduplication_window = 100");
  const auto put = [](const std::string& row, const std::string& token) {
    insert(row, {.format = "TSV", .deduplication_token = token});
  };
  put("1\n", "a");
  put("2\n", "a");  // taken for the same
  put("1\n", "b");
  EXPECT_EQ(rows(), "1\n1");
}

TEST_F(ClientInsert, SettingsAndSummaryGoWithIt) {
  make_table("n UInt32 DEFAULT 5, m UInt32");
  const QuerySummary summary = insert("{\"m\": 1, \"unknown\": 2}\n",
                                      {.settings = {{"input_format_skip_unknown_fields", "1"}},
                                       .format = "JSONEachRow",
                                       .query_id = "my-insert"});
  EXPECT_EQ(summary.query_id, "my-insert");
  EXPECT_EQ(summary.written_rows, 1u);
  EXPECT_GT(summary.written_bytes, 0u);
  EXPECT_EQ(rows(), "5\t1");
}

}  // namespace
}  // namespace millrace::test
