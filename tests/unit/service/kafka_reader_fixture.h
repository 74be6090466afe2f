// What the tests of a KafkaReader share: a real broker for all of them, a topic for each.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>

#include "tests/support/files.h"
#include "tests/support/real_kafka.h"
#include "tests/unit/service/kafka_rig.h"

namespace millrace::test {

class KafkaReaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempDir>("kafka");
    kafka_ = std::make_unique<RealKafka>(folder_->path());
    kafka_->start();
  }
  static void TearDownTestSuite() {
    kafka_.reset();
    folder_.reset();
  }

  // A topic of this test, with messages "p-<n>" spread over its partitions in turn.
  void make_topic(int partitions, int messages) {
    kafka_->create_topic(topic_, partitions);
    partitions_ = partitions;
    produce(messages);
  }
  void produce(int messages, std::size_t padding = 0) {
    int n = 0;
    kafka_->produce(topic_, [&](KafkaMessage& message) {
      if (n == messages) return false;
      message.payload = "p-" + std::to_string(n) + std::string(padding, 'x');
      message.partition = n++ % partitions_;
      return true;
    });
    produced_ += static_cast<std::size_t>(messages);
  }
  RigOptions rig_options() {
    RigOptions options;
    options.source.brokers = kafka_->brokers();
    options.source.group = "g-" + topic_;
    options.source.topics = {topic_};
    options.source.prefetch_bytes = 8u << 20;
    options.source.commit_interval = std::chrono::milliseconds{100};
    options.source.delivery = Delivery::kAtLeastOnce;  // plans have tests of their own
    // Quick where the broker's defaults are slow.
    options.source.options = {{"topic.metadata.refresh.interval.ms", "500"},
                              {"session.timeout.ms", "20000"},
                              {"heartbeat.interval.ms", "300"},
                              {"reconnect.backoff.max.ms", "500"}};
    options.received = received_;
    return options;
  }
  // Every message of the topic was acknowledged, each offset from 0 on.
  void expect_all_received() {
    const auto ends = kafka_->end_offsets(topic_);
    for (const auto& [partition, end] : ends) {
      std::vector<std::int64_t> all(static_cast<std::size_t>(end));
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(received_->offsets(topic_, partition), all) << "partition " << partition;
    }
  }
  testing::AssertionResult all_received() {
    return eventually([&] { return received_->records() >= produced_; }, kPatience,
                      std::to_string(produced_) + " records");
  }
  // As retention does it: the partition begins at `offset` from now on.
  void delete_records_below(std::int32_t partition, std::int64_t offset) {
    const auto file = folder_->path() / ("delete-" + topic_ + ".json");
    write_file(file, R"({"version":1,"partitions":[{"topic":")" + topic_ + R"(","partition":)" +
                         std::to_string(partition) + R"(,"offset":)" + std::to_string(offset) +
                         "}]}");
    const ProgramResult result =
        run_program({project_file("deploy/dev/kafka-tool").string(),
                     "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server",
                     kafka_->brokers(), "--offset-json-file", file.string()},
                    kPatience);
    ASSERT_EQ(result.exit_code, 0) << result.output;
  }
  RealKafka::Offsets committed() { return kafka_->committed_offsets("g-" + topic_, topic_); }

  static inline std::unique_ptr<TempDir> folder_;
  static inline std::unique_ptr<RealKafka> kafka_;
  static inline int topics_ = 0;
  const std::string topic_ = "t" + std::to_string(topics_++);
  int partitions_ = 0;
  std::size_t produced_ = 0;
  std::shared_ptr<Received> received_ = std::make_shared<Received>();
};

}  // namespace millrace::test
