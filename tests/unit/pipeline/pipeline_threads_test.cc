#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "pipeline/pipeline.h"
#include "pipeline/worker_pool.h"
#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_record;
using testing::make_target;

// Reads records without end into one lane until it is told to stop, then drains.
class EndlessReader final : public SourceReader {
 public:
  explicit EndlessReader(std::string topic) : topic_(std::move(topic)) {}

  bool run(Producer& producer, const StopSignal& stop) override {
    Lane& lane = producer.open_lane({"g", topic_, 0}, make_target(), 0);
    const std::string payload(1'000, 'x');
    while (!stop.requested()) {
      if (producer.wants_pause(lane)) {
        std::this_thread::yield();
        continue;
      }
      const Record record = make_record(lane.next_offset(), payload);
      if (producer.append(lane, record, steady_clock::now()) == AppendResult::kBudgetSpent) {
        std::this_thread::yield();
      }
    }
    producer.cut_all(CutReason::kLeaving);
    while (!producer.all_idle()) {
      if (steady_clock::now() >= stop.deadline()) return false;
      std::this_thread::yield();
    }
    read_ = lane.next_offset();
    committed_ = lane.progress().position();
    return true;
  }
  std::string not_ready_reason() const override { return ""; }

  std::int64_t read_ = -1, committed_ = -2;

 private:
  const std::string topic_;
};

class FaultyReader final : public SourceReader {
 public:
  bool run(Producer&, const StopSignal&) override { throw std::logic_error("broken invariant"); }
  std::string not_ready_reason() const override { return ""; }
};

class EarlyReader final : public SourceReader {
 public:
  bool run(Producer&, const StopSignal&) override { return true; }
  std::string not_ready_reason() const override { return ""; }
};

class PipelineTest : public ::testing::Test {
 protected:
  std::unique_ptr<Pipeline> make_pipeline(std::vector<std::unique_ptr<SourceReader>> readers) {
    PipelineOptions options;
    options.name = "p";
    options.batch.max_rows = 50;
    return std::make_unique<Pipeline>(options, std::move(readers), budget_, queue_, log_.sink());
  }

  ByteBudget budget_{1u << 20};
  BlockQueue queue_;
  testing::LogRecorder log_;
  std::shared_ptr<testing::SendScript> script_ = std::make_shared<testing::SendScript>();
  WorkerPool workers_{2, queue_, testing::fake_senders(script_), {}, budget_, log_.sink()};
};

TEST_F(PipelineTest, ADrainLeavesNothingBehind) {
  std::vector<std::unique_ptr<SourceReader>> readers;
  std::vector<EndlessReader*> seen;
  for (const char* topic : {"a", "b"}) {
    auto reader = std::make_unique<EndlessReader>(topic);
    seen.push_back(reader.get());
    readers.push_back(std::move(reader));
  }
  const auto pipeline = make_pipeline(std::move(readers));
  workers_.start();
  pipeline->start();
  const auto all_moved = [&] {
    const auto lanes = pipeline->lanes();
    return lanes.size() == 2 && lanes[0].position > 1'000 && lanes[1].position > 1'000;
  };
  while (!all_moved()) std::this_thread::yield();
  pipeline->drain(steady_clock::now() + std::chrono::minutes(5));
  EXPECT_TRUE(pipeline->join());
  workers_.stop();
  for (const EndlessReader* reader : seen) EXPECT_EQ(reader->committed_, reader->read_);
  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_THAT(pipeline->lanes(), IsEmpty());
  EXPECT_THAT(pipeline->faults(), IsEmpty());
}

TEST_F(PipelineTest, ADrainThatItsDeadlineEndsIsSaidToBeIncomplete) {
  std::vector<std::unique_ptr<SourceReader>> readers;
  readers.push_back(std::make_unique<EndlessReader>("a"));
  const auto pipeline = make_pipeline(std::move(readers));
  pipeline->start();  // without workers nothing is ever acknowledged
  while (queue_.queued() == 0) std::this_thread::yield();
  pipeline->abort();
  EXPECT_FALSE(pipeline->join());
}

TEST_F(PipelineTest, AReaderThatThrowsIsReportedForGoodAndStopsNobodyElse) {
  std::vector<std::unique_ptr<SourceReader>> readers;
  readers.push_back(std::make_unique<FaultyReader>());
  const auto pipeline = make_pipeline(std::move(readers));
  pipeline->start();
  EXPECT_FALSE(pipeline->join());
  EXPECT_THAT(pipeline->faults(), ElementsAre(HasSubstr("broken invariant")));
  EXPECT_THAT(pipeline->not_ready_reasons(), ElementsAre(HasSubstr("broken invariant")));
  ASSERT_EQ(log_.events().size(), 1u);
  EXPECT_EQ(log_.events()[0].level, LogLevel::kError);
}

TEST_F(PipelineTest, AReaderThatEndsByItselfIsGone) {
  std::vector<std::unique_ptr<SourceReader>> readers;
  readers.push_back(std::make_unique<EarlyReader>());
  const auto pipeline = make_pipeline(std::move(readers));
  pipeline->start();
  EXPECT_FALSE(pipeline->join()) << "it says that all is done, but nobody asked it to end";
  EXPECT_THAT(pipeline->faults(), ElementsAre(HasSubstr("ended, and nobody asked it to")));
  ASSERT_EQ(log_.events().size(), 1u);
}

TEST(StopSignalTest, AnAbortIsNotProlongedByALaterDrain) {
  StopSignal stop;
  EXPECT_FALSE(stop.requested());
  stop.drain_until(SteadyTime{} + std::chrono::hours(5));
  EXPECT_TRUE(stop.requested());
  EXPECT_EQ(stop.deadline(), SteadyTime{} + std::chrono::hours(5));
  stop.abort();
  stop.drain_until(SteadyTime{} + std::chrono::hours(9));
  EXPECT_EQ(stop.deadline(), SteadyTime{});
}

}  // namespace
}  // namespace millrace
