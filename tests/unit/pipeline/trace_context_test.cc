#include "pipeline/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

const std::string kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, TakesWhatTheStandardShows) {
  EXPECT_TRUE(is_traceparent(kGood));
  EXPECT_TRUE(is_traceparent("00-00000000000000000000000000000001-0000000000000001-00"));
}

TEST(TraceContext, RefusesWhatClickHouseWouldRefuse) {
  for (const std::string& bad :
       {std::string(), std::string("00"), kGood + "-x", kGood.substr(0, kGood.size() - 1),
        "01" + kGood.substr(2),
        std::string("00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        std::string("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e473\r-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-g1")}) {
    EXPECT_FALSE(is_traceparent(bad)) << bad;
  }
}

}  // namespace
}  // namespace millrace
