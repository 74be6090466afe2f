// The life of a Deployment, with processes for its pods: what Kubernetes does to millrace between
// the first roll-out and the last drain, while rows flow, under the configuration that the Helm
// chart makes; and what Prometheus has seen of it in the end.
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <vector>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/real_prometheus.h"

namespace millrace::test {
namespace {

constexpr int kPartitions = 6;
constexpr std::uint64_t kRows = kSanitized ? 20'000 : 100'000;  // that come between two events
constexpr unsigned kWindow = 100'000;

void replace(std::string& text, const std::string& what, const std::string& by) {
  const auto found = text.find(what);
  ASSERT_NE(found, std::string::npos) << "the chart's configuration has no " << what;
  text.replace(found, what.size(), by);
}

class RolloutTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), kPartitions);
    create_rows_table(clickhouse(), name(), kWindow);
    // The first alert, MillraceDown, is not given its five minutes, but longer than Prometheus
    // takes to see that a target is gone (five seconds).
    std::string alerts = read_file(project_file("deploy/prometheus/alerts.yaml"));
    replace(alerts, "for: 5m", "for: 15s");
    std::filesystem::create_directories(folder());
    write_file(folder() / "alerts.yaml", alerts);
    prometheus_ = std::make_unique<RealPrometheus>(
        folder("prometheus"), std::vector<std::uint16_t>{},
        std::vector{project_file("deploy/prometheus/recording.yaml"), folder() / "alerts.yaml"});
  }

  // What the chart makes of its defaults (tests/kubernetes/check-chart compares), with the servers
  // of this test, small blocks, and a session that is soon over for who was killed.
  std::string chart_config(const std::string& more) const {
    std::string text = read_file(project_file("deploy/kubernetes/millrace.yaml"));
    replace(text, "admin:\n  listen: 0.0.0.0:9464\n", "");
    replace(text, "http://clickhouse:8123", clickhouse().url());
    replace(text, "kafka:9092", "'" + kafka().brokers() + "'");
    replace(text, "group: millrace",
            "group: " + name() + "\n      options: {session.timeout.ms: '6000'}");
    replace(text, "- events", "- " + name());
    replace(text, "  table: events\n",
            "  table: " + name() + "\n  delivery: exactly_once\n  batch: {max_rows: 1000}\n");
    return text + more;
  }

  // Rows are under way whenever something happens.
  void feed() {
    produce_rows(kafka(), name(), fed_, fed_ + kRows, kPartitions);
    fed_ += kRows;
    ASSERT_TRUE(eventually([&] { return inserted() > fed_ - kRows; }, kPatience,
                           "the first of these rows arrive", Millis{5}));
  }
  void start_pod(const std::string& config) {
    pods_.push_back(
        std::make_unique<Millrace>(folder("pod-" + std::to_string(++started_)), config));
    pods_.back()->start();
    ASSERT_TRUE(eventually([&] { return pods_.back()->get("/readyz").ok(); }, kPatience,
                           "the new pod is ready"));
    discover();
  }
  static std::string instance(const Millrace& pod) {
    return "127.0.0.1:" + std::to_string(pod.port());
  }
  // The pods that there are, for Prometheus.
  void discover() const {
    std::vector<std::uint16_t> ports;
    for (const auto& pod : pods_) ports.push_back(pod->port());
    prometheus_->set_targets(ports);
  }
  testing::AssertionResult is_seen(const std::string& promql) const {
    return eventually([&] { return prometheus_->has_number(promql); }, kPatience,
                      "Prometheus has " + promql);
  }
  testing::AssertionResult is_scraped(const Millrace& pod) const {
    return is_seen("up{instance='" + instance(pod) + "'} == 1");
  }
  // Killed, and there for Prometheus until the alert fires.
  void kill_pod() {
    const Millrace& pod = *pods_.front();
    ASSERT_TRUE(is_scraped(pod));
    pods_.front()->kill9();
    ASSERT_TRUE(is_seen("ALERTS{alertname='MillraceDown',alertstate='firing',instance='" +
                        instance(pod) + "'}"));
    pods_.erase(pods_.begin());
    discover();
  }
  // The oldest one, as long as the probes would let it.
  void drain_pod() {
    EXPECT_TRUE(is_scraped(*pods_.front()));
    EXPECT_TRUE(pods_.front()->get("/livez").ok());
    EXPECT_EQ(pods_.front()->stop(), 0);
    pods_.erase(pods_.begin());
    discover();
  }
  testing::AssertionResult share_all_partitions() const {
    const auto owned = [&] {
      double sum = 0;
      for (const auto& pod : pods_) {
        const double lanes = pod->metric("millrace_lanes").value_or(0);
        if (lanes == 0) return false;
        sum += lanes;
      }
      return sum == kPartitions;
    };
    return eventually(owned, kPatience, "each pod has partitions, all of them are had");
  }
  std::uint64_t inserted() const {
    return clickhouse().try_number("SELECT count() FROM " + name()).value_or(0);
  }

  std::unique_ptr<RealPrometheus> prometheus_;
  std::vector<std::unique_ptr<Millrace>> pods_;
  int started_ = 0;
  std::uint64_t fed_ = 0;
};

TEST_F(RolloutTest, EachRowComesOnceFromTheFirstRollOutToTheLastDrain) {
  const std::string config = chart_config("workers: {count: 2}\n");
  start_pod(config);
  start_pod(config);
  ASSERT_TRUE(share_all_partitions());

  feed();  // a new configuration: a new pod is ready before an old one drains
  const std::string changed = chart_config("workers: {count: 3}\n");
  for (int pod = 0; pod < 2; ++pod) {
    start_pod(changed);
    drain_pod();
  }
  ASSERT_TRUE(share_all_partitions());

  feed();  // three of them
  start_pod(changed);
  ASSERT_TRUE(share_all_partitions());
  EXPECT_TRUE(is_seen("count(up == 1) == 3"));

  feed();  // one dies, and Kubernetes starts another
  kill_pod();
  start_pod(changed);
  ASSERT_TRUE(share_all_partitions());

  feed();  // one is left
  drain_pod();
  drain_pod();
  ASSERT_TRUE(share_all_partitions());

  feed();  // none
  drain_pod();
  std::cout << inserted() << " of " << fed_ << " rows were in when the last pod ended\n";
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), inserted());

  start_pod(changed);  // and again
  EXPECT_TRUE(has_rows(name(), fed_));
  drain_pod();
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), fed_));
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), fed_);

  EXPECT_TRUE(is_seen("count(max_over_time(millrace_lanes[1h])) == " + std::to_string(started_)));
  EXPECT_TRUE(is_seen("min(min_over_time(millrace_workers[1h])) == 2"));
  EXPECT_TRUE(is_seen("max(max_over_time(millrace_workers[1h])) == 3"));
  EXPECT_TRUE(is_seen("sum(max_over_time(millrace_inserted_rows_total[1h])) > 0"));
  const std::string fired = prometheus_->query("max_over_time(ALERTS{alertstate='firing'}[1h])");
  EXPECT_NE(fired.find("MillraceDown"), std::string::npos) << fired;
  EXPECT_EQ(fired.find("alertname"), fired.rfind("alertname")) << "more than the one: " << fired;
}

}  // namespace
}  // namespace millrace::test
