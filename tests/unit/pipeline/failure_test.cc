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

TEST(FailureTest, AdviceNamesWhatToChange) {
  const auto advice = [](int code, Disposition disposition) {
    LaneWait failure;
    failure.code = code;
    failure.disposition = disposition;
    return advice_for(failure, "db.events");
  };
  EXPECT_THAT(advice(60, Disposition::kWait), HasSubstr("create table db.events"));
  EXPECT_THAT(advice(516, Disposition::kWait), HasSubstr("clickhouse.password"));
  EXPECT_THAT(advice(497, Disposition::kWait), HasSubstr("GRANT INSERT ON db.events"));
  EXPECT_THAT(advice(4711, Disposition::kWait), HasSubstr("by itself"));
  EXPECT_THAT(advice(27, Disposition::kSplit), HasSubstr("db.events"));
  EXPECT_THAT(advice(27, Disposition::kSplit), HasSubstr("kept"));
  LaneWait pool;
  pool.reason = "pool_timeout";
  EXPECT_THAT(advice_for(pool, "t"), HasSubstr("clickhouse.pool.hard_limit"));
}

}  // namespace
}  // namespace millrace
