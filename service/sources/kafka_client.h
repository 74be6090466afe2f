// librdkafka's C API behind RAII and values: the only face of it that the rest of the source sees.
//
// Messages are polled one by one on purpose. rd_kafka_consume_batch_queue() of 2.0.2 discards
// messages that it has already counted as handed over when a partition is paused for a rebalance
// while the batch is being gathered (rdkafka_queue.c, BARRIER): a partition that stays with us in a
// cooperative rebalance then goes on behind them, and they are lost.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/record.h"
#include "pipeline/worker.h"  // LogSink
#include "service/sources/kafka_options.h"
#include "service/sources/kafka_policy.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;
struct rd_kafka_queue_s;
struct rd_kafka_topic_partition_list_s;

namespace millrace {

struct KafkaHandleDeleter {
  void operator()(rd_kafka_s* handle) const noexcept;
};
using KafkaHandle = std::unique_ptr<rd_kafka_s, KafkaHandleDeleter>;
// Ends a client, which can take for ever: librdkafka 2.0.2 never ends the threads of a consumer
// whose topic was deleted while it was read, and any client waits for a host name that is being
// resolved. False after a few seconds: then its threads are left behind, and `keep` with them,
// which is what its callbacks refer to.
bool end_client(KafkaHandle handle, std::shared_ptr<void> keep);
struct KafkaConfDeleter {
  void operator()(rd_kafka_conf_s* conf) const noexcept;
};
using KafkaConf = std::unique_ptr<rd_kafka_conf_s, KafkaConfDeleter>;
struct KafkaQueueDeleter {
  void operator()(rd_kafka_queue_s* queue) const noexcept;
};
using KafkaQueue = std::unique_ptr<rd_kafka_queue_s, KafkaQueueDeleter>;
struct KafkaMessageDeleter {
  void operator()(rd_kafka_message_s* message) const noexcept;
};

// An error of the broker or of the library; false when there is none.
struct KafkaError {
  int code = 0;
  std::string name;  // Kafka's: "_TRANSPORT", "UNKNOWN_TOPIC_OR_PART" …
  std::string text;
  bool fatal = false;  // the handle is of no more use
  explicit operator bool() const noexcept { return code != 0; }
};

struct KafkaPartition {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = kNoOffset;
  KafkaError error{};
  std::string metadata{};  // stands beside a committed offset
  static constexpr std::int64_t kNoOffset = -1001;
};
using KafkaPartitions = std::vector<KafkaPartition>;

// What librdkafka handed over: a record, or an error that concerns a partition or the consumer.
class KafkaMessage {
 public:
  KafkaMessage() = default;
  explicit KafkaMessage(rd_kafka_message_s* message) : message_(message) {}
  explicit operator bool() const noexcept { return message_ != nullptr; }

  bool is_error() const noexcept;
  KafkaError error() const;
  // Equal for messages of one topic while the topic is assigned; cheap.
  const void* topic_handle() const noexcept;
  std::string topic() const;
  std::int32_t partition() const noexcept;
  std::int64_t offset() const noexcept;
  std::size_t bytes() const noexcept;          // of key and payload
  std::int64_t timestamp_ms() const noexcept;  // -1: it has none
  bool is_tombstone() const noexcept;

  struct Wants {
    bool key = false, timestamp = false, headers = false, traceparent = false;
  };
  // A view into the message; `headers` is where the list of them lives.
  Record record(Wants wants, std::vector<RecordHeader>& headers) const;

 private:
  std::unique_ptr<rd_kafka_message_s, KafkaMessageDeleter> message_;
};

struct KafkaRebalance {
  enum class Kind { kAssign, kRevoke, kLost };
  Kind kind;
  KafkaPartitions partitions;
};

struct KafkaCommitResult {
  KafkaError error;  // of the whole commit
  KafkaPartitions partitions;
};

// As rd_kafka_version() has it: 0x020002ff.
int kafka_library_version();
// Our settings and the user's on top of them. Appends what librdkafka says of bad ones to `faults`.
KafkaConf make_kafka_conf(const KafkaSourceOptions& options, const std::string& client_id,
                          std::vector<std::string>& faults);
enum class KafkaRole { kConsumer, kProducer };
// What librdkafka says of settings only when a client is made of them (one that contradicts
// another, a file that is missing); empty: it takes them. Makes such a client and ends it; connects
// to nothing, as long as `conf` names no brokers.
std::string client_refused(KafkaRole role, KafkaConf conf);
std::string consumer_refused(KafkaSourceOptions options, const std::string& client_id);
// Names, numbers and the text of an error code.
KafkaError kafka_error(int code, std::string text = {});

// One member of the group. Owned by one thread. Offsets are committed only when it is told to.
//
// A rebalance is not carried out inside librdkafka's callback but kept until the owner takes it and
// answers with assign() or unassign(); the group waits meanwhile. So no call re-enters another.
class KafkaConsumer {
 public:
  // Throws std::runtime_error with librdkafka's text when the settings are no good.
  KafkaConsumer(const KafkaSourceOptions& options, const std::string& client_id, LogSink log);
  // Leaves without telling the group unless close() came before. Bounded, see end_client().
  ~KafkaConsumer();
  KafkaConsumer(const KafkaConsumer&) = delete;

  KafkaError subscribe(const std::vector<std::string>& topics);
  // Serves what librdkafka wants to tell us, too. Nothing when nothing came in time.
  KafkaMessage poll(std::chrono::milliseconds timeout);
  std::optional<KafkaRebalance> take_rebalance();
  std::vector<KafkaError> take_errors();

  KafkaError committed(KafkaPartitions& partitions, std::chrono::milliseconds timeout);
  // Whether the group's coordinator answers.
  bool reaches_coordinator(const std::string& topic, std::chrono::milliseconds timeout);
  // For each partition a time in milliseconds, where else its offset stands, is replaced by the
  // offset of its first record of that time or later; below 0: it has no such record. kEnd is
  // replaced by the end (with isolation.level read_committed the last stable offset).
  static constexpr std::int64_t kEnd = -1;
  KafkaError offsets_for_times(KafkaPartitions& partitions, std::chrono::milliseconds timeout);
  struct Watermarks {
    std::int64_t low = -1, high = -1;  // -1: unknown
  };
  KafkaError query_watermarks(const KafkaPartition& of, std::chrono::milliseconds timeout,
                              Watermarks& out);
  Watermarks cached_watermarks(const std::string& topic, std::int32_t partition);
  // Messages that are ready to be polled.
  std::size_t queued() const noexcept;
  // Has the threads that fetch from these partitions' brokers look now whether there is room for
  // more (see RefillPolicy). Waits for their answers only for a moment.
  void wake_fetchers(const KafkaPartitions& partitions);
  // Whether the brokers answer.
  KafkaError ping(std::chrono::milliseconds timeout);
  KafkaError list_topics(std::chrono::milliseconds timeout, std::vector<std::string>& names);
  // How many partitions each topic has.
  KafkaError partition_counts(std::chrono::milliseconds timeout,
                              std::map<std::string, std::int32_t>& counts);
  KafkaError find_topic(const std::string& topic, std::chrono::milliseconds timeout);
  KafkaError count_partitions(const std::string& topic, std::chrono::milliseconds timeout,
                              std::int32_t& count);
  // One partition of the topic for each broker that leads some.
  KafkaError find_leaders(const std::string& topic, std::chrono::milliseconds timeout,
                          KafkaPartitions& one_of_each);

  // The answer to kAssign, each partition with the offset to begin at; to be called with all
  // partitions that are to be read after it (`added` are those which are new).
  KafkaError assign(const KafkaPartitions& all, const KafkaPartitions& added);
  // The answer to kRevoke and kLost.
  KafkaError unassign(const KafkaPartitions& removed);
  // Reads `one` of the assigned partitions from another offset on.
  KafkaError restart(const KafkaPartitions& all, const KafkaPartition& one);
  // Both discard what is prefetched of the partitions; it is fetched again.
  KafkaError pause(const KafkaPartitions& partitions);
  KafkaError resume(const KafkaPartitions& partitions);

  // One commit at a time: not before the result of the one before was taken.
  KafkaError start_commit(const KafkaPartitions& partitions);
  bool commit_in_flight() const noexcept { return inbox_->commit_in_flight; }
  std::optional<KafkaCommitResult> take_commit_result(std::chrono::milliseconds timeout);

  // Leaves the group. False when that took too long.
  bool close(std::chrono::milliseconds timeout);
  std::chrono::milliseconds session_timeout() const noexcept { return session_timeout_; }

 private:
  struct Callbacks;
  struct Metadata;
  template <class Look>
  KafkaError look_at_topic(const std::string& topic, std::chrono::milliseconds timeout,
                           const Look& look);
  // What the callbacks leave for us. Shared with the library's threads, which may outlive us.
  struct Inbox {
    LogSink log;
    std::atomic<bool> quiet{false};  // log no more
    std::deque<KafkaRebalance> rebalances;
    std::vector<KafkaError> errors;
    bool commit_in_flight = false;
    std::optional<KafkaCommitResult> commit_result;
  };
  bool cooperative() const;

  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::chrono::milliseconds session_timeout_{45'000};
  bool owes_answer_ = false;  // to a rebalance that was taken
  KafkaHandle handle_;
  KafkaQueue queue_;  // what poll() takes from
  KafkaQueue commit_queue_;
};

}  // namespace millrace
