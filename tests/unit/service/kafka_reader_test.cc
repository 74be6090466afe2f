// A KafkaReader against a real broker, with a worker that does as the test says: what it reads.
#include <gmock/gmock.h>

#include "service/sources/kafka_check.h"
#include "tests/unit/service/kafka_reader_fixture.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST_F(KafkaReaderTest, ReadsEveryRecordOnceAndCommitsTheEndOfEachPartition) {
  make_topic(4, 20'000);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(all_received());
  EXPECT_TRUE(eventually([&] { return committed() == kafka_->end_offsets(topic_); }, kPatience,
                         "committed ends"));
  EXPECT_EQ(rig.reader().not_ready_reason(), "");
  EXPECT_TRUE(rig.drain(kPatience));
  expect_all_received();
  EXPECT_EQ(received_->repeated(), 0u);
  EXPECT_EQ(rig.reader().stats().messages.value(), 20'000u);
  EXPECT_EQ(rig.reader().stats().commits_in_flight.value(), 0);
}

TEST_F(KafkaReaderTest, ABrokerThatIsKilledIsReportedAndReadFromAgainWhenItIsBack) {
  make_topic(4, 20'000);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(all_received());
  kafka_->kill9();
  ASSERT_TRUE(
      eventually([&] { return !rig.reader().not_ready_reason().empty(); }, kPatience, "not ready"));
  EXPECT_THAT(rig.reader().not_ready_reason(), HasSubstr("kafka.brokers"));
  kafka_->start();
  ASSERT_TRUE(eventually([&] { return rig.reader().not_ready_reason().empty(); }, kPatience,
                         "ready again"));
  produce(20'000);
  ASSERT_TRUE(all_received());
  EXPECT_TRUE(rig.drain(kPatience));
  expect_all_received();
  EXPECT_EQ(committed(), kafka_->end_offsets(topic_));
}

TEST_F(KafkaReaderTest, StartsWithoutABrokerAndGoesOnByItself) {
  make_topic(1, 100);
  kafka_->stop();
  KafkaRig rig(rig_options());
  ASSERT_TRUE(eventually(
      [&] { return rig.reader().not_ready_reason().find("kafka.brokers") != std::string::npos; },
      kPatience, "the reason"));
  kafka_->start();
  ASSERT_TRUE(all_received());
  EXPECT_TRUE(
      eventually([&] { return rig.reader().not_ready_reason().empty(); }, kPatience, "ready"));
}

TEST_F(KafkaReaderTest, AMissingTopicIsNamedAndReadWhenItAppears) {
  KafkaRig rig(rig_options());
  ASSERT_TRUE(eventually(
      [&] { return rig.reader().not_ready_reason().find("topic " + topic_) != std::string::npos; },
      kPatience, "the topic's name"));
  make_topic(2, 1'000);
  ASSERT_TRUE(all_received());
  EXPECT_TRUE(
      eventually([&] { return rig.reader().not_ready_reason().empty(); }, kPatience, "ready"));
}

TEST_F(KafkaReaderTest, APatternFindsTopicsThatAppearLater) {
  make_topic(1, 100);
  RigOptions options = rig_options();
  options.source.topics = {"^" + topic_ + "(-.*)?$"};
  KafkaRig rig(options);
  ASSERT_TRUE(all_received());
  kafka_->create_topic(topic_ + "-late", 1);
  kafka_->produce_texts(topic_ + "-late", {"a", "b"});
  EXPECT_TRUE(eventually([&] { return received_->offsets(topic_ + "-late", 0).size() == 2; },
                         kPatience, "the late topic"));
}

TEST_F(KafkaReaderTest, ASpentBudgetStopsReadingAndNothingIsLostOrDoubled) {
  make_topic(4, 0);
  produce(40'000, 1'000);
  RigOptions options = rig_options();
  options.budget_bytes = 16u << 20;
  options.lanes.max_blocks_in_flight = 1'000;
  KafkaRig rig(options);
  rig.hold();
  ASSERT_TRUE(eventually([&] { return rig.reader().stats().partitions_paused.value() == 4; },
                         kPatience, "all partitions paused"));
  EXPECT_LE(rig.budget().used(), rig.budget().limit());
  EXPECT_LT(rig.reader().stats().messages.value(), 40'000u);
  rig.release();
  ASSERT_TRUE(all_received());
  EXPECT_TRUE(rig.drain(kPatience));
  expect_all_received();
  EXPECT_EQ(received_->repeated(), 0u);
}

TEST_F(KafkaReaderTest, ALaneWithTooManyBlocksInFlightIsPausedAloneAndGoesOn) {
  make_topic(2, 20'000);
  RigOptions options = rig_options();
  options.lanes.max_blocks_in_flight = 2;
  KafkaRig rig(options);
  rig.acknowledge_only(1);
  ASSERT_TRUE(eventually([&] { return received_->offsets(topic_, 1).size() == 10'000; }, kPatience,
                         "the other partition"));
  ASSERT_TRUE(eventually([&] { return rig.reader().stats().partitions_paused.value() == 1; },
                         kPatience, "one partition paused"));
  EXPECT_LT(rig.lanes()[0].position, 10'000);
  rig.acknowledge_only(-1);
  ASSERT_TRUE(all_received());
  expect_all_received();
  EXPECT_EQ(received_->repeated(), 0u);
}

TEST_F(KafkaReaderTest, ARecordLargerThanTheBudgetHoldsItsPartitionAndNoOther) {
  kafka_->create_topic(topic_, 2);
  kafka_->produce(topic_, [n = 0](KafkaMessage& message) mutable {
    if (n == 20) return false;
    message.partition = n % 2;
    message.payload = n == 10 ? std::string(900'000, 'x') : "small";  // offset 5 of partition 0
    ++n;
    return true;
  });
  RigOptions options = rig_options();
  options.source.prefetch_bytes = 8u << 20;
  options.budget_bytes = (8u << 20) + 800'000;
  KafkaRig rig(options);
  ASSERT_TRUE(
      eventually([&] { return received_->offsets(topic_, 1).size() == 10 && committed()[0] == 5; },
                 kPatience, "all of partition 1, and partition 0 up to the record"));
  EXPECT_EQ(received_->offsets(topic_, 0).size(), 5u);
  for (const LaneStatus& lane : rig.lanes()) {
    EXPECT_EQ(lane.waiting, lane.id.partition == 0);
    if (!lane.waiting) continue;
    EXPECT_EQ(lane.wait.reason, "RECORD_TOO_LARGE");
    EXPECT_THAT(lane.wait.message, HasSubstr("memory.budget"));
    EXPECT_THAT(lane.wait.message, HasSubstr("offset 5"));
  }
}

TEST_F(KafkaReaderTest, TombstonesAreCountedAndSkippedOrPassedOnAsTold) {
  kafka_->create_topic(topic_, 1);
  kafka_->produce(topic_, [n = 0](KafkaMessage& message) mutable {
    if (n != 1 && n != 4) message.payload = "row";
    if (message.payload == std::nullopt) message.key = "k";
    return n++ < 5;
  });
  {
    KafkaRig rig(rig_options());
    ASSERT_TRUE(eventually([&] { return committed()[0] == 5; }, kPatience, "all committed"));
    EXPECT_EQ(rig.table().tombstones.value(), 2u);
    EXPECT_EQ(received_->offsets(topic_, 0), (std::vector<std::int64_t>{0, 2, 3}));
  }
  RigOptions options = rig_options();
  options.source.group += "-2";
  options.source.tombstones = Tombstones::kEmptyPayload;
  options.received = std::make_shared<Received>();
  KafkaRig rig(options);
  ASSERT_TRUE(eventually([&] { return options.received->records() == 5; }, kPatience, "all five"));
  EXPECT_EQ(options.received->payloads(topic_, 0)[4], "{}");
}

TEST_F(KafkaReaderTest, RecordsDeletedBeforeTheyWereReadAreReportedAndReadingGoesOn) {
  make_topic(2, 2'000);
  {
    KafkaRig rig(rig_options());
    ASSERT_TRUE(all_received());
    EXPECT_TRUE(rig.drain(kPatience));
  }
  produce(2'000);
  ASSERT_NO_FATAL_FAILURE(delete_records_below(0, 1'500));
  KafkaRig rig(rig_options());
  ASSERT_TRUE(
      eventually([&] { return received_->records() == 4'000 - 500; }, kPatience, "the rest"));
  EXPECT_EQ(rig.reader().stats().lost_offsets.value(), 500u);
  EXPECT_TRUE(rig.logged("deleted 500 offsets"));
  EXPECT_TRUE(rig.drain(kPatience));
  EXPECT_EQ(committed(), kafka_->end_offsets(topic_));
  EXPECT_EQ(received_->repeated(), 0u);
}

TEST_F(KafkaReaderTest, ATopicThatWasMadeAgainIsReadFromItsFirstOffset) {
  make_topic(1, 1'000);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(all_received());
  kafka_->delete_topic(topic_);
  ASSERT_TRUE(eventually([&] { return !rig.reader().not_ready_reason().empty(); }, kPatience,
                         "the topic is missed"));
  make_topic(1, 10);
  ASSERT_TRUE(
      eventually([&] { return received_->repeated() == 10; }, kPatience, "offsets 0 to 9 again"));
}

TEST_F(KafkaReaderTest, ABudgetWithoutRoomForThePrefetchIsReportedAndWaitedFor) {
  make_topic(1, 10);
  RigOptions options = rig_options();
  options.budget_bytes = 4u << 20;
  KafkaRig rig(options);
  ASSERT_TRUE(eventually(
      [&] { return rig.reader().not_ready_reason().find("memory.budget") != std::string::npos; },
      kPatience, "the reason"));
  EXPECT_TRUE(rig.drain(kPatience));
}

TEST_F(KafkaReaderTest, TheCheckTellsMissingTopicsAndBrokersApart) {
  make_topic(1, 1);
  KafkaSourceOptions options = rig_options().source;
  EXPECT_TRUE(check_kafka(options, milliseconds{10'000}).empty());
  options.topics = {topic_, "no-such-topic", "^no-such-.*"};
  const auto missing = check_kafka(options, milliseconds{10'000});
  ASSERT_EQ(missing.size(), 2u);
  EXPECT_THAT(missing[0], HasSubstr("no-such-topic"));
  EXPECT_THAT(missing[1], HasSubstr("^no-such-.*"));
  options.brokers = "127.0.0.1:" + std::to_string(free_port());
  const auto down = check_kafka(options, milliseconds{1'000});
  ASSERT_EQ(down.size(), 1u);
  EXPECT_THAT(down[0], HasSubstr("kafka.brokers"));
}

}  // namespace
}  // namespace millrace::test
