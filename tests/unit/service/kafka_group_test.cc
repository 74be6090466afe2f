// A KafkaReader against a real broker: where it begins, what it commits, how it joins and leaves.
#include <gtest/gtest.h>

#include <future>

#include "service/sources/kafka_check.h"
#include "service/sources/kafka_client.h"
#include "tests/unit/service/kafka_reader_fixture.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(KafkaReaderTest, CommitsNothingOfAPartitionWhoseBlocksAreNotAcknowledged) {
  make_topic(2, 10'000);
  KafkaRig rig(rig_options());
  rig.acknowledge_only(1);
  const auto end = kafka_->end_offsets(topic_).at(1);
  ASSERT_TRUE(
      eventually([&] { return committed()[1] == end; }, kPatience, "partition 1 committed"));
  EXPECT_EQ(committed()[0], 0);
  EXPECT_FALSE(rig.drain(milliseconds{500}));
  EXPECT_EQ(committed()[0], 0);
}

TEST_F(KafkaReaderTest, GoesOnFromTheCommittedOffsetAfterADrain) {
  make_topic(2, 5'000);
  {
    KafkaRig rig(rig_options());
    ASSERT_TRUE(all_received());
    EXPECT_TRUE(rig.drain(kPatience));
  }
  EXPECT_EQ(committed(), kafka_->end_offsets(topic_));
  produce(5'000);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(all_received());
  rig.drain(kPatience);
  expect_all_received();
  EXPECT_EQ(received_->repeated(), 0u);
}

TEST_F(KafkaReaderTest, AnAbortCommitsWhatWasAcknowledgedAndNothingElse) {
  make_topic(2, 5'000);
  {
    RigOptions options = rig_options();
    options.source.commit_interval = std::chrono::hours{1};
    KafkaRig rig(options);
    rig.acknowledge_only(0);
    const auto end = static_cast<std::size_t>(kafka_->end_offsets(topic_).at(0));
    ASSERT_TRUE(eventually([&] { return received_->offsets(topic_, 0).size() == end; }, kPatience,
                           "partition 0 acknowledged"));
    EXPECT_FALSE(rig.abort());
  }
  EXPECT_EQ(committed()[0], kafka_->end_offsets(topic_).at(0));
  EXPECT_EQ(committed()[1], 0);
}

TEST_F(KafkaReaderTest, ABrokerThatIsAwayDuringTheLastCommitIsWaitedForWhileThereIsGrace) {
  make_topic(2, 100);
  RigOptions options = rig_options();
  options.source.commit_interval = std::chrono::hours{1};
  KafkaRig rig(options);
  ASSERT_TRUE(eventually([&] { return committed().size() == 2; }, kPatience, "the first commit"));
  produce(5'000);
  ASSERT_TRUE(all_received());
  kafka_->kill9();
  auto drained = std::async(std::launch::async, [&] { return rig.drain(kPatience); });
  // The absence itself is what is tested: longer than one try to commit takes.
  EXPECT_EQ(drained.wait_for(milliseconds{4'000}), std::future_status::timeout);
  kafka_->start();
  EXPECT_TRUE(drained.get());
  EXPECT_EQ(committed(), kafka_->end_offsets(topic_));
}

TEST_F(KafkaReaderTest, ASecondConsumerJoinsAndLeavesWithNothingLostOrDoubled) {
  make_topic(8, 40'000);
  for (const std::string assignment : {"range", "cooperative-sticky"}) {
    if (!check_assignment(assignment).empty()) continue;
    SCOPED_TRACE(assignment);
    RigOptions options = rig_options();
    options.source.assignment = assignment;
    KafkaRig first(options);
    ASSERT_TRUE(eventually([&] { return first.lanes().size() == 8; }, kPatience, "all of them"));
    {
      KafkaRig second(options);
      ASSERT_TRUE(
          eventually([&] { return second.lanes().size() == 4 && first.lanes().size() == 4; },
                     kPatience, "half of the partitions each"));
      produce(40'000);
      ASSERT_TRUE(all_received());
      EXPECT_GT(second.acknowledged(), 0u);
      EXPECT_TRUE(second.drain(kPatience));
    }
    ASSERT_TRUE(eventually([&] { return first.lanes().size() == 8; }, kPatience, "all again"));
    produce(40'000);
    ASSERT_TRUE(all_received());
    EXPECT_TRUE(first.drain(kPatience));
    expect_all_received();
    EXPECT_EQ(received_->repeated(), 0u);
  }
}

TEST_F(KafkaReaderTest, PartitionsAreGivenBackOnlyWhenTheirBlocksAreAcknowledgedAndCommitted) {
  make_topic(2, 4'000);
  KafkaRig first(rig_options());
  first.hold();
  ASSERT_TRUE(eventually([&] { return first.reader().stats().messages.value() == 4'000; },
                         kPatience, "all read"));
  KafkaRig second(rig_options());
  ASSERT_TRUE(eventually([&] { return first.reader().stats().rebalances.values()["revoke"] == 1; },
                         kPatience, "the group wants partitions back"));
  first.release();
  ASSERT_TRUE(eventually([&] { return second.lanes().size() == 1; }, kPatience, "its share"));
  EXPECT_EQ(first.abandoned_blocks(), 0u);
  EXPECT_EQ(committed(), kafka_->end_offsets(topic_));
  EXPECT_EQ(second.reader().stats().messages.value(), 0u);
}

TEST_F(KafkaReaderTest, APausedReaderStillTakesPartInARebalance) {
  make_topic(4, 0);
  produce(40'000, 1'000);
  RigOptions options = rig_options();
  options.budget_bytes = 16u << 20;
  options.lanes.max_blocks_in_flight = 1'000;
  KafkaRig first(options);
  first.hold();
  ASSERT_TRUE(eventually([&] { return first.reader().stats().partitions_paused.value() == 4; },
                         kPatience, "all partitions paused"));
  KafkaRig second(rig_options());
  ASSERT_TRUE(eventually([&] { return second.lanes().size() == 2; }, kPatience, "its share"));
  first.release();
  ASSERT_TRUE(all_received());
  expect_all_received();
}

TEST_F(KafkaReaderTest, LatestBeginsBehindWhatWasThereAndIsCommittedAtOnce) {
  make_topic(1, 100);
  RigOptions options = rig_options();
  options.source.start_offset = "latest";
  {
    KafkaRig rig(options);
    ASSERT_TRUE(eventually([&] { return committed()[0] == 100; }, kPatience, "start committed"));
  }
  produce(10);  // while nobody reads
  KafkaRig rig(options);
  ASSERT_TRUE(eventually([&] { return received_->records() == 10; }, kPatience, "the new ones"));
  EXPECT_EQ(received_->offsets(topic_, 0).front(), 100);
}

TEST_F(KafkaReaderTest, WithoutACommittedOffsetStartOffsetErrorReadsNothingAndSaysSo) {
  make_topic(1, 100);
  RigOptions options = rig_options();
  options.source.start_offset = "error";
  KafkaRig rig(options);
  ASSERT_TRUE(eventually(
      [&] { return rig.reader().not_ready_reason().find("start_offset") != std::string::npos; },
      kPatience, "the reason"));
  EXPECT_EQ(received_->records(), 0u);
}

TEST_F(KafkaReaderTest, APartitionWithoutACommittedOffsetThatLeavesIsNoReasonAnyMore) {
  make_topic(2, 100);
  for (const std::string assignment : {"range", "cooperative-sticky"}) {
    if (!check_assignment(assignment).empty()) continue;
    SCOPED_TRACE(assignment);
    RigOptions options = rig_options();
    options.source.start_offset = "error";
    options.source.assignment = assignment;
    options.source.group += assignment;
    KafkaRig first(options);
    const auto named = [&](const KafkaRig& rig) {
      const std::string reason = rig.reader().not_ready_reason();
      return std::count(reason.begin(), reason.end(), '/');  // of <topic>/<partition>
    };
    ASSERT_TRUE(eventually([&] { return named(first) == 2; }, kPatience, "both partitions"));
    KafkaRig second(options);
    ASSERT_TRUE(eventually([&] { return named(first) == 1 && named(second) == 1; }, kPatience,
                           "each names the partition that it has"))
        << first.reader().not_ready_reason();
    EXPECT_FALSE(first.logged("consumer is replaced"));
  }
}

// As when SIGTERM comes soon after a restart.
TEST_F(KafkaReaderTest, ADrainInTheMiddleOfAPlannedBlockLeavesItToTheNextOwner) {
  make_topic(1, 100);
  RigOptions options = rig_options();
  options.source.delivery = Delivery::kExactlyOnce;
  // A former owner's block that has 100 of its records in the topic yet.
  const TableTarget target{.pipeline = "p", .table = "t", .columns = {}};
  const Checkpoint planned{.position = 0,
                           .ends = {50, 1'000},
                           .incarnation = "inc",
                           .config = hash_text({target.config_hash(), "skip"})};
  {
    KafkaConsumer former(options.source, "former", nullptr);
    ASSERT_FALSE(former.start_commit({{topic_, 0, planned.position, {}, plan_text(planned)}}));
    const auto result = former.take_commit_result(kPatience);
    ASSERT_TRUE(result && !result->error);
  }
  KafkaRig rig(options);
  ASSERT_TRUE(eventually([&] { return committed()[0] == 50; }, kPatience, "the first block"));
  ASSERT_TRUE(eventually([&] { return rig.reader().stats().messages.value() == 100; }, kPatience,
                         "all read"));
  EXPECT_TRUE(rig.drain(seconds{20}));
  EXPECT_EQ(received_->records(), 50u);
  EXPECT_EQ(committed()[0], 50);
}

}  // namespace
}  // namespace millrace::test
