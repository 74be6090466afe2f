// A real Kafka broker of the test's own, and what a test does with one: topics, messages, offsets.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child_process.h"

struct rd_kafka_s;
struct rd_kafka_topic_partition_list_s;

namespace millrace::test {

struct KafkaMessage {
  std::optional<std::string> payload = std::nullopt;  // nothing: a tombstone
  std::optional<std::string> key = std::nullopt;
  std::int32_t partition = -1;    // -1: librdkafka's choice
  std::int64_t timestamp_ms = 0;  // 0: now
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// Messages whose transaction is open. Without an end it is aborted when its time-out is over, or
// when its producer goes.
class KafkaTransaction {
 public:
  virtual ~KafkaTransaction() = default;
  virtual void commit() = 0;
  virtual void abort() = 0;
};

// Owned by one thread.
class RealKafka {
 public:
  explicit RealKafka(std::filesystem::path folder);  // does not start it
  ~RealKafka();

  void start();  // returns when it answers
  void spawn();
  void wait_ready();
  bool running() { return process_ && process_->running(); }
  void kill9();
  void freeze();  // SIGSTOP: it takes connections and answers nothing
  void thaw();
  void stop();  // SIGTERM, and waits for the end
  std::string brokers() const { return "127.0.0.1:" + std::to_string(port_); }

  // Lines of server.properties, `message.max.bytes=20000000` say. Before it is started.
  void add_properties(const std::string& lines);

  // A second listener, for clients that come through a proxy: they find the broker at `proxy_port`,
  // which must lead to proxied_port(), and nowhere else. Before it is started.
  void go_through(std::uint16_t proxy_port) { advertise("127.0.0.1", proxy_port); }
  // The same with any name: what listens at proxied_port() tells clients to go there.
  void advertise(const std::string& host, std::uint16_t port);
  std::uint16_t proxied_port() const { return proxied_port_; }

  void create_topic(const std::string& topic, int partitions);
  void add_partitions(const std::string& topic, int total);
  void delete_topic(const std::string& topic);
  // Those below `offset`, as retention would.
  void delete_records(const std::string& topic, std::int32_t partition, std::int64_t offset);

  // Fills and sends messages until `next` returns false; returns when the broker has them all.
  void produce(const std::string& topic, const std::function<bool(KafkaMessage&)>& next);
  void produce_texts(const std::string& topic, const std::vector<std::string>& payloads);

  // Sends them to partition 0 in a transaction of its own; returns when the broker has them.
  std::unique_ptr<KafkaTransaction> transaction(const std::string& topic,
                                                const std::vector<std::string>& payloads);

  using Offsets = std::map<std::int32_t, std::int64_t>;  // by partition
  Offsets end_offsets(const std::string& topic);
  // What the group has committed; partitions without a commit are left out.
  Offsets committed_offsets(const std::string& group, const std::string& topic);
  // What stands beside the offset of a partition; nothing: the group has committed none.
  std::optional<std::string> committed_metadata(const std::string& group, const std::string& topic,
                                                std::int32_t partition);
  // As a tool that is no member does it. False while the group has members.
  bool commit(const std::string& group, const std::string& topic, std::int32_t partition,
              std::int64_t offset);

 private:
  struct HandleDeleter {
    void operator()(rd_kafka_s* handle) const;
  };
  using Handle = std::unique_ptr<rd_kafka_s, HandleDeleter>;
  struct ListDeleter {
    void operator()(rd_kafka_topic_partition_list_s* list) const;
  };
  using TopicPartitions = std::unique_ptr<rd_kafka_topic_partition_list_s, ListDeleter>;
  class Transaction;
  enum class Kind { kProducer, kConsumer };
  Handle connect(Kind kind, const std::map<std::string, std::string>& settings);
  rd_kafka_s* producer();
  std::vector<std::int32_t> partitions(const std::string& topic);
  TopicPartitions committed(const std::string& group, const std::string& topic);

  const std::filesystem::path folder_;
  const std::uint16_t port_, controller_port_, proxied_port_;
  std::unique_ptr<ChildProcess> process_;
  std::string delivery_failure_;  // the last one; written while the producer is polled
  Handle producer_;
};

// The offsets of all partitions in sum.
std::int64_t total(const RealKafka::Offsets& offsets);

}  // namespace millrace::test
