#include "pipeline/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/error.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

ClickHouseError server_error(int code, std::string name) {
  ClickHouseError::Details details;
  details.code = code;
  details.name = std::move(name);
  details.message = "text";
  details.http_status = 503;
  return ClickHouseError(details);
}

TEST(FailureTest, ReasonIsAShortLabelForEachKindOfError) {
  EXPECT_EQ(describe_failure(server_error(60, "UNKNOWN_TABLE")).reason, "UNKNOWN_TABLE");
  EXPECT_EQ(describe_failure(server_error(98765, "")).reason, "code_98765");
  EXPECT_EQ(describe_failure(server_error(0, "")).reason, "http_503");
  EXPECT_EQ(describe_failure(NetworkError(NetworkError::Kind::kTimeout, "x", true)).reason,
            to_string(NetworkError::Kind::kTimeout));
  EXPECT_EQ(describe_failure(PoolTimeoutError("x")).reason, "pool_timeout");
  EXPECT_EQ(describe_failure(std::logic_error("x")).reason, "internal_error");
}

TEST(FailureTest, AFaultInTheProgramIsRetried) {
  EXPECT_EQ(describe_failure(std::logic_error("x")).disposition, Disposition::kRetry);
}

std::string advice(Disposition disposition, int code, const std::string& reason = {},
                   const std::string& message = {}) {
  LaneWait failure;
  failure.code = code;
  failure.disposition = disposition;
  failure.reason = reason;
  failure.message = message;
  return advice_for(failure, "db.events");
}

TEST(FailureTest, AdviceNamesWhatToChange) {
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
  EXPECT_THAT(advice(Disposition::kSplit, 27), HasSubstr("db.events"));
  EXPECT_THAT(advice(Disposition::kSplit, 27), HasSubstr("kept"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "DEAD_LETTERS_NOT_STORED"), HasSubstr("dead_letters"));
  EXPECT_THAT(advice(Disposition::kWait, 0, "NOT_EXACTLY_ONCE"), HasSubstr("delivery"));
  EXPECT_THAT(advice(Disposition::kWait, 27, "", "no: while pushing to view db.v"),
              HasSubstr("materialized view"));
}

TEST(FailureTest, WhoeverWaitsIsToldThatTheLaneGoesOnByItself) {
  for (const int code : {60, 81, 16, 192, 193, 497, 516, 164, 242, 243, 12345})
    EXPECT_THAT(advice(Disposition::kWait, code), HasSubstr("goes on by itself")) << code;
}

}  // namespace
}  // namespace millrace
