#include "service/log.h"

#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace millrace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::chrono::system_clock::time_point kTime{milliseconds(1'700'000'000'042)};
const SteadyTime kStart{std::chrono::hours(1)};

LogEvent event(LogLevel level, std::string message, std::string key = "",
               std::vector<std::pair<std::string, std::string>> fields = {}) {
  return {level, std::move(key), std::move(message), std::move(fields)};
}

TEST(LogText, HasTimeLevelMessageAndFields) {
  EXPECT_EQ(format_text(event(LogLevel::kWarning, "insert failed", "k",
                              {{"table", "events"}, {"code", "60"}}),
                        kTime, 0, false),
            "2023-11-14T22:13:20.042Z warning insert failed table=events code=60");
  EXPECT_EQ(format_text(event(LogLevel::kInfo, "ok"), kTime, 0, false),
            "2023-11-14T22:13:20.042Z info    ok");
}

TEST(LogText, SaysHowManyWereLeftOut) {
  EXPECT_EQ(format_text(event(LogLevel::kError, "again"), kTime, 7, false),
            "2023-11-14T22:13:20.042Z error   again repeated=7");
}

TEST(LogText, QuotesWhatHasNoVisibleEnd) {
  EXPECT_EQ(format_text(event(LogLevel::kInfo, "m", "",
                              {{"a", "two words"}, {"b", ""}, {"c", "x=\"y\\z\""}}),
                        kTime, 0, false),
            "2023-11-14T22:13:20.042Z info    m a=\"two words\" b=\"\" c=\"x=\\\"y\\\\z\\\"\"");
}

TEST(LogText, IsOneLineThatCannotSteerTheTerminal) {
  const std::string line = format_text(
      event(LogLevel::kInfo, "a\nb\r\x1b[2J", "", {{"k\n", "v\nw\x7f\xff"}}), kTime, 0, false);
  EXPECT_EQ(line,
            "2023-11-14T22:13:20.042Z info    a\\nb\\x0d\\x1b[2J "
            "k\\n=\"v\\\\nw\\\\x7f\xef\xbf\xbd\"");
}

TEST(LogText, IsColouredOnlyWhenAsked) {
  EXPECT_EQ(format_text(event(LogLevel::kError, "m"), kTime, 0, true),
            "2023-11-14T22:13:20.042Z \x1b[31merror  \x1b[0m m");
}

TEST(LogJson, IsOneObject) {
  EXPECT_EQ(format_json(event(LogLevel::kWarning, "insert failed", "k",
                              {{"table", "events"}, {"code", "60"}}),
                        kTime, 3),
            R"({"time":"2023-11-14T22:13:20.042Z","level":"warning","message":"insert failed",)"
            R"("table":"events","code":"60","repeated":3})");
}

TEST(LogJson, EscapesWhatJsonCannotHold) {
  const std::string line = format_json(
      event(LogLevel::kInfo, "\"q\" \\ \n \x01 \xff", "", {{"a\"b", "\xc3\xa4\xed\xa0\x80"}}),
      kTime, 0);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_NE(line.find(R"("message":"\"q\" \\ \n \u0001 )"
                      "\xef\xbf\xbd\""),
            std::string::npos)
      << line;
  EXPECT_NE(line.find("\"a\\\"b\":\"\xc3\xa4\xef\xbf\xbd"), std::string::npos) << line;
}

TEST(LogJson, FieldsDoNotShadowItsOwnNames) {
  const std::string line =
      format_json(event(LogLevel::kInfo, "m", "", {{"message", "x"}, {"time", "y"}}), kTime, 0);
  EXPECT_NE(line.find(R"("message":"m","field_message":"x","field_time":"y")"), std::string::npos)
      << line;
}

TEST(LogRateLimit, FirstIsWrittenAtOnceThenOneEachInterval) {
  LogRateLimit limit(seconds(10));
  EXPECT_TRUE(limit.decide("k", kStart).write);
  EXPECT_FALSE(limit.decide("k", kStart).write);
  EXPECT_FALSE(limit.decide("k", kStart + milliseconds(9'999)).write);
  const auto second = limit.decide("k", kStart + seconds(10));
  EXPECT_TRUE(second.write);
  EXPECT_EQ(second.left_out, 2u);
  EXPECT_FALSE(limit.decide("k", kStart + seconds(19)).write);
  const auto third = limit.decide("k", kStart + seconds(100));
  EXPECT_TRUE(third.write);
  EXPECT_EQ(third.left_out, 1u);
  const auto fourth = limit.decide("k", kStart + seconds(200));
  EXPECT_TRUE(fourth.write);
  EXPECT_EQ(fourth.left_out, 0u);
}

TEST(LogRateLimit, KeysDoNotLimitEachOther) {
  LogRateLimit limit;
  EXPECT_TRUE(limit.decide("a", kStart).write);
  EXPECT_TRUE(limit.decide("b", kStart).write);
  EXPECT_FALSE(limit.decide("a", kStart).write);
}

TEST(LogRateLimit, EventsWithoutAKeyAreAlwaysWritten) {
  LogRateLimit limit;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.decide("", kStart).write);
  EXPECT_EQ(limit.keys(), 0u);
}

TEST(LogRateLimit, RemembersABoundedNumberOfKeysAndStillLimitsTheRest) {
  LogRateLimit limit(seconds(10), 4);
  int written = 0;
  for (int i = 0; i < 100; ++i) written += limit.decide(std::to_string(i), kStart).write ? 1 : 0;
  EXPECT_EQ(written, 5);  // four of their own, and one for all others
  EXPECT_LE(limit.keys(), 5u);
  EXPECT_FALSE(limit.decide("0", kStart).write);
  const auto others = limit.decide("another", kStart + seconds(5));
  EXPECT_FALSE(others.write);
  // When the busy time is over their places are free again.
  EXPECT_TRUE(limit.decide("x", kStart + seconds(10)).write);
  EXPECT_TRUE(limit.decide("y", kStart + seconds(10)).write);
  EXPECT_FALSE(limit.decide("x", kStart + seconds(11)).write);
}

LogConfig config(const std::string& level, LogFormat format = LogFormat::kAuto) {
  return {.level = level, .format = format};
}

TEST(Logger, AutoIsTextOnATerminalAndJsonElsewhere) {
  std::ostringstream terminal, file, forced;
  Logger(config("info"), terminal, true).log(event(LogLevel::kInfo, "m"));
  Logger(config("info"), file, false).log(event(LogLevel::kInfo, "m"));
  Logger(config("info", LogFormat::kText), forced, false).log(event(LogLevel::kInfo, "m"));
  EXPECT_NE(terminal.str().find("\x1b[32minfo"), std::string::npos) << terminal.str();
  EXPECT_TRUE(file.str().starts_with("{\"time\"")) << file.str();
  EXPECT_NE(forced.str().find("Z info    m\n"), std::string::npos) << forced.str();
}

TEST(Logger, LeavesOutWhatIsBelowItsLevelUntilThatIsChanged) {
  std::ostringstream out;
  Logger logger(config("warning"), out, false);
  logger.log(event(LogLevel::kInfo, "hidden", "k"));
  EXPECT_EQ(out.str(), "");
  logger.set_level(LogLevel::kDebug);
  logger.log(event(LogLevel::kDebug, "shown", "k"));  // what was hidden does not count for its key
  EXPECT_NE(out.str().find("shown"), std::string::npos);
}

TEST(Logger, RefusesALevelThatIsNone) {
  std::ostringstream out;
  EXPECT_THROW(Logger(config("loud"), out, false), std::invalid_argument);
}

TEST(Logger, LimitsRepetitionsByKey) {
  std::ostringstream out;
  Logger logger(config("info", LogFormat::kText), out, false);
  for (int i = 0; i < 5; ++i) logger.log(event(LogLevel::kError, "down", "k"), kStart);
  logger.log(event(LogLevel::kError, "down", "k"), kStart + seconds(10));
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_TRUE(text.ends_with("down repeated=4\n")) << text;
}

TEST(Logger, ThreadsWriteWholeLines) {
  constexpr int kThreads = 4, kLines = 200;
  std::ostringstream out;
  Logger logger(config("info", LogFormat::kText), out, false);
  const LogSink sink = logger.sink();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&sink, t] {
      for (int i = 0; i < kLines; ++i)
        sink(event(LogLevel::kInfo, std::string(100, static_cast<char>('a' + t))));
    });
  for (std::thread& thread : threads) thread.join();
  std::istringstream lines(out.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    ASSERT_EQ(line.size(), out.str().find('\n'));
    EXPECT_EQ(line.find_first_not_of(line.back(), line.size() - 100), std::string::npos) << line;
  }
  EXPECT_EQ(count, kThreads * kLines);
}

}  // namespace
}  // namespace millrace
