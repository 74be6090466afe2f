#include "pipeline/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "transport/error.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kCodesEnd = 3'000;  // ClickHouse has none above 1002 so far

LaneWait failure(Disposition disposition, int code, const std::string& reason = {},
                 const std::string& message = {}) {
  LaneWait failure;
  failure.code = code;
  failure.disposition = disposition;
  failure.reason = reason;
  failure.message = message;
  return failure;
}

std::string advice(Disposition disposition, int code, const std::string& reason = {},
                   const std::string& message = {}) {
  return advice_for(failure(disposition, code, reason, message), "db.events");
}

TEST(AdviceTest, EachCodeThatIsKnownHasARowOfItsOwn) {
  for (int code = 1; code < kCodesEnd; ++code) {
    const std::string name(error_code_name(code));
    if (name.empty()) continue;
    const AdviceRow* row = find_advice(failure(disposition_of(code, ""), code, name));
    ASSERT_NE(row, nullptr) << code << " " << name;
    EXPECT_EQ(row->code, code);
    EXPECT_EQ(row->reason, name) << code;
  }
}

TEST(AdviceTest, EachRowSaysWhatHappenedAndWhatToDoAndIsFound) {
  std::set<std::string_view> reasons;
  for (const auto rows :
       {clickhouse_advice(), http_advice(), network_advice(), millrace_advice()}) {
    for (const AdviceRow& row : rows) {
      EXPECT_TRUE(reasons.insert(row.reason).second) << row.reason << " is there twice";
      EXPECT_FALSE(row.meaning.empty()) << row.reason;
      EXPECT_GT(row.advice.size(), 10u) << row.reason;
      EXPECT_THAT(std::string(row.advice), Not(::testing::EndsWith("."))) << row.reason;
      EXPECT_EQ(find_advice(failure(Disposition::kWait, row.code, std::string(row.reason))), &row);
      EXPECT_THAT(advice(Disposition::kWait, row.code, std::string(row.reason)),
                  Not(HasSubstr("{")))
          << row.reason;
    }
  }
}

TEST(AdviceTest, NamesWhatToChange) {
  EXPECT_THAT(advice(Disposition::kWait, 60), HasSubstr("create table db.events"));
  EXPECT_THAT(advice(Disposition::kWait, 81), HasSubstr("clickhouse.database"));
  EXPECT_THAT(advice(Disposition::kWait, 16), HasSubstr("columns"));
  EXPECT_THAT(advice(Disposition::kWait, 516), HasSubstr("clickhouse.password"));
  EXPECT_THAT(advice(Disposition::kWait, 497), HasSubstr("GRANT INSERT, SELECT ON db.events"));
  EXPECT_THAT(advice(Disposition::kWait, 242), HasSubstr("system.replicas"));
  EXPECT_THAT(advice(Disposition::kWait, 243), HasSubstr("disk"));
  EXPECT_THAT(advice(Disposition::kRetry, 252), HasSubstr("batch.target_rows"));
  EXPECT_THAT(advice(Disposition::kRetry, 0), HasSubstr("clickhouse.endpoints"));
  EXPECT_THAT(advice(Disposition::kRetry, 0, "pool_timeout"),
              HasSubstr("clickhouse.pool.hard_limit"));
  EXPECT_THAT(advice(Disposition::kSplit, 27), HasSubstr("table db.events"));
  EXPECT_THAT(advice(Disposition::kSplit, 27), HasSubstr("kept"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "DEAD_LETTERS_NOT_STORED"), HasSubstr("dead_letters"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "NOT_EXACTLY_ONCE"), HasSubstr("delivery"));
  EXPECT_THAT(advice(Disposition::kWait, 27, "", "no: while pushing to view db.v"),
              HasSubstr("materialized view"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "HTTP_413"), HasSubstr("client_max_body_size"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "HTTP_413"), HasSubstr("batch.target_bytes"));
}

TEST(AdviceTest, AStatusThatNobodyListedTakesThatOfItsKind) {
  EXPECT_THAT(advice(Disposition::kRetry, 0, "HTTP_520"), HasSubstr("the proxy has recovered"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "HTTP_418"), HasSubstr("log of the proxy"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "HTTP_399"), HasSubstr("Location"));
}

TEST(AdviceTest, SaysHowTheLaneGoesOn) {
  for (const int code : {60, 81, 16, 192, 193, 497, 516, 164, 242, 243, 12345})
    EXPECT_THAT(advice(Disposition::kWait, code), HasSubstr("goes on by itself")) << code;
  for (const char* reason : {"PLAN_EXPIRED", "RECORD_TOO_LARGE"})
    EXPECT_THAT(advice(Disposition::kWait, 0, reason), Not(HasSubstr("goes on by itself")));
}

TEST(AdviceTest, WhatIsSaidOfOneFailureWinsOverTheTable) {
  LaneWait wait = failure(Disposition::kWait, 60);
  wait.advice = "call the office";
  EXPECT_EQ(advice_for(wait, "t"), "call the office");
}

TEST(AdviceTest, WithoutATableItSpeaksOfTheTable) {
  EXPECT_THAT(remedy_for(failure(Disposition::kWait, 60), ""), HasSubstr("create the table, or"));
}

}  // namespace
}  // namespace millrace
