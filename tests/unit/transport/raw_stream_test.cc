// Results read piece by piece: what is handed out, how the end is proven, what a failure leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <istream>
#include <iterator>
#include <sstream>
#include <stop_token>
#include <thread>

#include "tests/support/files.h"
#include "tests/unit/transport/transport_rig.h"
#include "transport/compression.h"

namespace millrace::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = NetworkError::Kind;

constexpr char kTag[] = "abcdefghijklmnop";

std::string chunk(std::string_view bytes) {
  std::ostringstream size;
  size << std::hex << bytes.size();
  return size.str() + "\r\n" + std::string(bytes) + "\r\n";
}

std::string chunked_head(const std::string& headers = "") {
  return "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
         "chunked\r\nX-ClickHouse-Exception-Tag: " +
         std::string(kTag) + "\r\n" + headers + "\r\n";
}

std::string exception_frame(const std::string& message) {
  return "\r\n__exception__\r\n" + std::string(kTag) + "\r\n" + message +
         std::to_string(message.size()) + " " + kTag + "\r\n__exception__\r\n";
}

const std::string kMessage =
    "Code: 395. DB::Exception: it went wrong. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)\n";

std::string rest_of(RawStream& stream) {
  std::string all;
  while (const auto piece = stream.next_chunk()) all += *piece;
  return all;
}

// Sends the answer to a request and closes.
ScriptedServer::Script answer_and_close(std::string bytes) {
  return [bytes = std::move(bytes)](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(bytes);
  };
}

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

ClientOptions no_session() { return {.session_policy = ClickHouseSessionPolicy::kNone}; }

TEST(RawStream, HandsOutWhatComesBeforeTheEndIsThere) {
  Gate first_was_read;
  TransportRig rig({[&](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(chunked_head() + chunk("one"));
    if (!first_was_read.wait()) return;
    connection.send(chunk("two") + "0\r\n\r\n");
    connection.wait_for_close();
  }});
  RawStream stream = rig.client.raw_stream("SELECT 1");
  EXPECT_EQ(stream.next_chunk(), "one");
  first_was_read.open();
  EXPECT_EQ(stream.next_chunk(), "two");
  EXPECT_EQ(stream.next_chunk(), std::nullopt);
  EXPECT_EQ(rig.pool.stats().idle, 1u);
}

TEST(RawStream, IsOverWhenItsEndWasReported) {
  TransportRig rig({answer_all(http_response(200, "abc"))}, no_session());
  RawStream stream = rig.client.raw_stream("SELECT 1");
  EXPECT_EQ(rest_of(stream), "abc");
  EXPECT_THROW(stream.next_chunk(), StreamClosedError);
  EXPECT_THROW(stream.copy_to(std::cout), StreamClosedError);
  std::array<std::byte, 4> bytes;
  EXPECT_EQ(stream.read(bytes), 0u);  // read() may ask again, as read(2) does
  RawStream moved = rig.client.raw_stream("SELECT 1");
  const RawStream target = std::move(moved);
  // NOLINTNEXTLINE(bugprone-use-after-move): what it is about.
  EXPECT_THROW(moved.next_chunk(), StreamClosedError);
  RawStream closed = rig.client.raw_stream("SELECT 1");
  closed.close();
  EXPECT_THROW(closed.next_chunk(), StreamClosedError);
}

TEST(RawStream, ReadsIntoTheCallersMemory) {
  TransportRig rig({answer_all(http_response(200, "abcdefg"))});
  RawStream stream = rig.client.raw_stream("SELECT 1");
  std::string all;
  std::array<char, 3> bytes;
  while (const std::size_t n = stream.read(std::as_writable_bytes(std::span(bytes)))) {
    EXPECT_LE(n, bytes.size());
    all.append(bytes.data(), n);
  }
  EXPECT_EQ(all, "abcdefg");
}

struct Cut {
  const char* name;
  std::string bytes;
};
void PrintTo(const Cut& cut, std::ostream* out) { *out << cut.name; }
class CutStream : public testing::TestWithParam<Cut> {};

TEST_P(CutStream, IsAnErrorBehindTheDataAndLeavesNoFile) {
  TransportRig rig({answer_and_close(GetParam().bytes)}, no_session());
  RawStream stream = rig.client.raw_stream("SELECT 1");
  EXPECT_EQ(stream.next_chunk(), "abc");
  const auto error = thrown_by<NetworkError>([&] { stream.next_chunk(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTruncated) << error->what();
  EXPECT_FALSE(error->query_id().empty());
  EXPECT_EQ(rig.pool.stats().open, 0u);

  const TempDir folder("stream");
  const auto file = folder.path() / "result.csv";
  std::ofstream(file) << "old";
  for (const std::size_t ahead : {std::size_t{0}, RawStream::kReadAheadBytes}) {
    RawStream again = rig.client.raw_stream("SELECT 1");
    EXPECT_THROW(again.save_as(file, ahead), NetworkError) << ahead;
    EXPECT_EQ(content_of(file), "old") << ahead;
  }
  EXPECT_THAT(files_in(folder.path()), ElementsAre("result.csv"));
}

INSTANTIATE_TEST_SUITE_P(
    , CutStream,
    testing::Values(
        Cut{"in_a_chunk", chunked_head() + "5\r\nabc"},
        Cut{"between_chunks", chunked_head() + chunk("abc")},
        Cut{"in_the_last_chunk", chunked_head() + chunk("abc") + "0\r\n"},
        Cut{"length",
            "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 5\r\n\r\nabc"}),
    [](const auto& test) { return test.param.name; });

// Whatever reads, a failure that was told once is never the end the next time.
TEST_P(CutStream, FailsAtEveryLaterRead) {
  TransportRig rig({answer_and_close(GetParam().bytes)}, no_session());
  const TempDir folder("stream");
  const auto file = folder.path() / "result.csv";
  std::ofstream(file) << "old";
  std::array<std::byte, 8> bytes;
  std::ostringstream out;
  const std::vector<std::function<void(RawStream&)>> readers{
      [](RawStream& stream) { stream.next_chunk(); },
      [&](RawStream& stream) { stream.read(bytes); },
      [&](RawStream& stream) { stream.copy_to(out); },
      [&](RawStream& stream) { stream.copy_to(out, RawStream::kReadAheadBytes); },
      [&](RawStream& stream) { stream.save_as(file); },
      [](RawStream& stream) {
        stream.istream().clear();
        stream.istream().get();
      }};
  for (const auto& first : readers) {
    RawStream stream = rig.client.raw_stream("SELECT 1");
    const auto read_all = [&] {
      for (;;) first(stream);
    };
    EXPECT_TRUE(thrown_by<NetworkError>(read_all));
    for (const auto& later : readers) {
      EXPECT_TRUE(thrown_by<NetworkError>([&] { later(stream); }));
    }
  }
  EXPECT_EQ(content_of(file), "old");
}

TEST(RawStream, AnExceptionBehindTheDataIsThrown) {
  for (const bool whole : {true, false}) {
    std::string bytes = chunked_head() + chunk("abc") + chunk(exception_frame(kMessage));
    if (whole) bytes += "0\r\n\r\n";  // as behind a proxy; the server itself closes
    TransportRig rig({answer_and_close(bytes)});
    RawStream stream = rig.client.raw_stream("SELECT 1", {.query_id = "q1"});
    EXPECT_EQ(stream.next_chunk(), "abc");
    const auto error = thrown_by<ClickHouseError>([&] { stream.next_chunk(); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), 395);
    EXPECT_EQ(error->name(), "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO");
    EXPECT_EQ(error->http_status(), 200);
    EXPECT_EQ(error->query_id(), "q1");
    EXPECT_THAT(error->message(), HasSubstr("it went wrong"));
    EXPECT_EQ(rig.pool.stats().open, 0u);
  }
}

TEST(RawStream, AnExceptionInACompressedBodyIsFound) {
  for (const Codec codec : {Codec::kGzip, Codec::kZstd, Codec::kLz4, Codec::kDeflate}) {
    const auto compressor = Compressor::make(codec);
    std::string body;
    compressor->compress("abc" + exception_frame(kMessage), body);
    compressor->finish(body);
    TransportRig rig({answer_and_close(
        chunked_head("Content-Encoding: " + std::string(content_coding(codec)) + "\r\n") +
        chunk(body) + "0\r\n\r\n")});
    RawStream stream = rig.client.raw_stream("SELECT 1", {.accept = codec});
    EXPECT_EQ(stream.next_chunk(), "abc");
    const auto error = thrown_by<ClickHouseError>([&] { stream.next_chunk(); });
    ASSERT_TRUE(error) << content_coding(codec);
    EXPECT_EQ(error->code(), 395);
  }
}

TEST(RawStream, ACompressedBodyWithoutItsEndIsCut) {
  const auto compressor = Compressor::make(Codec::kZstd);
  std::string body;
  compressor->compress(std::string(100'000, 'x') + "end", body);
  compressor->finish(body);
  body.resize(body.size() - 3);
  TransportRig rig({answer_all(http_response(200, body, "Content-Encoding: zstd\r\n"))});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1", {.accept = Codec::kZstd}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTruncated);
}

TEST(RawStream, ACodingNobodyKnowsIsRefused) {
  TransportRig rig({answer_all(http_response(200, "abc", "Content-Encoding: br\r\n"))});
  const auto error = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kProtocol);
  EXPECT_EQ(rig.pool.stats().open, 0u);
}

TEST(RawStream, FailsAtOnceWhenTheHeaderSaysSo) {
  TransportRig rig(
      {answer_all(http_response(200, kMessage, "X-ClickHouse-Exception-Code: 395\r\n"))});
  const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_stream("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 395);
  EXPECT_EQ(error->http_status(), 200);
}

TEST(RawStream, LivesLongerThanItsClient) {
  TransportRig rig({answer_all(http_response(200, "abc"))});
  std::optional<Client> client(std::in_place, ClientOptions{}, rig.endpoints, rig.pool);
  RawStream stream = client->raw_stream("SELECT 1");
  client.reset();
  EXPECT_EQ(rest_of(stream), "abc");
}

TEST(RawStream, GivenUpEarlyClosesItsConnection) {
  TransportRig rig({[](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(chunked_head() + chunk("abc"));
    connection.wait_for_close();
  }});
  {
    RawStream stream = rig.client.raw_stream("SELECT 1");
    EXPECT_EQ(stream.next_chunk(), "abc");
  }
  EXPECT_TRUE(rig.server.wait_ended(0).client_closed);
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kFailed), 1u);
}

// A stream whose server sent "abc" and keeps silent.
struct SilentStream {
  TransportRig rig{{[](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(chunked_head() + chunk("abc"));
    connection.wait_for_close();
  }}};
  std::stop_source stop;
  RawStream stream = rig.client.raw_stream("SELECT 1", {.stop = stop.get_token()});
};

TEST(RawStream, AStopTokenEndsAReadThatWaits) {
  SilentStream silent;
  const std::string before = silent.rig.client.session_id();
  EXPECT_EQ(silent.stream.next_chunk(), "abc");
  std::thread stopper([&] { silent.stop.request_stop(); });
  EXPECT_THROW(silent.stream.next_chunk(), AbortedError);
  stopper.join();
  EXPECT_EQ(silent.rig.pool.stats().open, 0u);
  EXPECT_NE(silent.rig.client.session_id(), before);  // the server may still be at work in it
}

TEST(RawStream, AnotherThreadCanCancel) {
  SilentStream silent;
  EXPECT_EQ(silent.stream.next_chunk(), "abc");
  std::thread canceller([&] { silent.stream.cancel(); });
  EXPECT_THROW(silent.stream.next_chunk(), NetworkError);
  canceller.join();
}

TEST(RawStream, ClosedWhileAnotherThreadReadsEndsThatRead) {
  SilentStream silent;
  EXPECT_EQ(silent.stream.next_chunk(), "abc");
  std::thread closer([&] { silent.stream.close(); });
  EXPECT_THROW(silent.stream.next_chunk(), Error);  // StreamClosedError if it came first
  closer.join();
  EXPECT_THROW(silent.stream.next_chunk(), Error);
}

// Its own writer, here: what it was given must not go away under it.
TEST(RawStream, ClosedByItsOwnWriterFails) {
  SilentStream silent;
  const TempDir folder("stream");
  EXPECT_THROW(silent.stream.save_as(folder.path() / "x", 0, [&](auto) { silent.stream.close(); }),
               NetworkError);
  EXPECT_THAT(files_in(folder.path()), ElementsAre());
}

TEST(RawStream, TwoReadersAtOnceAreReported) {
  SilentStream silent;
  std::optional<std::string> what;
  silent.stream.next_chunk();
  // Whoever comes second gets the error and frees the first, who waits.
  const auto read = [&] {
    try {
      silent.stream.next_chunk();
    } catch (const UsageError& e) {
      what = e.what();
      silent.stream.cancel();
    } catch (const NetworkError&) {
    }
  };
  std::thread reader(read);
  read();
  reader.join();
  ASSERT_TRUE(what);
  EXPECT_THAT(*what, HasSubstr("two threads at once"));
}

TEST(RawStream, AsAStandardStreamItThrowsInsteadOfEndingEarly) {
  TransportRig rig(
      {answer_all(http_response(200, "1\n2\n")), answer_and_close(chunked_head() + chunk("1\n2"))},
      no_session());
  RawStream good = rig.client.raw_stream("SELECT 1");
  std::string line;
  std::vector<std::string> lines;
  while (std::getline(good.istream(), line)) lines.push_back(line);
  EXPECT_THAT(lines, ElementsAre("1", "2"));
  rig.pool.close_connections();
  RawStream cut = rig.client.raw_stream("SELECT 1");
  EXPECT_TRUE(std::getline(cut.istream(), line));
  EXPECT_THROW(std::getline(cut.istream(), line), NetworkError);
}

TEST(RawStream, IsSavedWithAndWithoutReadingAhead) {
  std::string result;
  for (int i = 0; result.size() < (3u << 20); ++i) result += std::to_string(i) + "\n";
  TransportRig rig({answer_all(http_response(200, result))});
  const TempDir folder("stream");
  const auto file = folder.path() / "result.csv";
  for (const std::size_t ahead : {std::size_t{0}, std::size_t{1000}, std::size_t{1} << 20}) {
    EXPECT_EQ(rig.client.raw_stream("SELECT 1").save_as(file, ahead), result.size());
    EXPECT_TRUE(content_of(file) == result) << ahead;
  }
  EXPECT_THAT(files_in(folder.path()), ElementsAre("result.csv"));
}

TEST(RawStream, IsSavedCompressedIfSoWanted) {
  TransportRig rig({answer_all(http_response(200, "abc"))});
  const TempDir folder("stream");
  const auto file = folder.path() / "result.csv.gz";
  EXPECT_EQ(rig.client.raw_stream("SELECT 1").save_as(file, 0, {}, Codec::kGzip), 3u);
  std::string packed = content_of(file), plain(10, '\0');
  std::string_view left = packed;
  const auto decompressor = Decompressor::make(Codec::kGzip);
  plain.resize(decompressor->decompress(left, plain.data(), plain.size()));
  EXPECT_EQ(plain, "abc");
}

TEST(RawStream, IsWrittenIntoADeviceOrPipeThatIsThere) {
  TransportRig rig({answer_all(http_response(200, "abc"))});
  const TempDir folder("stream");
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = content_of(pipe); });
  EXPECT_EQ(rig.client.raw_stream("SELECT 1").save_as(pipe), 3u);
  reader.join();
  EXPECT_EQ(got, "abc");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_THAT(files_in(folder.path()), ElementsAre("pipe"));
}

TEST(RawStream, IsSavedWhereALinkLeads) {
  TransportRig rig({answer_all(http_response(200, "abc"))});
  const TempDir folder("stream");
  const auto file = folder.path() / "file", link = folder.path() / "link";
  std::ofstream(file) << "old";
  std::filesystem::create_symlink("file", link);
  rig.client.raw_stream("SELECT 1").save_as(link);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(content_of(file), "abc");
}

TEST(RawStream, AWriterThatFailsEndsTheRead) {
  TransportRig rig({[](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(chunked_head() + chunk("abc"));
    connection.wait_for_close();
  }});
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  for (const std::size_t ahead : {std::size_t{1} << 20, std::size_t{0}}) {
    RawStream stream = rig.client.raw_stream("SELECT 1");
    EXPECT_THROW(stream.copy_to(out, ahead), FileError);
    EXPECT_THROW(stream.next_chunk(), FileError) << "a piece was lost";
  }
  RawStream nowhere = rig.client.raw_stream("SELECT 1");
  EXPECT_THROW(nowhere.save_as("/nonexistent/folder/x"), FileError);
}

TEST(RawStream, TellsProgressAsTheServerDoes) {
  std::string headers;
  for (int i = 1; i <= 130; ++i) {
    headers += "X-ClickHouse-Progress: {\"read_rows\":\"" + std::to_string(i) +
               "\",\"total_rows_to_read\":\"130\"}\r\n";
  }
  headers += "X-Long: " + std::string(9'000, 'x') + "\r\n";
  TransportRig rig({answer_all(http_response(200, "abc", headers))});
  std::vector<std::uint64_t> rows;
  const auto note = [&](const Progress& progress) {
    rows.push_back(progress.read_rows);
    EXPECT_EQ(progress.total_rows_to_read, 130u);
  };
  RawStream stream = rig.client.raw_stream("SELECT 1", {.on_progress = note});
  EXPECT_EQ(rest_of(stream), "abc");
  ASSERT_EQ(rows.size(), 130u);
  EXPECT_EQ(rows.back(), 130u);
}

TEST(RawStream, TellsTheQueryIdAndTheHeaders) {
  TransportRig rig({answer_all(http_response(
                       200, "abc",
                       "X-ClickHouse-Query-Id: q7\r\nX-ClickHouse-Format: CSV\r\n"
                       "X-ClickHouse-Summary: {\"read_rows\":\"3\",\"elapsed_ns\":\"17\"}\r\n"))},
                   no_session());
  RawStream stream = rig.client.raw_stream("SELECT 1");
  EXPECT_EQ(stream.query_id(), "q7");
  EXPECT_EQ(stream.headers().at("X-ClickHouse-Format"), "CSV");
  EXPECT_EQ(stream.summary().read_rows, 3u);
  QuerySummary summary;
  rig.client.raw_query("SELECT 1", {.summary = &summary});
  EXPECT_EQ(summary.query_id, "q7");
}

}  // namespace
}  // namespace millrace::test
