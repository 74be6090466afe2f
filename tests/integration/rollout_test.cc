// The life of a Deployment, with processes for its pods: what Kubernetes does to millrace between
// the first roll-out and the last drain, while rows flow, under the configuration that the Helm
// chart makes.
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <vector>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

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
  }
  // The oldest one, as long as the probes would let it.
  void drain_pod() {
    EXPECT_TRUE(pods_.front()->get("/livez").ok());
    EXPECT_EQ(pods_.front()->stop(), 0);
    pods_.erase(pods_.begin());
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

  feed();  // one dies, and Kubernetes starts another
  pods_.front()->kill9();
  pods_.erase(pods_.begin());
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
}

}  // namespace
}  // namespace millrace::test
