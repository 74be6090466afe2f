#include "pipeline/failure.h"

#include <gtest/gtest.h>

#include "transport/error.h"

namespace millrace {
namespace {

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
  EXPECT_EQ(describe_failure(server_error(0, "")).reason, "HTTP_503");
  EXPECT_EQ(describe_failure(NetworkError(NetworkError::Kind::kTimeout, "x", true)).reason,
            to_string(NetworkError::Kind::kTimeout));
  EXPECT_EQ(describe_failure(PoolTimeoutError("x")).reason, "pool_timeout");
  EXPECT_EQ(describe_failure(std::logic_error("x")).reason, "internal_error");
}

TEST(FailureTest, AFaultInTheProgramIsRetried) {
  EXPECT_EQ(describe_failure(std::logic_error("x")).disposition, Disposition::kRetry);
}

}  // namespace
}  // namespace millrace
