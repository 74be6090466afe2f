#include "transport/exception_frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>

namespace millrace {
namespace {

constexpr std::string_view kTag = "tudmcgsqwovebivz";
constexpr std::string_view kText =
    "Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero. "
    "(FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.7.2.1)";
constexpr std::string_view kRows = "0,\"xxxxx\"\n0,\"xxxxx\"\n";

std::string opening(std::string_view tag = kTag) {
  return "\r\n__exception__\r\n" + std::string(tag) + "\r\n";
}
std::string closing(std::size_t length, std::string_view tag = kTag) {
  return std::to_string(length) + " " + std::string(tag) + "\r\n__exception__\r\n";
}
std::string frame(std::string_view text = kText, std::string_view tag = kTag) {
  return opening(tag) + std::string(text) + "\n" + closing(text.size() + 1, tag);
}

struct Outcome {
  std::string data;
  std::optional<std::string> exception;
  bool operator==(const Outcome&) const = default;
};
void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << outcome.data.size() << " bytes of data, "
       << (outcome.exception ? "exception: " + *outcome.exception : "no exception");
}

// `size` bytes at a time; `first` of them at first.
Outcome scan(std::string_view body, bool complete, std::size_t size = std::string::npos,
             std::size_t first = 0, std::string_view tag = kTag) {
  ExceptionScanner scanner(tag);
  Outcome outcome;
  const auto push = [&](std::string_view bytes) {
    const std::string piece(bytes);  // gone after the call, as a read buffer is
    const auto [held, fresh] = scanner.push(piece);
    outcome.data.append(held).append(fresh);
  };
  push(body.substr(0, first));
  body.remove_prefix(std::min(first, body.size()));
  for (; !body.empty(); body.remove_prefix(std::min(size, body.size()))) {
    push(body.substr(0, size));
  }
  std::string rest;
  outcome.exception = scanner.finish(complete, rest);
  outcome.data += rest;
  return outcome;
}

Outcome data_only(std::string_view data) { return {std::string(data), std::nullopt}; }
Outcome failure(std::string_view data = kRows, std::string_view text = kText) {
  return {std::string(data), std::string(text)};
}

// However the body is cut into pieces.
void expect_always(std::string_view body, bool complete, const Outcome& expected) {
  for (std::size_t size = 1; size <= body.size() + 1; ++size) {
    EXPECT_EQ(scan(body, complete, size), expected) << size << " bytes at a time";
  }
  for (std::size_t first = 0; first <= body.size(); ++first) {
    EXPECT_EQ(scan(body, complete, std::string::npos, first), expected) << "split at " << first;
  }
}

TEST(ExceptionScanner, FindsTheFrameHoweverTheBodyIsCut) {
  const std::string body = std::string(kRows) + frame();
  expect_always(body, false, failure());
  expect_always(body, true, failure());  // a compressed response
}

TEST(ExceptionScanner, FindsTheFrameOfAResponseWithoutData) {
  expect_always(frame(), false, failure(""));
  expect_always(frame(), true, failure(""));
}

TEST(ExceptionScanner, ReadsWhatClickHouseSends) {
  const std::string text =
      "Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero: while executing "
      "'FUNCTION throwIf(equals(__table1.number, 3_UInt8) :: 0) -> throwIf(equals(__table1.number, "
      "3_UInt8)) UInt8 : 1'. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.7.2.1)";
  const std::string body = "0,\"xxxxx\"\n\r\n__exception__\r\ntudmcgsqwovebivz\r\n" + text +
                           "\n261 tudmcgsqwovebivz\r\n__exception__\r\n";
  EXPECT_EQ(scan(body, true), failure("0,\"xxxxx\"\n", text));
}

TEST(ExceptionScanner, HandsDataOnAtOnceUnlessItMayBeginAFrame) {
  ExceptionScanner scanner(kTag);
  const std::string plain = "a\r\nb\r\n__c", begun = "d\r\n__exc", other = "ept";
  auto released = scanner.push(plain);
  EXPECT_EQ(released.fresh.data(), plain.data());  // not a copy
  EXPECT_EQ(released.fresh, plain);
  released = scanner.push(begun);
  EXPECT_EQ(released.fresh, "d");
  released = scanner.push(other);
  EXPECT_EQ(released.held, "");
  EXPECT_EQ(released.fresh, "");
  released = scanner.push("");
  EXPECT_EQ(released.held, "");
  released = scanner.push("!");
  EXPECT_EQ(released.held, "\r\n__except");
  EXPECT_EQ(released.fresh, "!");
}

TEST(ExceptionScanner, ABodyThatIsCutInsideItsFrameStillTellsTheReason) {
  const std::string begin = std::string(kRows) + opening(), end = closing(kText.size() + 1);
  for (std::size_t size = 0; size <= kText.size(); ++size) {
    const auto cut = kText.substr(0, size);
    EXPECT_EQ(scan(begin + std::string(cut), false), failure(kRows, cut));
  }
  for (std::size_t size = 0; size < end.size(); ++size) {
    expect_always(begin + std::string(kText) + "\n" + end.substr(0, size), false, failure());
  }
}

TEST(ExceptionScanner, ABodyThatIsCutInsideTheOpeningHasNoException) {
  for (std::size_t size = 0; size < opening().size(); ++size) {
    const std::string body = std::string(kRows) + opening().substr(0, size);
    for (const bool complete : {false, true}) expect_always(body, complete, data_only(body));
  }
}

TEST(ExceptionScanner, TheTagOfAnotherResponseIsData) {
  const std::string body = std::string(kRows) + frame(kText, "abcdefghijklmnop");
  expect_always(body, true, data_only(body));
  EXPECT_EQ(scan(body, false), data_only(body));
  expect_always(body + frame(), false, failure(body));
}

TEST(ExceptionScanner, NearMissesAreData) {
  const std::string text = std::string(kText) + "\n", end = closing(text.size());
  for (const std::string& body : {
           "\n__exception__\r\n" + std::string(kTag) + "\r\n" + text + end,
           "\r\n__exception_\r\n" + std::string(kTag) + "\r\n" + text + end,
           "\r\n__exception__\r\n" + std::string(kTag) + "\n" + text + end,
           "\r\n__exception__\r\n" + std::string(kTag.substr(1)) + "\r\n" + text + end,
           opening() + text + end + "more",  // not the end of the body
           opening() + text + closing(text.size() + 1),
           opening() + text + closing(text.size() - 3),
           opening() + text + closing(99'999),
           opening() + text + "99999999999999999999999 " + end.substr(end.find(' ') + 1),
           opening() + text + "x" + end,
           opening() + text + end.substr(end.find(' ')),  // no length
           opening() + text + closing(text.size(), "abcdefghijklmnop"),
           opening() + text,
           opening(),
       }) {
    expect_always(body, true, data_only(body));
  }
}

TEST(ExceptionScanner, AnOpeningThatBeginsInsideABeginningIsFound) {
  for (const std::string_view data :
       {"\r\n", "\r", "\r\n__exception__", "\r\n__exception__\r\ntud"}) {
    expect_always(std::string(data) + frame(), false, failure(data));
  }
  const std::string almost = opening().substr(0, opening().size() - 2);  // ends with the tag
  expect_always(almost + frame(), true, failure(almost));
}

TEST(ExceptionScanner, ALengthWithoutTheLineEndIsTaken) {
  const std::string text(kText);
  EXPECT_EQ(scan(opening() + text + "\n" + closing(text.size()), true), failure(""));
  EXPECT_EQ(scan(opening() + text + "\r\n" + closing(text.size()), true), failure(""));
}

TEST(ExceptionScanner, TheLengthDecidesWhereTheMessageBegins) {
  const std::string quoting = std::string(kText) + frame() + " in the text of the query";
  EXPECT_EQ(scan(std::string(kRows) + frame(quoting), true), failure(kRows, quoting));
  const std::string data = std::string(kRows) + opening() + "data";
  EXPECT_EQ(scan(data + frame(), true), failure(data));
}

TEST(ExceptionScanner, ALongMessageIsCut) {
  const std::string text = std::string(kText) + std::string(1u << 20, 'x');
  for (const bool complete : {false, true}) {
    for (const std::size_t size : {1000u, 1u << 21}) {
      const Outcome outcome = scan(std::string(kRows) + frame(text), complete, size);
      EXPECT_EQ(outcome, failure(kRows, text.substr(0, 64u << 10)));
    }
  }
}

TEST(ExceptionScanner, LineEndsPassAsTheyAre) {
  std::string data;
  while (data.size() < 1u << 20) data += "\r\n";
  for (const std::size_t size : {1u, 2u, 3u, 1000u, 1u << 20}) {
    EXPECT_EQ(scan(data, true, size), data_only(data));
  }
  EXPECT_EQ(scan(data + frame(), false, 1001), failure(data));
}

TEST(ExceptionScanner, WithoutATagABodyThatBrokeOffIsSearched) {
  const std::string body = std::string(kRows) + std::string(kText) + "\n";
  for (std::size_t size = 1; size <= body.size(); ++size) {
    EXPECT_EQ(scan(body, false, size, 0, ""), failure(body)) << size;  // all of it was handed on
    EXPECT_EQ(scan(body, true, size, 0, ""), data_only(body)) << size;
  }
}

TEST(ExceptionScanner, WithoutATagTheLast1024BytesAreSearched) {
  const std::string within = std::string(kText) + std::string(1024 - kText.size(), '.');
  for (const std::size_t size : {1u, 7u, 1000u, 1024u, 5000u}) {
    const std::string before(3000, 'r');
    EXPECT_EQ(scan(before + within, false, size, 0, ""), failure(before + within, within));
    const std::string beyond = before + within + ".";
    EXPECT_EQ(scan(beyond, false, size, 0, ""), data_only(beyond));
  }
}

TEST(ExceptionScanner, WithoutATagAFrameIsData) {
  EXPECT_EQ(scan(frame(), true, 5, 0, ""), data_only(frame()));
}

TEST(ExceptionScanner, WithATagABareTextIsData) { EXPECT_EQ(scan(kText, false), data_only(kText)); }

TEST(ExceptionCode, IsTheNumberOfTheText) {
  EXPECT_EQ(exception_code(kText), 395);
  EXPECT_EQ(exception_code(std::string(kRows) + std::string(kText)), 395);
  EXPECT_EQ(exception_code("Code: 210. DB::NetException: Connection refused"), 210);
  EXPECT_EQ(exception_code("Code: x, Code: 60. DB::Exception: No such table"), 60);
  for (const std::string_view other :
       {"", "Code: ", "Code: 60", "Code: 60.", "Code: . DB::Exception", "Code: -1. DB::Exception",
        "code: 60. DB::Exception", "Code: 99999999999. DB::Exception",
        "Poco::Exception. Code: 1000"}) {
    EXPECT_EQ(exception_code(other), 0) << other;
  }
}

}  // namespace
}  // namespace millrace
