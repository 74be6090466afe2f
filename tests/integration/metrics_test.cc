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

TEST_F(MetricsTest, PrometheusScrapesAndAnswersAQuery) {
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 1000));

  const auto dir = folder("prometheus");
  std::filesystem::create_directories(dir);
  write_file(dir / "prometheus.yml",
             "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: millrace\n"
             "    static_configs: [{targets: ['127.0.0.1:" +
                 std::to_string(millrace.port()) + "']}]\n");
  const std::uint16_t port = free_port();
  ChildProcess prometheus(
      {.name = "Prometheus",
       .arguments = {"/usr/bin/prometheus", "--config.file=" + (dir / "prometheus.yml").string(),
                     "--storage.tsdb.path=" + (dir / "data").string(),
                     "--web.listen-address=127.0.0.1:" + std::to_string(port)},
       .output = dir / "log",
       .environment = {}});
  const std::string query = "sum(millrace_inserted_rows_total{table=\"" + name() + "\"})";
  std::string answer;
  const auto found = [&] {
    answer = http_request(port, "/api/v1/query?query=" + url_encode(query)).body;
    return answer.find(R"("1000"])") != std::string::npos;
  };
  ASSERT_TRUE(eventually(found, kPatience, "Prometheus knows the rows")) << answer;
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
