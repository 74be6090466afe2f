#include "transport/http_response_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/error.h"

namespace millrace {
namespace {

using namespace std::string_view_literals;
using Kind = ResponseFraming::Kind;
using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

// Runs `call`, which must fail as a peer's mistake after the request was sent.
template <typename Call>
void expect_protocol_error(Call call, std::string_view input) {
  try {
    call();
    ADD_FAILURE() << "taken: " << input;
  } catch (const NetworkError& error) {
    EXPECT_EQ(error.kind(), NetworkError::Kind::kProtocol) << input;
    EXPECT_TRUE(error.may_have_been_applied()) << input;
  }
}

TEST(StatusLine, IsVersionStatusAndReason) {
  struct Case {
    std::string_view line;
    int minor, status;
    std::string_view reason;
  };
  for (const auto& [line, minor, status, reason] : {
           Case{"HTTP/1.1 200 OK", 1, 200, "OK"},
           Case{"HTTP/1.0 500 Internal Server Error", 0, 500, "Internal Server Error"},
           Case{"HTTP/1.1 200 ", 1, 200, ""},
           Case{"HTTP/1.1 200", 1, 200, ""},
           Case{"HTTP/1.1 100 Continue", 1, 100, "Continue"},
           Case{"HTTP/1.9 599 \xc3\xa4", 9, 599, "\xc3\xa4"},
       }) {
    const StatusLine parsed = parse_status_line(line);
    EXPECT_EQ(parsed.version_minor, minor) << line;
    EXPECT_EQ(parsed.status, status) << line;
    EXPECT_EQ(parsed.reason, reason) << line;
  }
}

TEST(StatusLine, WhatIsNoneIsRefused) {
  for (const std::string_view line : {""sv,
                                      "HTTP/1.1"sv,
                                      "HTTP/1.1 "sv,
                                      "HTTP/1.1 20"sv,
                                      "HTTP/1.1 2000 OK"sv,
                                      "HTTP/1.1 200OK"sv,
                                      "HTTP/1.1  200 OK"sv,
                                      "HTTP/1.1\t200 OK"sv,
                                      "HTTP/1.1 +20 OK"sv,
                                      "HTTP/1.1 0x2 OK"sv,
                                      "HTTP/1.1 099 OK"sv,
                                      "HTTP/1.1 600 OK"sv,
                                      "HTTP/2.0 200 OK"sv,
                                      "HTTP/1. 200 OK"sv,
                                      "HTTP/1.x 200 OK"sv,
                                      "HTTP/1.10 200 OK"sv,
                                      "http/1.1 200 OK"sv,
                                      " HTTP/1.1 200 OK"sv,
                                      "ICY 200 OK"sv,
                                      "HTTP/1.1 200 O\0K"sv,
                                      "HTTP/1.1 200 OK\r"sv,
                                      "SSH-2.0-OpenSSH_9.2p1"sv}) {
    expect_protocol_error([&] { parse_status_line(line); }, line);
  }
}

TEST(HeaderLine, IsNameAndValueWithoutOuterBlanks) {
  struct Case {
    std::string_view line, name, value;
  };
  for (const auto& [line, name, value] : {
           Case{"Content-Length: 5", "Content-Length", "5"},
           Case{"X-ClickHouse-Summary:{\"a\":\"b:c\"}", "X-ClickHouse-Summary", "{\"a\":\"b:c\"}"},
           Case{"A: \t b c \t", "A", "b c"},
           Case{"A:", "A", ""},
           Case{"A:  ", "A", ""},
           Case{"x_!#$%&'*+-.^`|~9: :", "x_!#$%&'*+-.^`|~9", ":"},
           Case{"A: b\tc\xff", "A", "b\tc\xff"},
       }) {
    const HeaderField parsed = parse_header_line(line);
    EXPECT_EQ(parsed.name, name) << line;
    EXPECT_EQ(parsed.value, value) << line;
  }
}

TEST(HeaderLine, WhatIsNoneIsRefused) {
  for (const std::string_view line :
       {""sv, ":"sv, ": value"sv, "no colon"sv, "Name : value"sv, "Na me: value"sv, " folded: b"sv,
        "\tfolded"sv, "Name\0: value"sv, "N\xc3\xa4me: value"sv, "Name: a\0b"sv, "Name: a\rb"sv,
        "Name: a\nb"sv, "Name: value\r"sv, "Name: \x7f"sv, "Name: \x1b[0m"sv, "(n): v"sv}) {
    expect_protocol_error([&] { parse_header_line(line); }, line);
  }
}

ResponseFraming framing_of(int status, const Fields& fields) {
  ResponseFraming framing(status);
  for (const auto& [name, value] : fields) framing.add(name, value);
  return framing;
}

TEST(ResponseFraming, FollowsFromStatusAndFields) {
  struct Case {
    int status;
    Fields fields;
    Kind kind;
    std::uint64_t length = 0;
  };
  for (const auto& [status, fields, kind, length] : {
           Case{200, {}, Kind::kUntilClose},
           Case{200, {{"Content-Type", "text/csv"}, {"Content-Lengths", "5"}}, Kind::kUntilClose},
           Case{200, {{"Content-Length", "0"}}, Kind::kLength, 0},
           Case{500, {{"CONTENT-length", " 0012 "}}, Kind::kLength, 12},
           Case{200, {{"Content-Length", "5"}, {"content-length", "5"}}, Kind::kLength, 5},
           Case{200, {{"Content-Length", "5, 5"}}, Kind::kLength, 5},
           Case{200, {{"Content-Length", "18446744073709551615"}}, Kind::kLength, ~0ull},
           Case{200, {{"Transfer-Encoding", "chunked"}}, Kind::kChunked},
           Case{404, {{"transfer-encoding", " Chunked "}}, Kind::kChunked},
           Case{100, {{"Content-Length", "5"}}, Kind::kNone},
           Case{199, {}, Kind::kNone},
           Case{204, {{"Transfer-Encoding", "chunked"}}, Kind::kNone},
           Case{304, {{"Content-Length", "5"}, {"Content-Length", "6"}}, Kind::kNone},
       }) {
    const auto framing = framing_of(status, fields);
    EXPECT_EQ(framing.kind(), kind) << status << testing::PrintToString(fields);
    EXPECT_EQ(framing.length(), length) << status << testing::PrintToString(fields);
  }
}

TEST(ResponseFraming, WhatContradictsItselfIsRefused) {
  for (const Fields& fields : {
           Fields{{"Content-Length", "5"}, {"Content-Length", "6"}},
           Fields{{"Content-Length", "5, 6"}},
           Fields{{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}},
           Fields{{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}},
           Fields{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
           Fields{{"Transfer-Encoding", "gzip, chunked"}},
           Fields{{"Transfer-Encoding", "chunked, chunked"}},
           Fields{{"Transfer-Encoding", "identity"}},
           Fields{{"Transfer-Encoding", ""}},
           Fields{{"Content-Length", ""}},
           Fields{{"Content-Length", "5,"}},
           Fields{{"Content-Length", "-5"}},
           Fields{{"Content-Length", "+5"}},
           Fields{{"Content-Length", "5 5"}},
           Fields{{"Content-Length", "0x5"}},
           Fields{{"Content-Length", "5b"}},
           Fields{{"Content-Length", "18446744073709551616"}},
       }) {
    expect_protocol_error([&] { framing_of(200, fields); }, testing::PrintToString(fields));
  }
}

struct Chunked {
  std::string data, left;
  bool done = false;
};

// `first` bytes at first, then `size` bytes at a time.
Chunked read_chunks(std::string_view body, std::size_t first, std::size_t size) {
  ChunkParser parser;
  Chunked result;
  for (std::size_t at = 0; at < body.size() && !parser.done();) {
    std::string_view in = body.substr(at, at == 0 ? first : size);
    at += in.size();
    while (!in.empty() && !parser.done()) {
      const std::string_view piece = in, data = parser.next_data(in);
      EXPECT_TRUE(data.empty() || (data.data() >= piece.data() &&
                                   data.data() + data.size() == in.data()));  // not a copy
      EXPECT_TRUE(!data.empty() || in.empty() || parser.done());
      result.data += data;
    }
    result.left = in;
    result.left += parser.done() ? body.substr(at) : "";
  }
  result.done = parser.done();
  return result;
}

template <typename Check>
void for_every_split(std::string_view body, Check check) {
  for (std::size_t size = 1; size <= body.size(); ++size) {
    check(size, size);
    check(size, body.size());
  }
}

TEST(ChunkParser, TakesTheFramingOffHoweverItIsCut) {
  const std::pair<std::string_view, std::string_view> bodies[] = {
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"0\r\n\r\n", ""},
      {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
      {"0A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n", "0123456789abcdefghij"},
      {"4\r\n\r\n\r\n\r\n3\r\n0\r\n\r\n0\r\n\r\n", "\r\n\r\n0\r\n"},
      {"3 ; name=\"value; 5\"\r\nabc\r\n0;last\r\n\r\n", "abc"},
      {"2\r\nab\r\n0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n", "ab"},
  };
  for (const auto& [body, data] : bodies) {
    for (const std::string_view behind : {""sv, "HTTP/1.1 200 OK\r\n"sv, "\r\n"sv}) {
      const std::string all = std::string(body) + std::string(behind);
      for_every_split(all, [&, expected = data](std::size_t first, std::size_t size) {
        const Chunked result = read_chunks(all, first, size);
        EXPECT_EQ(result.data, expected) << all << first << "," << size;
        EXPECT_EQ(result.left, behind) << all << first << "," << size;
        EXPECT_TRUE(result.done) << all << first << "," << size;
      });
    }
  }
}

TEST(ChunkParser, ABodyThatIsCutIsNotDone) {
  const std::string_view body = "5\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
  for (std::size_t size = 0; size < body.size(); ++size) {
    const Chunked result = read_chunks(body.substr(0, size), size, size);
    EXPECT_FALSE(result.done) << size;
    EXPECT_TRUE("hello!"sv.starts_with(result.data)) << size;
  }
}

TEST(ChunkParser, MalformedChunksAreRefusedHoweverTheyAreCut) {
  for (const std::string_view body :
       {"\r\nhello\r\n"sv, "x\r\n"sv, "-1\r\n"sv, "+1\r\na\r\n"sv, "0x1\r\na\r\n"sv,
        " 1\r\na\r\n"sv, "1 1\r\na\r\n"sv, ";x\r\n"sv, "1\na\n0\n\n"sv, "1\r\na\n0\r\n\r\n"sv,
        "1\r\nab\r\n"sv, "2\r\na\r\n0\r\n\r\n"sv, "10000000000000000\r\n"sv, "1;a\rb\r\na\r\n"sv,
        "1;\0\r\na\r\n"sv, "1\r\r\na\r\n"sv, "0\r\nX: y\n\r\n"sv, "0\r\n\n"sv,
        "HTTP/1.1 200 OK\r\n"sv}) {
    for_every_split(body, [&](std::size_t first, std::size_t size) {
      expect_protocol_error([&] { read_chunks(body, first, size); }, body);
    });
  }
}

TEST(ChunkParser, TheLargestSizeIsTaken) {
  EXPECT_EQ(read_chunks("ffffffffffffffff\r\nab", 3, 3).data, "ab");
}

TEST(ChunkParser, LinesAreBounded) {
  const std::string longest = "1;" + std::string(1022, 'x');
  for (const std::size_t size : {1u, 100u, 5000u}) {
    EXPECT_TRUE(read_chunks(longest + "\r\na\r\n0\r\n\r\n", size, size).done);
    // Refused as soon as it is too long, without waiting for its end.
    expect_protocol_error([&] { read_chunks(longest + "xxx", size, size); }, "size line");
    expect_protocol_error([&] { read_chunks(longest + "x\r\na\r\n0\r\n\r\n", size, size); },
                          "size line");
  }
}

TEST(ChunkParser, TrailersAreBounded) {
  const auto trailer = [](std::size_t lines, std::size_t length) {
    std::string text = "0\r\n";
    for (std::size_t i = 0; i < lines; ++i) text += "X:" + std::string(length - 2, 'x') + "\r\n";
    return text + "\r\n";
  };
  for (const std::size_t size : {1u, 100u, 50'000u}) {
    EXPECT_TRUE(read_chunks(trailer(64, 10), size, size).done);
    EXPECT_TRUE(read_chunks(trailer(8, 1024), size, size).done);
    expect_protocol_error([&] { read_chunks(trailer(65, 10), size, size); }, "65 lines");
    expect_protocol_error([&] { read_chunks(trailer(8, 1025), size, size); }, "8200 bytes");
    expect_protocol_error([&] { read_chunks(trailer(1, 8193), size, size); }, "one long line");
  }
}

}  // namespace
}  // namespace millrace
