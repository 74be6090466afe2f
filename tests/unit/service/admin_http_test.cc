#include "service/admin_http.h"

#include <gmock/gmock.h>

namespace millrace {
namespace {

using State = RequestReader::State;
using testing::HasSubstr;

State read(RequestReader& reader, std::string_view text) { return reader.add(text); }

int refusal_of(const std::string& text) {
  RequestReader reader;
  return reader.add(text) == State::kRefused ? reader.refusal().status : 0;
}

TEST(RequestReader, ARequestMayComeInAnyPieces) {
  const std::string text =
      "GET /log-level?level=debug HTTP/1.1\r\nHost: a:1\r\nACCEPT-Encoding: \t gzip \r\nX: 1\r\n"
      "X: 2\r\n\r\n";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    RequestReader reader;
    for (std::size_t at = 0; at < text.size(); at += size) {
      const bool last = at + size >= text.size();
      EXPECT_EQ(read(reader, std::string_view(text).substr(at, size)),
                last ? State::kComplete : State::kReading);
    }
    const AdminRequest& request = reader.request();
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.uri, "/log-level?level=debug");
    EXPECT_EQ(request.path(), "/log-level");
    EXPECT_EQ(request.header("host"), "a:1");
    EXPECT_EQ(request.header("accept-encoding"), "gzip");
    EXPECT_EQ(request.header("x"), "1, 2");
    EXPECT_EQ(request.header("origin"), "");
  }
}

TEST(RequestReader, ABodyIsAwaitedAndThrownAway) {
  RequestReader reader;
  EXPECT_EQ(read(reader, "POST /drain HTTP/1.0\r\nContent-Length: 5\r\n\r\nab"), State::kReading);
  EXPECT_EQ(read(reader, "cd"), State::kReading);
  EXPECT_EQ(read(reader, "e and what follows"), State::kComplete);
  EXPECT_EQ(read(reader, "GET"), State::kComplete);
}

TEST(RequestReader, WhatIsNoRequestIsRefused) {
  const std::string get = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(refusal_of("\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET /\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1 x\r\n\r\n"), 505);
  EXPECT_EQ(refusal_of("GET / HTTP/2\r\n\r\n"), 505);
  EXPECT_EQ(refusal_of("G\x1bT / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "no colon\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Host : a\r\n\r\n"), 400) << "a space before the colon";
  EXPECT_EQ(refusal_of(get + "X: a\x01\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Host: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Content-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Content-Length: \r\n\r\n"), 400);
  EXPECT_EQ(refusal_of(get + "Content-Length: 65537\r\n\r\n"), 413);
  EXPECT_EQ(refusal_of(get + "Content-Length: 99999999999999999999\r\n\r\n"), 413);
  EXPECT_EQ(refusal_of(get + "Transfer-Encoding: chunked\r\n\r\n"), 411);
  EXPECT_EQ(refusal_of(get + "Content-Length: 65536\r\n\r\n"), 0);
}

TEST(RequestReader, AHeadThatDoesNotEndIsRefusedInBoundedMemory) {
  EXPECT_EQ(refusal_of(std::string(1 << 20, 'x')), 431);
  RequestReader reader;
  std::size_t bytes = 0;
  while (read(reader, "GET / x") == State::kReading) bytes += 7;
  EXPECT_EQ(reader.refusal().status, 431);
  EXPECT_LE(bytes, RequestReader::kMostHeadBytes + 8);
}

TEST(AdminHttp, AResponseHasItsHeadersAndHeadNoBody) {
  const Reply reply{.status = 405, .body = "no\n", .headers = {{"Allow", "GET"}}};
  const std::string bytes = to_bytes(reply, "GET");
  EXPECT_THAT(bytes, testing::StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(bytes, HasSubstr("\r\nContent-Length: 3\r\n"));
  EXPECT_THAT(bytes, HasSubstr("\r\nAllow: GET\r\n"));
  EXPECT_THAT(bytes, testing::EndsWith("\r\n\r\nno\n"));
  EXPECT_THAT(to_bytes(reply, "HEAD"), testing::EndsWith("Allow: GET\r\n\r\n"));
}

TEST(AdminHttp, GzipIsForThoseWhoTakeIt) {
  for (const char* yes : {"gzip", "GZIP", "deflate, gzip", "gzip;q=0.1", "*", "br;q=1, *;q=0.5",
                          "identity;q=0, x-gzip"})
    EXPECT_TRUE(takes_gzip(yes)) << yes;
  for (const char* no : {"", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "gzip;q=0, *", "br"})
    EXPECT_FALSE(takes_gzip(no)) << no;
  Reply small{.body = "up 1\n"};
  AdminRequest request;
  request.headers["accept-encoding"] = "gzip";
  compress(small, request);
  EXPECT_EQ(small.body, "up 1\n") << "not worth it";
}

TEST(AdminHttp, HostsAreAddressesLocalhostAndThoseThatAreListed) {
  const std::vector<std::string> names{"millrace.example", "*.svc"};
  for (const char* ours : {"", "10.1.2.3", "10.1.2.3:9464", "[::1]", "[fe80::1]:9464", "localhost",
                           "LocalHost:1", "localhost.", "Millrace.Example:2", "a.b.svc"})
    EXPECT_TRUE(host_allowed(ours, names)) << ours;
  for (const char* other : {"evil.example", "millrace.example.evil", "xmillrace.example", "svc",
                            ".svc", "localhost.evil", "10.1.2.3.evil", "1", "[x]", " localhost"})
    EXPECT_FALSE(host_allowed(other, names)) << other;
  EXPECT_FALSE(host_allowed("millrace.example", {}));
}

}  // namespace
}  // namespace millrace
