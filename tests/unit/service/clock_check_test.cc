#include "service/clock_check.h"

#include <gmock/gmock.h>

namespace millrace {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::chrono::system_clock::time_point kAsked{1'700'000'000s};

TEST(ClockCheck, AnAnswerThatTookLongIsNoDifference) {
  EXPECT_EQ(clock_warning(kAsked, kAsked, kAsked + 20s), "");
  EXPECT_EQ(clock_warning(kAsked + 20s, kAsked, kAsked + 20s), "");
}

TEST(ClockCheck, ADifferenceIsNamedWithItsDirection) {
  EXPECT_EQ(clock_warning(kAsked + 5s, kAsked, kAsked), "");
  EXPECT_THAT(clock_warning(kAsked + 42s, kAsked, kAsked), HasSubstr("42 s ahead of"));
  EXPECT_THAT(clock_warning(kAsked - 42s, kAsked, kAsked), HasSubstr("42 s behind"));
}

}  // namespace
}  // namespace millrace
