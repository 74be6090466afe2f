// A KafkaReader with all that it needs around it, and a worker that does as the test says instead
// of inserting.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/producer.h"
#include "service/sources/kafka_reader.h"

namespace millrace::test {

using TopicPartition = std::pair<std::string, std::int32_t>;

// What has been acknowledged, by all rigs that share it. Thread-safe.
class Received {
 public:
  void add(const InsertBlock& block);
  std::size_t records() const;   // without repetitions
  std::size_t repeated() const;  // records that came more than once
  // Offsets of a partition, in order.
  std::vector<std::int64_t> offsets(const std::string& topic, std::int32_t partition) const;
  std::vector<std::string> payloads(const std::string& topic, std::int32_t partition) const;

 private:
  mutable Mutex mutex_;
  std::map<TopicPartition, std::map<std::int64_t, std::string>> payloads_ GUARDED_BY(mutex_);
  std::size_t repeated_ GUARDED_BY(mutex_) = 0;
};

struct RigOptions {
  KafkaSourceOptions source;
  std::size_t budget_bytes = 256u << 20;
  BatchLimits batch{
      .max_rows = 1'000, .max_bytes = 1u << 20, .max_age = std::chrono::milliseconds{100}};
  LaneLimits lanes{};
  MetadataColumns columns{};
  std::shared_ptr<Received> received;  // null: nothing is kept of the records, only counted
};

// Owned by the test's thread.
class KafkaRig {
 public:
  explicit KafkaRig(RigOptions options);
  ~KafkaRig();  // abort

  // The worker takes blocks but acknowledges none, until release().
  void hold() { held_ = true; }
  void release() { held_ = false; }
  // The worker acknowledges only blocks of which this partition is the source.
  void acknowledge_only(std::int32_t partition) { only_ = partition; }

  // What run() returned.
  bool drain(std::chrono::milliseconds grace);
  bool abort() { return drain(std::chrono::milliseconds{-1}); }

  KafkaReader& reader() { return *reader_; }
  const KafkaReader& reader() const { return *reader_; }
  ByteBudget& budget() { return budget_; }
  FlowControl& flow() { return flow_; }
  TableStats& table() { return *target_->stats; }
  std::vector<LaneStatus> lanes() const { return registry_.status(); }
  std::size_t acknowledged() const { return acknowledged_; }
  std::size_t abandoned_blocks() const { return abandoned_; }
  bool logged(const std::string& part) const;

 private:
  void work();
  bool may_acknowledge(const InsertBlock& block) const;
  void acknowledge(InsertBlockPtr block);
  LogSink log_sink();

  const RigOptions options_;
  ByteBudget budget_;
  BlockQueue queue_;
  LaneRegistry registry_;
  std::shared_ptr<TableTarget> target_;
  const std::shared_ptr<ServerClock> clock_ = std::make_shared<ServerClock>();
  std::unique_ptr<KafkaReader> reader_;
  FlowControl flow_;
  Producer producer_;
  StopSignal stop_;
  std::atomic<bool> held_{false}, drained_{false};
  std::atomic<std::int32_t> only_{-1};
  std::atomic<std::size_t> acknowledged_{0}, abandoned_{0};
  mutable Mutex mutex_;
  std::vector<std::string> log_ GUARDED_BY(mutex_);
  std::thread reading_, working_;
};

}  // namespace millrace::test
