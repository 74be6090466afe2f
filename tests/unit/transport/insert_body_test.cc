// Bodies of every kind on the wire: their framing, what a failing source leaves, what is sent
// again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/files.h"
#include "tests/unit/transport/transport_rig.h"
#include "transport/compression.h"

namespace millrace::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

// Reads a request with a chunked body and answers 200; what came is for the test.
struct ChunkedRequest {
  std::string header, body;
  ScriptedServer::Script script() {
    return [this](ScriptedConnection& connection) {
      header = connection.read_header();
      body = connection.read_until("0\r\n\r\n");
      connection.send(http_response(200, ""));
      connection.wait_for_close();
    };
  }
};

PullSource items(std::vector<std::string> all) {
  auto next = std::make_shared<std::size_t>(0);
  return [all = std::move(all), next]() -> std::optional<std::string_view> {
    if (*next == all.size()) return std::nullopt;
    return all[(*next)++];
  };
}

TEST(InsertBody, AGeneratorGoesInChunksAndEmptyItemsDoNotEndIt) {
  ChunkedRequest seen;
  TransportRig rig({seen.script()});
  rig.client.raw_insert("t", PullSource(items({"1\n", "", "22\n"})), {.format = "TSV"});
  EXPECT_THAT(seen.header, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(seen.header, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(seen.body, "5\r\n1\n22\n\r\n0\r\n\r\n");
}

TEST(InsertBody, AFlushMakesAChunk) {
  ChunkedRequest seen;
  TransportRig rig({seen.script()});
  rig.client.raw_insert("t", PushSource([](BodyWriter& out) {
                          out.flush();
                          out.write("1\n");
                          out.flush();
                          out.write(std::string_view());
                          out.write("22\n");
                        }),
                        {.format = "TSV"});
  EXPECT_EQ(seen.body, "2\r\n1\n\r\n3\r\n22\n\r\n0\r\n\r\n");
}

TEST(InsertBody, NothingAtAllIsAnEmptyBody) {
  ChunkedRequest seen;
  TransportRig rig({seen.script()});
  rig.client.raw_insert("t", PullSource(items({})), {.format = "TSV"});
  EXPECT_EQ(seen.body, "0\r\n\r\n");
}

TEST(InsertBody, AFailingGeneratorReachesItsCallerAndEndsTheBodyNowhere) {
  for (const bool push : {true, false}) {
    std::string came;
    TransportRig rig({[&](ScriptedConnection& connection) {
      connection.read_header();
      came = connection.read_until_closed();
    }});
    int calls = 0;
    InsertBody body = push ? InsertBody(PushSource([](BodyWriter& out) {
      out.write(std::string(100'000, 'x'));
      throw std::domain_error("no more");
    }))
                           : InsertBody(PullSource([&]() -> std::optional<std::string_view> {
                               static const std::string row(100'000, 'x');
                               if (++calls == 2) throw std::domain_error("no more");
                               return row;
                             }));
    EXPECT_THROW(rig.client.raw_insert("t", body, with_token()), std::domain_error);
    rig.server.wait_ended(0);
    EXPECT_THAT(came, HasSubstr("xxx"));
    EXPECT_THAT(came, Not(EndsWith("0\r\n\r\n")));
    EXPECT_EQ(rig.server.accepted(), 1u);
    EXPECT_EQ(rig.pool.stats().open, 0u);
  }
}

TEST(InsertBody, AFileHasItsLength) {
  const TempDir folder("body");
  const auto file = folder.path() / "rows.csv";
  std::ofstream(file, std::ios::binary) << std::string(1'000'000, 'r');
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_insert("t", InsertBody(file), {.format = "CSV"});
  rig.pool.close_connections();
  const auto seen = rig.server.wait_ended(0);
  EXPECT_THAT(seen.headers, HasSubstr("Content-Length: 1000000\r\n"));
  EXPECT_EQ(seen.bytes, seen.headers.size() + 1'000'000);
  EXPECT_THROW(rig.client.raw_insert("t", InsertBody(folder.path() / "none"), {}), UsageError);
}

TEST(InsertBody, AStandardStreamIsReadFromWhereItStands) {
  ChunkedRequest seen;
  TransportRig rig({seen.script()});
  std::istringstream in("header\n1\n2\n");
  std::string header;
  std::getline(in, header);
  rig.client.raw_insert("t", InsertBody(in), {.format = "TSV"});
  EXPECT_EQ(seen.body, "4\r\n1\n2\n\r\n0\r\n\r\n");
}

TEST(InsertBody, AStandardStreamThatHasFailedIsRefused) {
  ChunkedRequest seen;
  TransportRig rig({seen.script()});
  std::ifstream missing("/nonexistent/rows.tsv");
  EXPECT_THROW(rig.client.raw_insert("t", missing, {.format = "TSV"}), UsageError);
  std::istringstream at_end("1");
  std::string all;
  at_end >> all;
  ASSERT_TRUE(at_end.eof());
  EXPECT_NO_THROW(rig.client.raw_insert("t", at_end, {.format = "TSV"}));
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(InsertBody, OfAFileIsCsvByDefault) {
  const TempDir folder("insert");
  const auto file = folder.path() / "rows";
  std::ofstream(file) << "1\n";
  const std::vector<std::pair<InsertOptions, std::string>> cases{
      {{}, "INSERT+INTO+%60t%60+FORMAT+CSVWithNames"},
      {{.settings = {{"a", "1"}}}, "INSERT+INTO+%60t%60+FORMAT+CSVWithNames"},
      {{.columns = {"n"}}, "INSERT+INTO+%60t%60+%28%60n%60%29+FORMAT+CSV"},
      {{.columns = {"n"}, .format = "TSV"}, "INSERT+INTO+%60t%60+%28%60n%60%29+FORMAT+TSV"}};
  for (const auto& [options, statement] : cases) {
    TransportRig rig({answer_all(http_response(200, ""))});
    rig.client.insert_file("t", file, options);
    rig.pool.close_connections();
    EXPECT_EQ(parameter(rig.server.wait_ended(0).headers, "query"), statement);
  }
}

TEST(InsertBody, IsCompressedWhileItIsSent) {
  for (const Codec codec : {Codec::kGzip, Codec::kZstd, Codec::kLz4, Codec::kDeflate}) {
    ChunkedRequest seen;
    TransportRig rig({seen.script()});
    rig.client.raw_insert("t", "1\n2\n", {.format = "TSV", .compress_with = codec});
    EXPECT_THAT(seen.header,
                HasSubstr("Content-Encoding: " + std::string(content_coding(codec)) + "\r\n"));
    const auto start = seen.body.find("\r\n") + 2;
    const std::string coded = seen.body.substr(start, seen.body.size() - start - 7);
    std::string_view in = coded;
    std::string out(100, '\0');
    const auto decoder = Decompressor::make(codec);
    out.resize(decoder->decompress(in, out.data(), out.size()));
    EXPECT_EQ(out, "1\n2\n");
  }
}

TEST(InsertBody, WhatIsCompressedAlreadySaysSoAndIsLeftAlone) {
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_insert("t", "pretend", {.format = "TSV", .compression = Codec::kBr});
  rig.pool.close_connections();
  const auto seen = rig.server.wait_ended(0);
  EXPECT_THAT(seen.headers, HasSubstr("Content-Encoding: br\r\n"));
  EXPECT_THAT(seen.headers, HasSubstr("Content-Length: 7\r\n"));
  EXPECT_THROW(rig.client.raw_insert("t", "x", {.compress_with = Codec::kBr}), UsageError);
  EXPECT_THROW(
      rig.client.raw_insert("t", "x", {.compression = Codec::kGzip, .compress_with = Codec::kGzip}),
      UsageError);
}

TEST(InsertBody, WithoutATableItIsTheWholeStatement) {
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_insert("", "INSERT INTO t FORMAT TSV\n1\n", {});
  rig.pool.close_connections();
  const auto seen = rig.server.wait_ended(0);
  EXPECT_EQ(parameter(seen.headers, "query"), "");
  EXPECT_THAT(seen.headers, HasSubstr("Content-Length: 27\r\n"));
}

std::vector<std::string> many_columns() {
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) names.push_back("column_" + std::to_string(i));
  return names;
}

// Of a proxy that takes 8 KiB, and of ClickHouse, which takes 128.
TEST(InsertBody, ALongStatementStandsInFrontOfIt) {
  const InsertOptions options{.columns = many_columns(), .format = "TSV"};
  const std::string begin = "INSERT INTO `t` (`column_0`, `column_1`, ", end = ") FORMAT TSV\n1\n";
  for (const bool generated : {false, true}) {
    std::string header, body;
    TransportRig rig({[&](ScriptedConnection& connection) {
      header = connection.read_header();
      body = connection.read_until(generated ? "0\r\n\r\n" : end);
      connection.send(http_response(200, ""));
      connection.wait_for_close();
    }});
    if (generated) {
      rig.client.raw_insert("t", PullSource(items({"1\n"})), options);
    } else {
      rig.client.raw_insert("t", "1\n", options);
    }
    EXPECT_LT(header.size(), 1'000u);
    EXPECT_EQ(parameter(header, "query"), "");
    EXPECT_THAT(body, HasSubstr(begin));
    EXPECT_THAT(body, HasSubstr(end));
    if (generated) continue;
    EXPECT_THAT(header, HasSubstr("Content-Length: " + std::to_string(body.size()) + "\r\n"));
  }
}

TEST(InsertBody, ALongStatementIsAFrameOfTheBodysCoding) {
  for (const Codec codec : {Codec::kGzip, Codec::kZstd, Codec::kLz4}) {
    std::string body, row;
    const auto compressor = Compressor::make(codec);
    compressor->compress("1\n", row);
    compressor->finish(row);
    TransportRig rig({[&](ScriptedConnection& connection) {
      connection.read_header();
      body = connection.read_until(row);
      connection.send(http_response(200, ""));
      connection.wait_for_close();
    }});
    rig.client.raw_insert("t", row,
                          {.columns = many_columns(), .format = "TSV", .compression = codec});
    std::string_view in = body;
    std::string out(10'000, '\0');
    const auto decoder = Decompressor::make(codec);
    std::size_t size = 0;
    while (!in.empty()) size += decoder->decompress(in, out.data() + size, out.size() - size);
    out.resize(size);
    EXPECT_THAT(out, testing::StartsWith("INSERT INTO `t` (`column_0`"));
    EXPECT_THAT(out, EndsWith(") FORMAT TSV\n1\n"));
  }
}

// Only the URL is left for it.
TEST(InsertBody, ACodingWithoutFramesLeavesALongStatementInTheUrl) {
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_insert("t", "pretend",
                        {.columns = many_columns(), .format = "TSV", .compression = Codec::kBr});
  rig.pool.close_connections();
  EXPECT_THAT(parameter(rig.server.wait_ended(0).headers, "query"), HasSubstr("column_199"));
}

// The first connection answers one request and closes during the next.
std::vector<ScriptedServer::Script> stale_then(ScriptedServer::Script next) {
  return {[](ScriptedConnection& connection) {
            connection.read_request();
            connection.send(http_response(200, ""));
            connection.read_header();
          },
          std::move(next)};
}

TEST(InsertBody, AHalfReadSourceIsNeverSentAgain) {
  TransportRig rig(stale_then(answer_all(http_response(200, ""))));
  rig.client.raw_insert("t", "1\n", {.format = "TSV"});
  EXPECT_THROW(rig.client.raw_insert("t", PullSource(items({"1\n"})), with_token()), NetworkError);
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(InsertBody, ASourceThatCanBeginAgainIsSentAgainUnderItsToken) {
  ChunkedRequest seen;
  TransportRig rig(stale_then(seen.script()));
  rig.client.raw_insert("t", "1\n", {.format = "TSV"});
  const QuerySummary summary = rig.client.raw_insert("t", InsertBody::replayable([] {
                                                       return items({"1\n", "2\n"});
                                                     }),
                                                     with_token());
  EXPECT_TRUE(summary.repeated);
  EXPECT_EQ(seen.body, "4\r\n1\n2\n\r\n0\r\n\r\n");
}

TEST(InsertBody, AnAnswerInMidBodyEndsTheSource) {
  TransportRig rig({[](ScriptedConnection& connection) {
    connection.read_header();
    connection.read_bytes(1'000);
    connection.send(http_response(413, "too much", "Connection: close\r\n"));
    connection.wait_for_close();
  }});
  const std::string row(1u << 20, 'x');
  const auto error = thrown_by<ClickHouseError>([&] {
    rig.client.raw_insert("t", PullSource([&]() -> std::optional<std::string_view> { return row; }),
                          {.format = "TSV"});
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->http_status(), 413);
  EXPECT_THAT(error->message(), HasSubstr("too much"));
}

}  // namespace
}  // namespace millrace::test
