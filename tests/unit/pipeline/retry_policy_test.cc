#include "pipeline/retry_policy.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

using std::chrono::milliseconds;

struct Range {
  Disposition disposition;
  unsigned attempt;
  int lowest_ms, highest_ms;  // with the limits below
};

class RetryDelayTest : public ::testing::TestWithParam<Range> {};

constexpr double kAlmostOne = 0.999999999;

TEST_P(RetryDelayTest, SpansItsRange) {
  const RetryPolicy limits{milliseconds(100), milliseconds(10'000), milliseconds(2'000),
                           milliseconds(30'000)};
  const auto [disposition, attempt, lowest, highest] = GetParam();
  const auto at_zero = retry_delay(limits, disposition, attempt, 0.0);
  const auto at_one = retry_delay(limits, disposition, attempt, kAlmostOne);
  EXPECT_EQ(std::min(at_zero, at_one), milliseconds(lowest));
  EXPECT_EQ(std::max(at_zero, at_one), milliseconds(highest));
}

INSTANTIATE_TEST_SUITE_P(Ranges, RetryDelayTest,
                         ::testing::Values(Range{Disposition::kRetry, 1, 1, 100},
                                           Range{Disposition::kRetry, 2, 1, 200},
                                           Range{Disposition::kRetry, 7, 1, 6'400},
                                           Range{Disposition::kRetry, 8, 1, 10'000},
                                           Range{Disposition::kRetry, 4'000'000'000u, 1, 10'000},
                                           Range{Disposition::kWait, 1, 1'000, 2'000},
                                           Range{Disposition::kWait, 2, 2'000, 4'000},
                                           Range{Disposition::kWait, 5, 15'000, 30'000},
                                           Range{Disposition::kSplit, 1, 1'000, 2'000},
                                           Range{Disposition::kDeadLetter, 90, 15'000, 30'000}));

TEST(RetryPolicyTest, TheConfigurationDecidesByCode) {
  const auto error = [](int code, bool applied) {
    return ClickHouseError({.code = code, .may_have_been_applied = applied});
  };
  RetryPolicy policy;
  policy.dispositions = {
      {60, Disposition::kRetry}, {241, Disposition::kSplit}, {4711, Disposition::kSplit}};
  EXPECT_EQ(policy.disposition_of(error(60, false)), Disposition::kRetry);
  EXPECT_EQ(policy.disposition_of(error(81, false)), Disposition::kWait) << "not named";
  EXPECT_EQ(policy.disposition_of(error(241, false)), Disposition::kSplit);
  EXPECT_EQ(policy.disposition_of(error(241, true)), Disposition::kWait)
      << "parts of it may be there";
  EXPECT_EQ(policy.disposition_of(error(4711, true)), Disposition::kSplit)
      << "nobody else knows this code";
}

TEST(RetryPolicyTest, NeverZeroSoThatAFailingBlockCannotSpin) {
  const RetryPolicy limits{milliseconds(1), milliseconds(1), milliseconds(1), milliseconds(1)};
  for (const Disposition each : {Disposition::kRetry, Disposition::kWait}) {
    EXPECT_GE(retry_delay(limits, each, 1, 0.0), milliseconds(1));
    EXPECT_GE(retry_delay(limits, each, 1, kAlmostOne), milliseconds(1));
  }
}

TEST(RetryPolicyTest, TheConfigurationDecidesByTheStatusOfAnAnswerWithoutACode) {
  RetryPolicy policy;
  policy.dispositions = {{-413, Disposition::kDeadLetter}, {-502, Disposition::kDeadLetter}};
  EXPECT_EQ(policy.disposition_of(ClickHouseError({.http_status = 413})), Disposition::kDeadLetter);
  EXPECT_EQ(policy.disposition_of(ClickHouseError({.code = 60, .http_status = 413})),
            Disposition::kWait);
  EXPECT_EQ(
      policy.disposition_of(ClickHouseError({.http_status = 502, .may_have_been_applied = true})),
      Disposition::kWait);
}

}  // namespace
}  // namespace millrace
