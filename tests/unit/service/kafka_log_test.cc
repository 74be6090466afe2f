// A KafkaReader against a real broker whose topics come late, are made again, or hold transactions.
#include <gtest/gtest.h>

#include "service/sources/kafka_client.h"
#include "tests/unit/service/kafka_reader_fixture.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class KafkaLogTest : public KafkaReaderTest {
 protected:
  RigOptions options_for(Delivery delivery) {
    RigOptions options = rig_options();
    options.source.delivery = delivery;
    return options;
  }
  RigOptions latest() {
    RigOptions options = rig_options();
    options.source.start_offset = "latest";
    return options;
  }
  void make_again(int messages) {
    kafka_->delete_topic(topic_);
    const auto gone = [&] {
      try {
        kafka_->create_topic(topic_, partitions_);
        return true;
      } catch (const std::runtime_error&) {
        return false;  // it is still there
      }
    };
    ASSERT_TRUE(eventually(gone, kPatience, "made again"));
    produce(messages);
  }
  static bool is_marked(const std::string& metadata) {
    return metadata.starts_with("i1;") || metadata.find('.') != std::string::npos;
  }
  // Of the topic that was made again, from its first offset.
  testing::AssertionResult has_all(const Received& received, int messages) {
    return eventually([&] { return std::ssize(received.offsets(topic_, 0)) == messages; },
                      kPatience, std::to_string(messages) + " of the new topic");
  }
};

TEST_F(KafkaLogTest, LatestReadsAPartitionThatComesLaterFromItsFirstOffset) {
  make_topic(1, 100);
  {
    KafkaRig rig(latest());
    // Not asked of the broker: its first group may have no coordinator yet.
    ASSERT_TRUE(eventually(
        [&] {
          const auto lanes = rig.lanes();
          return lanes.size() == 1 && lanes[0].committed == 100;
        },
        kPatience, "begun"));
    kafka_->add_partitions(topic_, 2);
    partitions_ = 2;
    produce(20);
    ASSERT_TRUE(eventually([&] { return received_->records() == 20; }, kPatience, "all new ones"));
  }
  EXPECT_EQ(received_->offsets(topic_, 0).front(), 100);
  // One that comes while nobody reads.
  kafka_->add_partitions(topic_, 3);
  partitions_ = 3;
  produce(30);
  KafkaRig rig(latest());
  ASSERT_TRUE(eventually([&] { return received_->records() == 50; }, kPatience, "all new ones"));
  EXPECT_EQ(received_->offsets(topic_, 2).front(), 0);
}

TEST_F(KafkaLogTest, LatestReadsATopicOfAPatternThatComesLaterFromItsFirstOffset) {
  RigOptions options = latest();
  options.source.topics = {"^" + topic_ + "_.*"};
  const auto make = [&](const std::string& suffix) {
    kafka_->create_topic(topic_ + suffix, 1);
    kafka_->produce_texts(topic_ + suffix, {"a", "b", "c"});
  };
  const auto read = [&](const std::string& suffix) {
    return received_->offsets(topic_ + suffix, 0).size() == 3;
  };
  {
    KafkaRig rig(options);
    ASSERT_TRUE(eventually(
        [&] { return rig.reader().not_ready_reason().find("UNKNOWN_TOPIC") != std::string::npos; },
        kPatience, "nothing matches yet"));
    make("_first");  // while it runs, and the group has committed nothing yet
    ASSERT_TRUE(eventually([&] { return read("_first"); }, kPatience, "the first"));
  }
  make("_second");
  KafkaRig rig(options);
  ASSERT_TRUE(eventually([&] { return read("_second"); }, kPatience, "the second"));
}

TEST_F(KafkaLogTest, LatestBeginsOnceForAllMembers) {
  make_topic(4, 400);
  KafkaRig first(latest());
  KafkaRig second(latest());
  ASSERT_TRUE(eventually([&] { return second.lanes().size() == 2 && first.lanes().size() == 2; },
                         kPatience, "half of the partitions each"));
  produce(40);
  ASSERT_TRUE(eventually([&] { return received_->records() == 40; }, kPatience, "the new ones"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(received_->offsets(topic_, i).front(), 100);
}

TEST_F(KafkaLogTest, ATopicThatIsMadeAgainWithMoreRecordsIsReadFromItsFirstOffset) {
  for (const Delivery delivery : {Delivery::kAtLeastOnce, Delivery::kExactlyOnce}) {
    SCOPED_TRACE(to_string(delivery));
    if (partitions_ == 0) {
      make_topic(1, 0);
    } else {
      make_again(0);
    }
    produce(2'000);
    RigOptions options = options_for(delivery);
    options.source.group += to_string(delivery);
    options.received = std::make_shared<Received>();
    KafkaRig rig(options);
    ASSERT_TRUE(has_all(*options.received, 2'000));
    ASSERT_TRUE(eventually(
        [&] {
          return is_marked(
              kafka_->committed_metadata(options.source.group, topic_, 0).value_or(""));
        },
        kPatience, "the log is marked"));
    make_again(5'000);
    ASSERT_TRUE(has_all(*options.received, 5'000));
    // Once in the old topic, and none of the new one under the old offsets.
    ASSERT_TRUE(eventually([&] { return rig.acknowledged() == 7'000; }, kPatience, "all"));
    EXPECT_TRUE(rig.drain(kPatience));
    EXPECT_EQ(rig.acknowledged(), 7'000u);
  }
}

// Brokers forget the offsets of a topic that is deleted; a member that commits at that moment, or a
// tool that sets offsets, brings them back.
TEST_F(KafkaLogTest, AnOffsetThatWasCommittedForAFormerTopicIsNotGoneOnFrom) {
  make_topic(1, 2'000);
  for (const Delivery delivery : {Delivery::kAtLeastOnce, Delivery::kExactlyOnce}) {
    SCOPED_TRACE(to_string(delivery));
    RigOptions options = options_for(delivery);
    options.source.group += to_string(delivery);
    options.received = std::make_shared<Received>();
    const auto messages = static_cast<int>(kafka_->end_offsets(topic_).at(0));
    {
      KafkaRig rig(options);
      ASSERT_TRUE(has_all(*options.received, messages));
      EXPECT_TRUE(rig.drain(kPatience));
    }
    const auto metadata = kafka_->committed_metadata(options.source.group, topic_, 0);
    ASSERT_TRUE(metadata && is_marked(*metadata)) << *metadata;
    make_again(messages + 500);
    KafkaPartitions former{{topic_, 0, messages, {}, *metadata}};
    {
      KafkaConsumer tool(options.source, "tool", nullptr);
      ASSERT_FALSE(tool.start_commit(former));
      const auto result = tool.take_commit_result(kPatience);
      ASSERT_TRUE(result && !result->error);
    }
    options.received = std::make_shared<Received>();
    KafkaRig rig(options);
    ASSERT_TRUE(has_all(*options.received, messages + 500));
    EXPECT_EQ(rig.reader().stats().begun_again.value(), 1u);
    EXPECT_TRUE(rig.logged("offsets_anew/" + topic_ + "/0"));
    EXPECT_TRUE(rig.drain(kPatience));
  }
}

TEST_F(KafkaLogTest, RetentionIsNotTakenForATopicThatWasMadeAgain) {
  make_topic(1, 1'000);
  {
    KafkaRig rig(rig_options());
    ASSERT_TRUE(all_received());
    EXPECT_TRUE(rig.drain(kPatience));
  }
  produce(1'000);
  kafka_->delete_records(topic_, 0, 1'500);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(eventually([&] { return committed()[0] == 2'000; }, kPatience, "all that is left"));
  EXPECT_EQ(received_->repeated(), 0u);
  EXPECT_EQ(rig.reader().stats().begun_again.value(), 0u);
}

TEST_F(KafkaLogTest, AnAbortedTransactionAtTheEndIsNoLag) {
  make_topic(1, 10);
  kafka_->transaction(topic_, {"aborted"})->abort();
  for (const Delivery delivery : {Delivery::kAtLeastOnce, Delivery::kExactlyOnce}) {
    SCOPED_TRACE(to_string(delivery));
    RigOptions options = options_for(delivery);
    options.source.group += to_string(delivery);
    KafkaRig rig(options);
    ASSERT_TRUE(eventually(
        [&] {
          const auto lanes = rig.lanes();
          return lanes.size() == 1 && lanes[0].high_watermark == 12 && lanes[0].position == 12;
        },
        kPatience, "no lag"));
  }
}

TEST_F(KafkaLogTest, AnOpenTransactionIsNamedUntilItEnds) {
  make_topic(1, 10);
  const auto transaction = kafka_->transaction(topic_, {"t-0", "t-1"});
  produce(10);
  KafkaRig rig(rig_options());
  ASSERT_TRUE(eventually(
      [&] {
        const auto lanes = rig.lanes();
        return lanes.size() == 1 && lanes[0].waiting;
      },
      kPatience, "it is said"));
  const LaneStatus lane = rig.lanes()[0];
  EXPECT_EQ(lane.wait.reason, "OPEN_TRANSACTION");
  EXPECT_NE(lane.wait.message.find("a transaction is open at offset 10 of " + topic_ + "/0"),
            std::string::npos)
      << lane.wait.message;
  EXPECT_NE(lane.wait.advice.find("transaction.timeout.ms"), std::string::npos);
  EXPECT_EQ(lane.position, 10);
  EXPECT_EQ(lane.high_watermark, 22);  // the lag is what is not in ClickHouse, for whatever reason
  EXPECT_TRUE(rig.logged("transaction/" + topic_ + "/0"));
  transaction->commit();
  ASSERT_TRUE(eventually([&] { return received_->records() == 22; }, kPatience, "all"));
  ASSERT_TRUE(eventually([&] { return !rig.lanes()[0].waiting; }, kPatience, "no more"));
}

// Nobody waits for the end of its session, nor for its answer to a rebalance.
TEST_F(KafkaLogTest, AConsumerThatIsReplacedLeavesTheGroup) {
  make_topic(2, 0);
  RigOptions options = options_for(Delivery::kExactlyOnce);
  options.source.options["session.timeout.ms"] = "300000";
  KafkaRig first(options);
  first.hold();
  produce(100);
  const auto planned = [&](std::int32_t partition) {
    return kafka_->committed_metadata(options.source.group, topic_, partition)
               .value_or(";")
               .back() != ';';
  };
  ASSERT_TRUE(eventually([&] { return planned(0) && planned(1); }, kPatience, "planned"));
  KafkaRig second(options);
  ASSERT_TRUE(eventually([&] { return first.reader().stats().rebalances.values()["revoke"] == 1; },
                         kPatience, "the group wants partitions back"));
  kafka_->freeze();
  first.release();
  ASSERT_TRUE(
      eventually([&] { return first.logged("consumer is replaced"); }, kPatience, "replaced"));
  kafka_->thaw();
  produce(100);
  ASSERT_TRUE(all_received());
}

}  // namespace
}  // namespace millrace::test
