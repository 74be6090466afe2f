// Kafka as a source: one consumer of the group on one producer thread.
//
//   librdkafka (its own threads fetch) -> KafkaReader::run() -> Producer -> BlockQueue
//        ^                                     |
//        +---- commits LaneProgress::position() of each partition
//
// A partition is a lane from assignment to revocation. All calls into the broker's library are made
// on the reader's thread; what happens there is in kafka_session.{h,cc}.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/server_clock.h"
#include "pipeline/source.h"
#include "pipeline/stats.h"
#include "service/config.h"
#include "service/sources/kafka_faults.h"
#include "service/sources/kafka_options.h"

namespace millrace {

// Where the rows of a topic go. Must return the same target for the same topic.
using TargetResolver = std::function<std::shared_ptr<const TableTarget>(const std::string& topic)>;

// Of one reader. Thread-safe.
struct KafkaStats {
  Counter messages, bytes;  // handed over by librdkafka: keys and payloads; updated once a burst
  Counter commits;          // acknowledged by the broker
  LabelledCounter commit_errors;  // by Kafka's name of the error
  LabelledCounter rebalances;     // "assign", "revoke", "lost"
  LabelledCounter errors;         // what the broker or the client reported, by Kafka's name
  Counter lost_offsets;           // deleted by the broker before they were read
  Counter begun_again;            // lanes whose topic was made again, or lost its end
  Counter pauses;                 // of one partition each
  Gauge commits_in_flight;
  Gauge partitions, partitions_paused;
};

struct KafkaReaderOptions {
  KafkaSourceOptions source;
  std::string client_id = "millrace";
  TargetResolver targets;
  LogSink log;
  // What all consumers of the process keep of the budget for good, this one's prefetch included.
  std::size_t prefetch_of_all_bytes;
  // What is planned is given its time: until ClickHouse has told it nothing is. Never null.
  std::shared_ptr<const ServerClock> server_clock;
};

// What there was when the reader first got an answer; asked for with `start_offset: latest` only.
struct KafkaTopicsAtStart {
  bool known = false;
  std::map<std::string, std::int32_t> partitions;  // how many each topic had
};

class KafkaReader : public SourceReader {
 public:
  // `budget` must outlive it.
  KafkaReader(KafkaReaderOptions options, ByteBudget& budget);

  bool run(Producer& producer, const StopSignal& stop) override;
  std::string not_ready_reason() const override;
  const KafkaStats& stats() const noexcept { return stats_; }

 private:
  std::optional<ByteReservation> reserve_prefetch(const StopSignal& stop);

  const KafkaReaderOptions options_;
  ByteBudget& budget_;
  KafkaStats stats_;
  KafkaFaults faults_;
  KafkaTopicsAtStart at_start_;  // the reader's thread's
  std::atomic<bool> started_{false};
};

// The readers of a pipeline: as many as it is to have consumers.
std::vector<std::unique_ptr<KafkaReader>> make_kafka_readers(
    const PipelineConfig& config, const TargetResolver& targets, ByteBudget& budget,
    std::size_t prefetch_of_all_bytes, const std::shared_ptr<const ServerClock>& server_clock,
    const LogSink& log);

}  // namespace millrace
