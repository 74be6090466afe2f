// What operators and their tools see.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

class MetricsTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), 2);
    create_rows_table(clickhouse(), name(), 1000);
    produce_rows(kafka(), name(), 0, 1000, 2);
  }
};

TEST_F(MetricsTest, PromtoolFindsNothingToSayAboutTheMetrics) {
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 1000));
  const std::string metrics = millrace.get("/metrics").body;
  EXPECT_NE(metrics.find("millrace_insert_duration_seconds_bucket"), std::string::npos);
  const auto file = folder() / "metrics";
  write_file(file, metrics);
  const auto checked =
      run_program({"/bin/sh", "-c", "promtool check metrics < " + file.string()}, seconds{60});
  EXPECT_EQ(checked.exit_code, 0);
  EXPECT_EQ(checked.output, "");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(MetricsTest, StatusIsJsonThatJqReadsAndNamesTheLane) {
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 1000));
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lane_lag_messages") == 0; },
                         kPatience, "no lag"));
  write_file(folder() / "status", millrace.get("/status").body);
  const auto lanes = run_program(
      {"/usr/bin/jq", "-r", R"jq(.pipelines[0].lanes[] | "\(.topic) \(.partition) \(.position)")jq",
       (folder() / "status").string()});
  EXPECT_EQ(lanes.exit_code, 0);
  EXPECT_EQ(lanes.output, name() + " 0 500\n" + name() + " 1 500\n");
  EXPECT_EQ(millrace.get("/livez").status, 200);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(MetricsTest, SixteenIdleWorkersTakeHardlyAnyCpuTime) {
  Millrace millrace(folder(), config("workers: {count: 16}\n"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 1000));
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lane_lag_messages") == 0; },
                         kPatience, "no lag"));
  // CPU time, not speed: a busy machine does not change it. Below 1 % of a core.
  constexpr seconds kIdle{30};
  constexpr Millis kMost{kSanitized ? 3000 : 300};
  const Millis before = millrace.cpu_time();
  std::this_thread::sleep_for(kIdle);
  const Millis used = millrace.cpu_time() - before;
  std::cout << "idle for " << kIdle.count() << " s: " << used.count() << " ms of CPU time\n";
  EXPECT_LT(used, kMost);
  EXPECT_EQ(millrace.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
