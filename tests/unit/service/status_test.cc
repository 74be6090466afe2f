#include "service/status.h"

#include <gmock/gmock.h>

#include "service/sources/kafka_reader.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

std::shared_ptr<const TableTarget> target(const std::string& table) {
  auto made = std::make_shared<TableTarget>();
  made->pipeline = "p";
  made->table = table;
  return made;
}

LaneStatus lane(const std::string& topic, std::int32_t partition, std::int64_t read) {
  LaneStatus status;
  status.id = {"group", topic, partition};
  status.read = read;
  return status;
}

StatusSnapshot gather_one(PipelineSources pipeline) {
  StatusSources sources;
  sources.pipelines = {std::move(pipeline)};
  return StatusGatherer(std::move(sources)).gather();
}

TEST(StatusGatherer, TargetsOfOneTableAreOneEntry) {
  const auto a = target("t"), b = target("t"), other = target("a");
  a->stats->rows.add(10);
  b->stats->rows.add(5);
  a->stats->retries.add("timeout", 2);
  b->stats->retries.add("timeout", 1);
  a->stats->insert_seconds.observe(0.001);
  b->stats->insert_seconds.observe(0.001);
  b->stats->insert_seconds.observe(1'000);
  a->stats->stage_nanoseconds[0].add(1'500'000'000);
  a->stats->cuts[1].add(3);
  const auto snapshot = gather_one({.name = "p", .targets = [&] {
                                      return std::vector{a, b, other};
                                    }});
  const auto& tables = snapshot.pipelines.at(0).tables;
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].table, "a");
  EXPECT_EQ(tables[1].rows, 15u);
  EXPECT_EQ(tables[1].retries.at("timeout"), 3u);
  EXPECT_EQ(tables[1].insert_seconds.counts.front(), 2u);
  EXPECT_EQ(tables[1].insert_seconds.counts.back(), 1u);
  EXPECT_DOUBLE_EQ(tables[1].insert_seconds.sum, 1000.002);
  EXPECT_DOUBLE_EQ(tables[1].stage_seconds[0], 1.5);
  EXPECT_EQ(tables[1].cuts[1], 3u);
}

TEST(StatusGatherer, CountersThatTargetsShareAreCountedOnce) {
  const auto a = target("t");
  auto twin = std::make_shared<TableTarget>(*a);
  a->stats->rows.add(10);
  const auto snapshot =
      gather_one({.name = "p", .targets = [&] {
                    return std::vector<std::shared_ptr<const TableTarget>>{a, twin};
                  }});
  EXPECT_EQ(snapshot.pipelines.at(0).tables.at(0).rows, 10u);
}

TEST(StatusGatherer, ALaneThatTwoReadersHaveIsShownOnceAsTheLaterOneSeesIt) {
  const auto snapshot = gather_one(
      {.name = "p", .lanes = [] {
         return std::vector{lane("b", 0, 1), lane("a", 1, 5), lane("a", 1, 7), lane("a", 0, 2)};
       }});
  std::vector<std::string> seen;
  for (const auto& each : snapshot.pipelines.at(0).lanes) {
    seen.push_back(each.id.topic + std::to_string(each.id.partition) + ":" +
                   std::to_string(each.read));
  }
  EXPECT_THAT(seen, ElementsAre("a0:2", "a1:7", "b0:1"));
}

TEST(StatusGatherer, ReadsTheSharedPartsAsTheyAre) {
  ByteBudget budget(1'000);
  const auto reservation = budget.try_reserve(300);
  BlockQueue queue;
  HttpSessionPool pool;
  Gauge queries;
  queries.add(2);
  StatusSources sources;
  sources.budget = &budget;
  sources.queue = &queue;
  sources.http_sessions = &pool;
  sources.queries_in_flight = &queries;
  sources.not_ready_reasons = [] { return std::vector<std::string>{"broker down"}; };
  PipelineSources pipeline{.name = "p", .source = [] {
                             SourceSnapshot source;
                             source.commits_in_flight = 1;
                             return source;
                           }};
  sources.pipelines = {pipeline, pipeline};
  const StatusSnapshot snapshot = StatusGatherer(sources).gather();
  EXPECT_EQ(snapshot.budget_used_bytes, 300u);
  EXPECT_EQ(snapshot.budget_limit_bytes, 1'000u);
  EXPECT_EQ(snapshot.queued_blocks, 0u);
  EXPECT_EQ(snapshot.queries_in_flight, 2);
  EXPECT_EQ(snapshot.commits_in_flight, 2);
  EXPECT_EQ(snapshot.http_session_options.hard_limit, pool.options().hard_limit);
  EXPECT_FALSE(snapshot.ready());
  EXPECT_GT(snapshot.process.resident_bytes, 1u << 20);
  EXPECT_GE(snapshot.process.open_fds, 3u);
  EXPECT_GE(snapshot.process.max_fds, snapshot.process.open_fds);
}

TEST(StatusGatherer, TheLimitingStageIsJudgedOverSecondsNotOverTheTimeBetweenTwoScrapes) {
  const auto table = target("t");
  ByteBudget budget(1'000);
  const auto all = budget.try_reserve(1'000);
  StatusSources sources;
  sources.budget = &budget;
  sources.pipelines = {{.name = "p", .targets = [&] { return std::vector{table}; }}};
  StatusGatherer gatherer(sources);
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto spend = [&](Stage stage, std::chrono::nanoseconds time) {
    table->stats->stage_nanoseconds[static_cast<std::size_t>(stage)].add(
        static_cast<std::uint64_t>(time.count()));
  };
  spend(Stage::kSend, 8s);
  EXPECT_EQ(gatherer.gather(start + 1s).limit, Limit::kSource) << "nothing judged yet";
  EXPECT_EQ(gatherer.gather(start + 10s).limit, Limit::kSend);
  spend(Stage::kEncode, 3s);  // less than was sent before, but more in this window
  EXPECT_EQ(gatherer.gather(start + 11s).limit, Limit::kSend) << "too soon";
  EXPECT_EQ(gatherer.gather(start + 20s).limit, Limit::kEncode);
}

TEST(Lag, IsUnknownWithoutTheEndAndNeverNegative) {
  LaneStatus status;
  status.position = 90;
  EXPECT_EQ(lag(status), std::nullopt);
  status.high_watermark = 100;
  EXPECT_EQ(lag(status), 10);
  status.high_watermark = 80;  // the end is older than what has been acknowledged since
  EXPECT_EQ(lag(status), 0);
}

TEST(SourceSnapshot, SumsAllReadersOfAPipeline) {
  KafkaStats first, second;
  first.messages.add(3);
  second.messages.add(4);
  first.rebalances.add("assign");
  second.rebalances.add("assign", 2);
  second.lost_offsets.add(9);
  second.begun_again.add(2);
  first.commits_in_flight.add(1);
  second.commits_in_flight.add(1);
  SourceSnapshot sum;
  add(sum, first);
  add(sum, second);
  EXPECT_EQ(sum.messages, 7u);
  EXPECT_EQ(sum.rebalances.at("assign"), 3u);
  EXPECT_EQ(sum.lost_offsets, 9u);
  EXPECT_EQ(sum.begun_again, 2u);
  EXPECT_EQ(sum.commits_in_flight, 2);
}

}  // namespace
}  // namespace millrace
