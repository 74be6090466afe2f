// Everything fails, at random, for some time; at the end each row is there once.
//
// The seed is printed, and MILLRACE_SEED plays the same order of faults again (what meets what in
// between is up to the machine). MILLRACE_CHAOS_MINUTES is how long; tests/run chaos --minutes N.
// Of 20 minutes and more certain numbers of faults are asked.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
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
constexpr std::chrono::minutes kLong{20};

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
        seed_(seed),
        random_(seed),
        keeper_(folder_ / "keeper"),
        kafka_(folder_ / "kafka") {
    to_kafka_ = std::make_unique<FaultProxy>(kafka_.proxied_port());
    kafka_.go_through(to_kafka_->port());
    kafka_.spawn();
    keeper_.start();
    clickhouse_ = std::make_unique<RealClickHouse>(
        RealClickHouse::Options{.folder = folder_ / "clickhouse",
                                .config_xml = keeper_.clickhouse_config(),
                                .replicated = true});
    clickhouse_->start();
    to_clickhouse_ = std::make_unique<FaultProxy>(clickhouse_->port());
    kafka_.wait_ready();
    kafka_.create_topic("chaos", kPartitions);
    const auto replicated = [](const std::string& name) {
      return "ReplicatedMergeTree('/tables/" + name + "', '1') ORDER BY n";
    };
    const std::string plain =
        "MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100000";
    create("chaos", "", replicated("chaos"), replicated("chaos_target"));
    // With columns that say which message a row is: rows in doubt after a kill are looked for. What
    // is behind a view can't be looked for, so there is none.
    create("plain", "_topic String, _partition Int32, _offset Int64, ", plain, "");
    start(0);
  }

  void run(std::chrono::seconds time) {
    const auto begun = std::chrono::steady_clock::now();
    const auto passed = [&] { return std::chrono::steady_clock::now() - begun; };
    const auto wanted = [&] {
      return passed() < time || (time >= kLong && !has_enough() && passed() < 2 * time);
    };
    while (wanted()) {
      produce();
      const Kind& kind = draw();
      ++counts_[kind.name];
      (this->*kind.fault)();
      // The next one may come on top of a connection's trouble.
      if (!kind.of_connections || random_() % 4 != 0) wait_for_progress();
    }
    calm();
    std::cout << "MILLRACE_SEED=" << seed_ << ": "
              << std::chrono::duration_cast<std::chrono::seconds>(passed()).count() << " s, "
              << produced_ << " rows";
    for (const auto& [name, count] : counts_) std::cout << "; " << name << " " << count;
    std::cout << "; connections hit: to ClickHouse " << to_clickhouse_->faults() << ", to Kafka "
              << to_kafka_->faults() << std::endl;
    if (time >= kLong) {
      EXPECT_TRUE(has_enough()) << "fewer faults than wanted";
    }
  }

  void expect_each_row_once() {
    for (const std::string& table : tables_) {
      const auto committed = [&] {
        keep_clickhouse_up();
        return total(kafka_.committed_offsets(table, "chaos")) ==
               static_cast<std::int64_t>(produced_);
      };
      EXPECT_TRUE(eventually(committed, std::chrono::seconds(180),
                             "all offsets are committed for " + table, Millis{300}))
          << millraces_[0]->get("/status").body;
    }
    const std::uint64_t bad = (produced_ + kBadEach - 1) / kBadEach;
    const auto twice = [](std::uint64_t n) { return std::to_string(n) + "\t" + std::to_string(n); };
    for (const std::string& table : counted_) {
      EXPECT_EQ(clickhouse_->query("SELECT count(), uniqExact(n) FROM " + table),
                twice(produced_ - bad))
          << table;
    }
    for (const std::string& table : tables_) {
      EXPECT_EQ(clickhouse_->query("SELECT count(), uniqExact(partition, offset) FROM "
                                   "millrace_dead_letters FINAL WHERE table = '" +
                                   table + "'"),
                twice(bad));
    }
    for (const auto& millrace : millraces_) {
      if (millrace == nullptr) continue;
      EXPECT_EQ(millrace->metric("millrace_ledger_difference_records"), 0);
      EXPECT_EQ(millrace->stop(), 0);
    }
  }

 private:
  // A table, and another one behind a view of it if that has an engine. The group of its pipeline
  // has its name.
  void create(const std::string& table, const std::string& more_columns, const std::string& engine,
              const std::string& target_engine) {
    clickhouse_->query(
        "CREATE TABLE " + table + " (" + more_columns +
        "n UInt64, text String, CONSTRAINT good CHECK text != 'bad') ENGINE = " + engine);
    tables_.push_back(table);
    counted_.push_back(table);
    if (target_engine.empty()) return;
    counted_.push_back(table + "_target");
    clickhouse_->query("CREATE TABLE " + table + "_target (n UInt64) ENGINE = " + target_engine);
    clickhouse_->query("CREATE MATERIALIZED VIEW " + table + "_view TO " + table +
                       "_target AS SELECT n FROM " + table);
  }

  void start(std::size_t place) {
    const auto at = [](const FaultProxy& proxy) {
      return "127.0.0.1:" + std::to_string(proxy.port());
    };
    std::string config = "clickhouse: {endpoints: ['http://" + at(*to_clickhouse_) +
                         "'], request_timeout: 2s, pool: {connect_timeout: 1s}}\n"
                         "workers: {count: 4, retry: {max: 1s, wait_probe: 200ms, "
                         "wait_probe_max: 1s}}\npipelines:\n";
    for (const std::string& table : tables_) {
      config +=
          "  - {name: " + table + ", table: " + table +
          ", delivery: exactly_once, batch: {max_rows: 500, max_age: 200ms}, " +
          (table == "plain" ? "columns: {topic: _topic, partition: _partition, offset: _offset}, "
                            : "") +
          "source: {kafka: {brokers: '" + at(*to_kafka_) + "', group: " + table +
          ", topics: [chaos], options: {session.timeout.ms: '6000'}}}}\n";
    }
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

  // As whoever runs a server does. It was seen once to end by itself, without a word, under the
  // inserts after a fault; whatever it was, each row must be there once.
  void keep_clickhouse_up() {
    if (clickhouse_->running()) return;
    ++counts_["ClickHouse ended by itself"];
    std::cout << "ClickHouse ended by itself and is started again" << std::endl;
    clickhouse_->start();
  }

  // Until some rows more have arrived; not for long, because the next fault may come before.
  void wait_for_progress() {
    keep_clickhouse_up();
    const auto rows = [&] {
      return clickhouse_->try_number("SELECT count() FROM chaos").value_or(0);
    };
    const std::uint64_t before = rows();
    (void)eventually([&] { return rows() >= before + kRowsAtATime / 4; }, std::chrono::seconds(3),
                     "rows arrive");
    calm();
  }
  void calm() {
    to_clickhouse_->calm();
    to_kafka_->calm();
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
    (void)eventually(
        [&] {
          return millraces_[1]->metric("millrace_lanes") ==
                 kPartitions * static_cast<double>(tables_.size());
        },
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
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  void reset() {
    (this->*proxy)->reset_all();
  }
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  void truncate() {
    (this->*proxy)->truncate_answers(3);
  }
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  void hold() {
    (this->*proxy)->hold(true);
  }
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  void hold_answers() {
    (this->*proxy)->hold_answers(true);
  }
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  void slow() {
    (this->*proxy)->limit(20'000);
  }

  struct Kind {
    const char* name;
    unsigned share;  // how many of a pack of cards
    int wanted;      // of 20 minutes
    void (Chaos::*fault)();
    bool of_connections = false;
  };
  static const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all = [] {
      std::vector<Kind> made{
          {"kill millrace", 10, 50, &Chaos::kill_millrace},
          {"join or leave", 6, 30, &Chaos::join_or_leave},
          {"sleep beyond the session", 2, 5, &Chaos::sleep_beyond_the_session},
          {"kill ClickHouse", 4, 20, &Chaos::kill_clickhouse},
          {"restart the broker", 1, 5, &Chaos::restart_broker},
      };
      add_connection_faults<&Chaos::to_clickhouse_>(
          made, {"ClickHouse: reset", "ClickHouse: cut", "ClickHouse: half-open",
                 "ClickHouse: no answers", "ClickHouse: slow"});
      add_connection_faults<&Chaos::to_kafka_>(
          made,
          {"Kafka: reset", "Kafka: cut", "Kafka: half-open", "Kafka: no answers", "Kafka: slow"});
      return made;
    }();
    return all;
  }
  template <std::unique_ptr<FaultProxy> Chaos::*proxy>
  static void add_connection_faults(std::vector<Kind>& kinds, std::array<const char*, 5> names) {
    void (Chaos::*const faults[])() = {&Chaos::reset<proxy>, &Chaos::truncate<proxy>,
                                       &Chaos::hold<proxy>, &Chaos::hold_answers<proxy>,
                                       &Chaos::slow<proxy>};
    for (std::size_t i = 0; i < names.size(); ++i)
      kinds.push_back({names[i], 4, 20, faults[i], true});
  }
  // From a shuffled pack, so that no kind stays away for long.
  const Kind& draw() {
    if (pack_.empty()) {
      for (const Kind& kind : kinds()) pack_.insert(pack_.end(), kind.share, &kind);
      std::shuffle(pack_.begin(), pack_.end(), random_);
    }
    const Kind& kind = *pack_.back();
    pack_.pop_back();
    return kind;
  }
  bool has_enough() {
    return std::all_of(kinds().begin(), kinds().end(),
                       [&](const Kind& kind) { return counts_[kind.name] >= kind.wanted; });
  }

  const std::filesystem::path folder_;
  const std::uint32_t seed_;
  std::minstd_rand random_;
  RealKeeper keeper_;
  RealKafka kafka_;
  std::unique_ptr<RealClickHouse> clickhouse_;
  std::unique_ptr<FaultProxy> to_clickhouse_, to_kafka_;
  std::vector<std::string> tables_;
  std::vector<std::string> counted_;  // these, and those behind their views
  std::array<std::unique_ptr<Millrace>, 2> millraces_;
  unsigned starts_ = 0;
  std::uint64_t produced_ = 0;
  std::vector<const Kind*> pack_;
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
