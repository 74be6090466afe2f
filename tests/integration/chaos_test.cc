// Everything fails, at random, for some time; at the end each row is there once.
//
// The seed is printed, and MILLRACE_SEED plays the same order of faults again (what meets what in
// between is up to the machine). MILLRACE_CHAOS_MINUTES is how long; tests/run chaos --minutes N.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <vector>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/real_keeper.h"

namespace millrace::test {
namespace {

constexpr int kPartitions = 8;
constexpr std::uint64_t kBadEach = 997;  // every so many rows one that the table refuses
constexpr std::uint64_t kRowsAtATime = 5'000;

std::chrono::seconds duration() {
  const char* minutes = std::getenv("MILLRACE_CHAOS_MINUTES");
  return minutes != nullptr ? std::chrono::seconds(60 * std::atoi(minutes))
                            : std::chrono::seconds(60);
}

std::uint32_t seed() {
  const char* given = std::getenv("MILLRACE_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::stoul(given)) : std::random_device{}();
}

// The servers, two places for a millrace, and what may happen to them.
class Chaos {
 public:
  Chaos(std::filesystem::path folder, std::uint32_t seed)
      : folder_(std::move(folder)),
        random_(seed),
        keeper_(folder_ / "keeper"),
        kafka_(folder_ / "kafka") {
    kafka_.spawn();
    keeper_.start();
    clickhouse_ = std::make_unique<RealClickHouse>(
        RealClickHouse::Options{.folder = folder_ / "clickhouse",
                                .config_xml = keeper_.clickhouse_config(),
                                .replicated = true});
    clickhouse_->start();
    proxy_ = std::make_unique<FaultProxy>(clickhouse_->port());
    kafka_.wait_ready();
    kafka_.create_topic("chaos", kPartitions);
    // A view that is behind a replicated table, into another one.
    const auto replicated = [&](const std::string& name, const std::string& columns) {
      clickhouse_->query("CREATE TABLE " + name + " (" + columns +
                         ") ENGINE = ReplicatedMergeTree('/tables/" + name + "', '1') ORDER BY n");
    };
    replicated("chaos", "n UInt64, text String, CONSTRAINT good CHECK text != 'bad'");
    replicated("target", "n UInt64");
    clickhouse_->query("CREATE MATERIALIZED VIEW view TO target AS SELECT n FROM chaos");
    start(0);
  }

  void run(std::chrono::seconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      produce();
      const auto& [name, fault] = kFaults[random_() % std::size(kFaults)];
      ++counts_[name];
      (this->*fault)();
      wait_for_progress();
    }
    proxy_->hold(false);
    proxy_->limit(0);
    for (const auto& [name, count] : counts_) std::cout << name << ": " << count << "\n";
    std::cout << produced_ << " rows" << std::endl;
  }

  void expect_each_row_once() {
    const auto committed = [&] {
      return total(kafka_.committed_offsets("chaos", "chaos")) ==
             static_cast<std::int64_t>(produced_);
    };
    EXPECT_TRUE(
        eventually(committed, std::chrono::seconds(180), "all offsets are committed", Millis{300}))
        << millraces_[0]->get("/status").body;
    const std::uint64_t bad = (produced_ + kBadEach - 1) / kBadEach;
    const std::string good = std::to_string(produced_ - bad);
    for (const char* table : {"chaos", "target"}) {
      EXPECT_EQ(clickhouse_->query("SELECT count(), uniqExact(n) FROM " + std::string(table)),
                good + "\t" + good)
          << table;
    }
    EXPECT_EQ(clickhouse_->query("SELECT count(), uniqExact(partition, offset) FROM "
                                 "millrace_dead_letters FINAL"),
              std::to_string(bad) + "\t" + std::to_string(bad));
    for (const auto& millrace : millraces_) {
      if (millrace == nullptr) continue;
      EXPECT_EQ(millrace->metric("millrace_ledger_difference_records"), 0);
      EXPECT_EQ(millrace->stop(), 0);
    }
  }

 private:
  void start(std::size_t place) {
    const std::string config =
        "clickhouse: {endpoints: ['http://127.0.0.1:" + std::to_string(proxy_->port()) +
        "'], request_timeout: 2s, pool: {connect_timeout: 1s}}\n"
        "pipelines:\n  - {name: chaos, table: chaos, delivery: exactly_once, batch: {max_rows: "
        "500, max_age: 200ms}, source: {kafka: {brokers: '" +
        kafka_.brokers() +
        "', group: chaos, topics: [chaos], options: {session.timeout.ms: '6000'}}}}\n"
        "workers: {count: 4, retry: {max: 1s, wait_probe: 200ms, wait_probe_max: 1s}}\n";
    millraces_[place] = std::make_unique<Millrace>(
        folder_ / ("millrace-" + std::to_string(place) + "-" + std::to_string(starts_++)), config);
    millraces_[place]->start();
  }

  void produce() {
    const std::uint64_t end = produced_ + kRowsAtATime;
    kafka_.produce("chaos", [&](KafkaMessage& message) {
      if (produced_ == end) return false;
      message.payload = produced_ % kBadEach == 0
                            ? R"({"text":"bad","n":)" + std::to_string(produced_) + "}"
                            : row_json(produced_);
      message.partition = static_cast<std::int32_t>(produced_++ % kPartitions);
      return true;
    });
  }

  // Until some rows more have arrived; not for long, because the next fault may come before.
  void wait_for_progress() {
    const auto rows = [&] {
      return clickhouse_->try_number("SELECT count() FROM chaos").value_or(0);
    };
    const std::uint64_t before = rows();
    (void)eventually([&] { return rows() >= before + kRowsAtATime / 4; }, std::chrono::seconds(3),
                     "rows arrive");
    proxy_->hold(false);
    proxy_->limit(0);
  }

  void kill_millrace() {
    millraces_[0]->kill9();
    start(0);
  }
  void join_or_leave() {
    if (millraces_[1] == nullptr) return start(1);
    if (random_() % 2 == 0) {
      millraces_[1]->kill9();
    } else {
      EXPECT_NE(millraces_[1]->stop(), 1);
    }
    millraces_[1].reset();
  }
  // Long enough that the group gives its lanes away.
  void sleep_beyond_the_session() {
    if (millraces_[1] == nullptr) start(1);
    millraces_[0]->signal(SIGSTOP);
    (void)eventually([&] { return millraces_[1]->metric("millrace_lanes") == kPartitions; },
                     std::chrono::seconds(30), "the other one has all lanes");
    millraces_[0]->signal(SIGCONT);
  }
  void kill_clickhouse() {
    clickhouse_->kill9();
    clickhouse_->start();
  }
  void restart_broker() {
    kafka_.kill9();
    kafka_.start();
  }
  void reset_connections() { proxy_->reset_all(); }
  void truncate_answers() { proxy_->truncate_answers(3); }
  void hold_connections() { proxy_->hold(true); }
  void slow_connections() { proxy_->limit(20'000); }

  using Fault = void (Chaos::*)();
  static constexpr std::pair<const char*, Fault> kFaults[] = {
      {"kill millrace", &Chaos::kill_millrace},
      {"kill millrace", &Chaos::kill_millrace},
      {"join or leave", &Chaos::join_or_leave},
      {"join or leave", &Chaos::join_or_leave},
      {"sleep beyond the session", &Chaos::sleep_beyond_the_session},
      {"kill ClickHouse", &Chaos::kill_clickhouse},
      {"restart the broker", &Chaos::restart_broker},
      {"reset connections", &Chaos::reset_connections},
      {"reset connections", &Chaos::reset_connections},
      {"truncate answers", &Chaos::truncate_answers},
      {"truncate answers", &Chaos::truncate_answers},
      {"hold connections", &Chaos::hold_connections},
      {"slow connections", &Chaos::slow_connections},
  };

  const std::filesystem::path folder_;
  std::minstd_rand random_;
  RealKeeper keeper_;
  RealKafka kafka_;
  std::unique_ptr<RealClickHouse> clickhouse_;
  std::unique_ptr<FaultProxy> proxy_;
  std::array<std::unique_ptr<Millrace>, 2> millraces_;
  unsigned starts_ = 0;
  std::uint64_t produced_ = 0;
  std::map<std::string, int> counts_;
};

TEST(Chaos, EachRowArrivesOnceWhateverFails) {
  const std::uint32_t drawn = seed();
  std::cout << "MILLRACE_SEED=" << drawn << std::endl;
  const TempDir folder("chaos");
  Chaos chaos(folder.path(), drawn);
  chaos.run(duration());
  chaos.expect_each_row_once();
}

}  // namespace
}  // namespace millrace::test
