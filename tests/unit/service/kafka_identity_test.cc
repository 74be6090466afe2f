#include "service/sources/kafka_identity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace millrace::test {
namespace {

// A partition's log as a broker answers for it.
struct Log {
  struct Record {
    std::int64_t offset, timestamp_ms;
  };
  std::vector<Record> records;

  std::int64_t first_of(std::int64_t timestamp_ms) const {
    for (const Record& record : records) {
      if (record.timestamp_ms >= timestamp_ms) return record.offset;
    }
    return -1;
  }
  std::int64_t low() const { return records.empty() ? 0 : records.front().offset; }
};

Log log_of(std::int64_t begin, std::int64_t count, std::int64_t first_ms) {
  Log log;
  for (std::int64_t i = 0; i < count; ++i) log.records.push_back({begin + i, first_ms + i});
  return log;
}

LogMarks marked(const Log& log, LogMarks marks, std::int64_t next, std::int64_t newest_ms,
                std::int64_t now_ms = 1'000'000) {
  const std::int64_t timestamp = timestamp_to_mark(newest_ms, now_ms);
  return remark(marks, timestamp, log.first_of(timestamp), next);
}

TEST(LogMarks, TellATopicThatWasMadeAgainHoweverManyRecordsItHas) {
  const LogMarks marks = marked(log_of(0, 2'000, 5'000), {}, 2'000, 6'999);
  EXPECT_EQ(marks.recent, (LogMark{7'000, 2'000}));
  for (const std::int64_t count : {1, 1'999, 2'000, 5'000}) {
    const Log other = log_of(0, count, 9'000);
    EXPECT_TRUE(contradicts(marks.recent, other.first_of(marks.recent.timestamp_ms))) << count;
    EXPECT_EQ(begin_of_other(marks, other.first_of(marks.recent.timestamp_ms),
                             other.first_of(marks.deep.timestamp_ms), other.low()),
              0)
        << count;
  }
}

TEST(LogMarks, AnEmptyLogContradictsNothing) {
  const LogMarks marks = marked(log_of(0, 2'000, 5'000), {}, 2'000, 6'999);
  EXPECT_FALSE(contradicts(marks.recent, -1));
  EXPECT_FALSE(contradicts({}, 0));
}

// Retention and compaction remove records, producers append some; their clocks jump, and not all
// that the broker counts is handed over (control records, what was aborted).
TEST(LogMarks, TheSameLogIsNeverTakenForAnother) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](std::int64_t end) {
    return std::uniform_int_distribution<std::int64_t>(0, end - 1)(random);
  };
  for (int run = 0; run < 200; ++run) {
    Log log;
    LogMarks marks;
    std::int64_t end = 0, newest = -1;
    for (std::int64_t step = 0; step < 60; ++step) {
      for (std::int64_t i = below(20); i > 0; --i) {
        const std::int64_t timestamp = 1'000 * step + below(100'000) - 50'000;
        log.records.push_back({end++, std::max<std::int64_t>(timestamp, 0)});
        if (below(3) > 0) newest = std::max(newest, log.records.back().timestamp_ms);
      }
      marks = marked(log, marks, end - std::min(end, below(3)), newest, 1'000 * step);
      if (below(10) == 0) {
        std::erase_if(log.records, [&](const auto& each) { return each.offset < end - 50; });
      }
      if (below(5) == 0) std::erase_if(log.records, [&](const auto&) { return below(4) == 0; });
      ASSERT_FALSE(contradicts(marks.recent, log.first_of(marks.recent.timestamp_ms)));
      ASSERT_FALSE(contradicts(marks.deep, log.first_of(marks.deep.timestamp_ms)));
    }
  }
}

// What was read of the lost end is not there any more, and what came in its place is read.
TEST(LogMarks, ALogThatLostItsEndIsReadOnWhereTheNewRecordsBegin) {
  Log log = log_of(0, 100, 5'000);
  LogMarks marks = marked(log, {}, 100, 5'099);
  for (std::int64_t i = 100; i < 1'000; ++i) log.records.push_back({i, 5'000 + i});
  marks = marked(log, marks, 1'000, 5'999);
  EXPECT_EQ(marks.deep.offset, 100);
  log.records.resize(900);
  for (std::int64_t i = 900; i < 1'100; ++i) log.records.push_back({i, 7'000 + i});
  const std::int64_t answer = log.first_of(marks.recent.timestamp_ms);
  EXPECT_TRUE(contradicts(marks.recent, answer));
  EXPECT_EQ(begin_of_other(marks, answer, log.first_of(marks.deep.timestamp_ms), log.low()), 900);
}

TEST(LogMarks, RecordsFromTheFutureDoNotHideThoseThatCome) {
  Log log = log_of(0, 2'000, 5'000);
  log.records[1'000].timestamp_ms = 9'000'000;
  const LogMarks marks = marked(log, {}, 2'000, 9'000'000, 8'000);
  EXPECT_EQ(marks.recent, (LogMark{8'000, 1'000}));
  EXPECT_TRUE(contradicts(marks.recent, log_of(0, 5'000, 8'500).first_of(8'000)));
}

TEST(LogMarks, AreReadBackAndStayTrueWhenThePositionIsBelowThem) {
  const LogMarks marks{{1'767'225'600'000, 2'000}, {1'767'225'000'000, 400}};
  EXPECT_EQ(parse_marks(marks_text(marks, 2'100), 2'100), marks);
  EXPECT_EQ(parse_marks(marks_text(marks, 1'500), 1'500).recent.offset, 1'500);
  EXPECT_EQ(marks_text({}, 5), "");
  const LogMarks one{{7, 3}, {}};
  EXPECT_EQ(parse_marks(marks_text(one, 3), 3), one);
  for (const char* text : {"", "7", "7.", "7.!", "-7.3", "7.-3", "7.3.1", "7.3.1.-", "a b.c"}) {
    EXPECT_EQ(parse_marks(text, 10), LogMarks{}) << text;
  }
}

}  // namespace
}  // namespace millrace::test
