// Responses that are cut, endless, malformed, or errors in disguise: never a success, never stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = NetworkError::Kind;

// Reads the request, sends `bytes` as the answer, and closes.
ScriptedServer::Script answer_and_close(std::string bytes) {
  return [bytes = std::move(bytes)](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(bytes);
  };
}

// The same, but the connection stays open and silent.
ScriptedServer::Script answer_and_stall(std::string bytes) {
  return [bytes = std::move(bytes)](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(bytes);
    connection.wait_for_close();
  };
}

struct BrokenResponse {
  const char* name;
  const char* bytes;
  Kind kind;
};
void PrintTo(const BrokenResponse& response, std::ostream* out) { *out << response.name; }

class CutResponse : public testing::TestWithParam<BrokenResponse> {};

TEST_P(CutResponse, IsNeitherSuccessNorStored) {
  TransportRig rig({answer_and_close(GetParam().bytes)});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(to_string(error->kind()), to_string(GetParam().kind)) << error->what();
  EXPECT_TRUE(error->may_have_been_applied());
  EXPECT_EQ(rig.pool.stats().open, 0u);
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kFailed), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    , CutResponse,
    testing::Values(
        BrokenResponse{
            "length",
            "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 10\r\n\r\nabc",
            Kind::kTruncated},
        BrokenResponse{"chunk",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n5\r\nabc",
                       Kind::kTruncated},
        BrokenResponse{"last_chunk",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n3\r\nabc\r\n",
                       Kind::kTruncated},
        BrokenResponse{"end_of_last_chunk",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n3\r\nabc\r\n0\r\n",
                       Kind::kTruncated},
        BrokenResponse{"malformed_chunk",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
                       "chunked\r\n\r\nxyz\r\nabc\r\n0\r\n",
                       Kind::kProtocol},
        BrokenResponse{"overlong_chunk",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
                       Kind::kProtocol},
        BrokenResponse{"status_line", "HTTP/1.1 20", Kind::kTruncated},
        // A header that says Content-Length: 0 and breaks off before an exception header.
        BrokenResponse{"header",
                       "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 0\r\n",
                       Kind::kTruncated},
        BrokenResponse{"no_framing", "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\n\r\nabc",
                       Kind::kTruncated},
        BrokenResponse{
            "trailing_bytes",
            "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 2\r\n\r\nokMORE",
            Kind::kProtocol},
        BrokenResponse{
            "bad_length",
            "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: -2\r\n\r\nok",
            Kind::kProtocol},
        BrokenResponse{"not_http", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Kind::kProtocol}),
    [](const auto& test) { return test.param.name; });

TEST(StalledResponse, EndsAtTheDeadlineWithTheBodyUnfinished) {
  const std::string head = "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\n";
  for (const std::string& bytes :
       {std::string(), head + "Content-", head + "\r\n", head + "Content-Length: 10\r\n\r\nabc",
        head + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"}) {
    TransportRig rig({answer_and_stall(bytes)}, with_request_timeout(milliseconds(1000)));
    const auto error =
        thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::kTimeout) << bytes << ": " << error->what();
    EXPECT_EQ(rig.pool.stats().open, 0u);
  }
}

// Each byte comes in time; only a deadline for the whole ends this. A server that drips on until
// the client closes would otherwise be waited for.
TEST(DrippingResponse, EndsAtTheDeadlineInTheHeader) {
  TransportRig rig({[](auto& connection) {
                     connection.read_request();
                     connection.send("HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nX-Drip: ");
                     connection.send_dripping(std::string(5000, 'x'), milliseconds(5));
                   }},
                   with_request_timeout(milliseconds(200)));
  const auto error = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTimeout) << error->what();
  EXPECT_TRUE(rig.server.wait_ended(0).client_closed);
}

TEST(DrippingResponse, EndsAtTheDeadlineInTheBody) {
  TransportRig rig(
      {[](auto& connection) {
        connection.read_request();
        connection.send(
            "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 5000\r\n\r\n");
        connection.send_dripping(std::string(5000, 'x'), milliseconds(5));
      }},
      with_request_timeout(milliseconds(200)));
  const auto error = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTimeout) << error->what();
  EXPECT_TRUE(rig.server.wait_ended(0).client_closed);
}

// There is always something to read, so no receive ever waits.
TEST(FloodingResponse, EndsAtTheDeadline) {
  TransportRig rig({[](auto& connection) {
                     connection.read_request();
                     std::string interim;
                     for (int i = 0; i < 1000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
                     const auto until = std::chrono::steady_clock::now() + kScriptPatience;
                     while (std::chrono::steady_clock::now() < until) connection.send(interim);
                   }},
                   with_request_timeout(milliseconds(200)));
  const auto error = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTimeout) << error->what();
}

TEST(UnusualResponse, OfManyHeaderFieldsIsRead) {
  std::string headers;
  for (int i = 0; i < 158; ++i) headers += "X-ClickHouse-Progress: {\"read_rows\":\"1\"}\r\n";
  TransportRig rig({answer_all(http_response(200, "", headers))});
  EXPECT_NO_THROW(rig.client.raw_insert("t", "{}", with_token()));
  EXPECT_NO_THROW(rig.client.raw_insert("t", "{}", with_token()));
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(UnusualResponse, OfALongHeaderValueIsRead) {
  TransportRig rig(
      {answer_all(http_response(200, "", "X-Long: " + std::string(9000, 'x') + "\r\n"))});
  EXPECT_NO_THROW(rig.client.raw_insert("t", "{}", with_token()));
}

TEST(UnusualResponse, WithAHeaderWithoutAnEndIsAnUnknownOutcome) {
  std::string line = "X-Long: " + std::string(9u << 20, 'x') + "\r\n";
  TransportRig rig({answer_all(http_response(200, "", line))});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kProtocol) << error->what();
  EXPECT_TRUE(error->may_have_been_applied());
  EXPECT_EQ(rig.pool.stats().open, 0u);
}

TEST(UnusualResponse, InterimAnswersAreSkipped) {
  TransportRig rig(
      {answer_all("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                  "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                  "Link: </x>\r\n\r\n" +
                  http_response(200, "1\n"))});
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(UnusualResponse, ChunksWithExtensionsAndTrailersAreRead) {
  TransportRig rig({answer_all(
      "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;name=value\r\nabc\r\n2\r\n\xff\n\r\n0\r\nX-Trailer: y\r\n\r\n")});
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "abc\xff\n");
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "abc\xff\n");
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(UnusualResponse, LongerThanTheLimitIsRefusedAndNotRead) {
  ClientOptions options;
  options.max_response_bytes = 1000;
  TransportRig rig({answer_all(http_response(200, std::string(1001, 'x')))}, options);
  const auto error = thrown_by<ResultTooLargeError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_NE(error->disposition(), Disposition::kRetry) << "it would be as long again";
  EXPECT_THAT(error->what(), HasSubstr("1000 bytes (max_response_bytes)"));
  EXPECT_THAT(error->what(), HasSubstr("raw_stream"));
  EXPECT_EQ(rig.pool.stats().idle, 0u);
}

TEST(UnusualResponse, InACodingThatIsNotDecodedIsNamedWithItsStatus) {
  for (const int status : {200, 500}) {
    TransportRig rig({answer_all(http_response(status, "x", "Content-Encoding: br\r\n"))});
    const auto error = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
    ASSERT_TRUE(error);
    EXPECT_THAT(error->what(), HasSubstr("HTTP " + std::to_string(status)));
    EXPECT_THAT(error->what(), HasSubstr("coded as br"));
  }
  TransportRig rig({answer_all(http_response(200, "x"))});
  const auto mistake =
      thrown_by<UsageError>([&] { rig.client.raw_query("SELECT 1", {.accept = "snappy"}); });
  ASSERT_TRUE(mistake);
  EXPECT_THAT(mistake->what(), HasSubstr("snappy"));
}

TEST(UnusualResponse, ARedirectIsNotFollowedAndItsLocationNamed) {
  for (const int status : {301, 302, 307, 308}) {
    TransportRig rig(
        {answer_all(http_response(status, "moved", "Location: https://other:8443/\r\n"))});
    const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query("SELECT 1"); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->http_status(), status);
    EXPECT_THAT(error->what(), HasSubstr("https://other:8443/"));
    EXPECT_THAT(error->what(), HasSubstr("not followed"));
  }
}

TEST(ErrorInDisguise, AnExceptionHeaderOn200IsTheFailureOfThatCode) {
  TransportRig rig({answer_all(http_response(200, "Code: 395. DB::Exception: thrown. (FUNCTION)",
                                             "X-ClickHouse-Exception-Code: 395\r\n"))});
  const auto error =
      thrown_by<ClickHouseError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 395);
  EXPECT_EQ(rig.pool.stats().open, 0u) << "a late error leaves a connection nobody can trust";
}

TEST(ErrorInDisguise, AnExceptionAtTheEndOfACutResultIsFound) {
  const std::string frame =
      "\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 395. DB::Exception: too late. (FUNCTION)\n"
      "48 abcdefghijklmnop\r\n__exception__\r\n";
  TransportRig rig({answer_and_close(
      "HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nTransfer-Encoding: chunked\r\n"
      "X-ClickHouse-Exception-Tag: abcdefghijklmnop\r\n\r\n"
      "2\r\n1\n\r\nff\r\n" +
      frame)});
  const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 395);
  EXPECT_EQ(error->details().message, "Code: 395. DB::Exception: too late. (FUNCTION)");
}

TEST(ErrorInDisguise, ACutErrorTextDoesNotHideTheStatus) {
  TransportRig rig(
      {answer_and_close("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nCode: 202. x")});
  const auto error =
      thrown_by<ClickHouseError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 202);
  EXPECT_EQ(error->details().http_status, 503);
  EXPECT_EQ(rig.pool.stats().open, 0u);
}

}  // namespace
}  // namespace millrace::test
