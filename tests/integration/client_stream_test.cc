// Streamed results of a real server: files, bounded memory, failures on the way, cancelling.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>

#include "tests/integration/clickhouse_only.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

constexpr const char* kEndless = "SELECT number FROM system.numbers";
// A server of many cores would fail before it has sent the first row.
constexpr const char* kInSmallSteps =
    " SETTINGS max_threads = 1, output_format_parallel_formatting = 0, max_block_size = 8192";

class ClientStream : public WithClickHouse {
 protected:
  static RawStream endless(const std::string& id, std::stop_token stop = {}) {
    return client().raw_stream(kEndless, {.query_id = id, .stop = std::move(stop)});
  }
};

// From /proc/self/status.
std::size_t memory_kib(const std::string& field) {
  std::istringstream status(read_file("/proc/self/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoul(line.substr(field.size() + 1));
  }
  return 0;
}

// Which files a folder holds, so that nothing is left beside a result.
std::size_t files_beside(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(file.parent_path())) {
    if (entry.path().filename().string().starts_with(name)) ++found;
  }
  return found;
}

TEST_F(ClientStream, SaveAsWritesTheDocumentedCsvFile) {
  const auto output = file("output.csv");
  const auto bytes =
      client()
          .raw_stream(
              "SELECT number, toString(number) AS number_as_str FROM system.numbers LIMIT 5",
              {.format = "CSVWithNames"})
          .save_as(output);
  const std::string expected =
      "\"number\",\"number_as_str\"\n0,\"0\"\n1,\"1\"\n2,\"2\"\n3,\"3\"\n4,\"4\"\n";
  EXPECT_EQ(read_file(output), expected);
  EXPECT_EQ(bytes, expected.size());
  EXPECT_EQ(files_beside(output), 1u);
}

TEST_F(ClientStream, ResultOfManyMegabytesTakesLittleMemory) {
  Client client = this->client();
  std::size_t bytes = 0;
  client.raw_query("SELECT 1");  // what the first query takes is not the stream's
  const std::size_t before = memory_kib("VmRSS");
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM begins anew
  ASSERT_LT(memory_kib("VmHWM"), before + 4096);
  RawStream stream = client.raw_stream(
      "SELECT number, randomPrintableASCII(120) FROM numbers(1000000)", {.format = "RowBinary"});
  while (const auto piece = stream.next_chunk()) bytes += piece->size();
  EXPECT_EQ(bytes, std::size_t{1000000} * (8 + 1 + 120));
  EXPECT_LT(memory_kib("VmHWM"), before + 32L * 1024);
}

TEST_F(ClientStream, EveryWayOfReadingGivesTheWholeResult) {
  Client client = this->client();
  const std::string sql = "SELECT number FROM numbers(200000)";
  const std::string whole = client.raw_query(sql);
  std::ostringstream copied, copied_ahead, streamed;
  EXPECT_EQ(client.raw_stream(sql).copy_to(copied), whole.size());
  EXPECT_EQ(copied.str(), whole);
  client.raw_stream(sql).copy_to(copied_ahead, 1u << 20);
  EXPECT_EQ(copied_ahead.str(), whole);
  RawStream as_istream = client.raw_stream(sql);
  streamed << as_istream.istream().rdbuf();
  EXPECT_EQ(streamed.str(), whole);

  RawStream by_bytes = client.raw_stream(sql);
  std::array<std::byte, 1000> buffer{};
  std::string read;
  while (const std::size_t size = by_bytes.read(buffer)) {
    read.append(reinterpret_cast<const char*>(buffer.data()), size);
  }
  EXPECT_EQ(read, whole);
}

TEST_F(ClientStream, SecondReadingIsRefused) {
  Client client = this->client();
  std::ostringstream out;
  RawStream stream = client.raw_stream("SELECT 1");
  stream.copy_to(out);
  EXPECT_THROW(stream.next_chunk(), StreamClosedError);
  EXPECT_THROW(stream.copy_to(out), StreamClosedError);
  RawStream closed = client.raw_stream("SELECT 1");
  closed.close();
  EXPECT_THROW(closed.next_chunk(), StreamClosedError);
}

TEST_F(ClientStream, NamesItsQueryAndHeaders) {
  RawStream stream =
      client().raw_stream("SELECT 1", {.format = "JSONEachRow", .query_id = "my-stream"});
  EXPECT_EQ(stream.query_id(), "my-stream");
  EXPECT_EQ(stream.summary().query_id, "my-stream");
  EXPECT_EQ(stream.headers().at("X-ClickHouse-Format"), "JSONEachRow");
}

// How a stream travels; the server's exception lies inside of the coded bytes.
class CodedStream : public ClientStream, public testing::WithParamInterface<Codec> {};

TEST_P(CodedStream, IsDecoded) {
  const std::string sql = "SELECT number, hex(sipHash64(number)) FROM numbers(300000)";
  Client client = this->client();
  std::ostringstream out;
  RawStream stream = client.raw_stream(sql, {.accept = GetParam()});
  EXPECT_EQ(stream.headers().contains("Content-Encoding"), GetParam() != Codec::kNone);
  stream.copy_to(out);
  EXPECT_TRUE(out.str() == client.raw_query(sql));
}

TEST_P(CodedStream, FailureOnTheWayIsAnErrorWithItsCodeAndLeavesNoFile) {
  Client client = this->client();
  const auto output = file("half.tsv");
  write_file(output, "of before");
  RawStream stream = client.raw_stream(
      "SELECT throwIf(number = 300000, 'no more of it'), randomPrintableASCII(30) "
      "FROM system.numbers" +
          std::string(kInSmallSteps),
      {.query_id = "failing-" + std::string(content_coding(GetParam())), .accept = GetParam()});
  std::size_t seen = 0;
  const auto error = thrown_by<ClickHouseError>([&] {
    stream.save_as(output, RawStream::kReadAheadBytes,
                   [&](std::string_view piece) { seen += piece.size(); });
  });
  EXPECT_GT(seen, 1000000u);
  EXPECT_EQ(error.code(), 395);
  EXPECT_EQ(error.name(), "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO");
  EXPECT_EQ(error.query_id(), stream.query_id());
  EXPECT_NE(error.message().find("no more of it"), std::string::npos) << error.message();
  EXPECT_EQ(read_file(output), "of before");
  EXPECT_EQ(files_beside(output), 1u);
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

// Rows that shrink to less than what the server holds back: it still answers 500, with the rows.
TEST_P(CodedStream, ErrorBehindMegabytesOfRowsIsFound) {
  const auto error = thrown_by<ClickHouseError>([] {
    client()
        .raw_stream("SELECT throwIf(number = 3000000) FROM system.numbers", {.accept = GetParam()})
        .save_as(file("half"));
  });
  EXPECT_EQ(error.code(), 395);
  EXPECT_EQ(error.name(), "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO");
  EXPECT_TRUE(error.message().starts_with("Code: 395")) << error.message();
  EXPECT_FALSE(std::filesystem::exists(file("half")));
}

TEST_P(CodedStream, ErrorBeforeTheFirstByteKeepsItsStatus) {
  const auto error = thrown_by<ClickHouseError>(
      [] { client().raw_stream("SELECT * FROM nowhere", {.accept = GetParam()}); });
  EXPECT_EQ(error.code(), 60);
  EXPECT_EQ(error.name(), "UNKNOWN_TABLE");
  EXPECT_EQ(error.http_status(), 404);
}

INSTANTIATE_TEST_SUITE_P(AllCodecs, CodedStream,
                         testing::Values(Codec::kNone, Codec::kGzip, Codec::kDeflate, Codec::kZstd,
                                         Codec::kLz4),
                         [](const auto& codec) {
                           const std::string name(content_coding(codec.param));
                           return name.empty() ? "plain" : name;
                         });

TEST_F(ClientStream, FailureReachesTheReaderOfAnIstream) {
  RawStream stream = client().raw_stream("SELECT throwIf(number = 1000000) FROM system.numbers" +
                                         std::string(kInSmallSteps));
  const auto read_lines = [&] {
    for (std::string line; std::getline(stream.istream(), line);) {
    }
  };
  EXPECT_EQ(thrown_by<ClickHouseError>(read_lines).code(), 395);
}

TEST_F(ClientStream, ErrorBehindStatus200IsAnError) {
  Client client = this->client();
  const auto error = thrown_by<ClickHouseError>([&] {
    client.raw_query(
        "SELECT sleepEachRow(0.05), throwIf(number = 8) FROM numbers(10) SETTINGS max_block_size=1",
        {.settings = {{"send_progress_in_http_headers", "1"},
                      {"http_headers_progress_interval_ms", "10"},
                      {"wait_end_of_query", "1"}}});
  });
  EXPECT_EQ(error.code(), 395);
  EXPECT_EQ(error.http_status(), 200);
}

TEST_F(ClientStream, DroppedStreamEndsTheQuery) {
  {
    const RawStream stream = endless("dropped");
    ASSERT_TRUE(runs("dropped"));
  }
  EXPECT_TRUE(vanishes("dropped"));
}

TEST_F(ClientStream, ClosedStreamEndsTheQuery) {
  RawStream stream = endless("closed");
  ASSERT_TRUE(stream.next_chunk());
  ASSERT_TRUE(runs("closed"));
  stream.close();
  EXPECT_TRUE(vanishes("closed"));
}

TEST_F(ClientStream, CancelByAnotherThreadEndsTheQueryAndTheReader) {
  RawStream stream = endless("cancelled");
  ASSERT_TRUE(runs("cancelled"));
  std::jthread other([&] { stream.cancel(); });
  const auto read_on = [&] {
    while (stream.next_chunk()) {
    }
  };
  EXPECT_THROW(read_on(), TransportError);
  EXPECT_TRUE(vanishes("cancelled"));
}

TEST_F(ClientStream, StopTokenEndsTheQueryAndTheReader) {
  std::stop_source stop;
  RawStream stream = endless("stopped", stop.get_token());
  ASSERT_TRUE(stream.next_chunk());
  ASSERT_TRUE(runs("stopped"));
  stop.request_stop();
  const auto read_on = [&] {
    while (stream.next_chunk()) {
    }
  };
  EXPECT_THROW(read_on(), AbortedError);
  EXPECT_TRUE(vanishes("stopped"));
}

TEST_F(ClientStream, StopTokenEndsAQueryThatHasNotAnsweredYet) {
  Client client = this->client();
  std::stop_source stop;
  std::jthread other([&] {
    EXPECT_TRUE(eventually([] { return runs("silent"); }, kPatience, "the query runs"));
    stop.request_stop();
  });
  EXPECT_THROW(client.raw_stream("SELECT count() FROM system.numbers",
                                 {.query_id = "silent", .stop = stop.get_token()}),
               AbortedError);
  other.join();
  EXPECT_TRUE(vanishes("silent"));
}

}  // namespace
}  // namespace millrace::test
