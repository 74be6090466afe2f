// One consumer from joining the group to leaving it: the loop of a reader's thread.
//
//   poll -> append -> commit        the ordinary turn
//   no room in the budget           keep what is in hand, wait, after a second pause all partitions
//   assign                          committed offsets -> lanes -> assign
//   revoke                          cut -> acknowledged (bounded) -> commit -> close lanes ->
//   unassign stop                            pause -> cut -> acknowledged (until the deadline) ->
//   commit -> leave
//   of no more use                close lanes -> leave, so that nobody waits for this member
//
// Nothing in here sleeps without a bound, and while it waits it goes on to serve the group.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/producer.h"
#include "pipeline/source.h"
#include "service/sources/kafka_client.h"
#include "service/sources/kafka_identity.h"
#include "service/sources/kafka_reader.h"

namespace millrace {

// Owned by the reader's thread.
class KafkaSession {
 public:
  // Everything that is passed must outlive it. Throws std::runtime_error when librdkafka refuses
  // the settings.
  KafkaSession(const KafkaReaderOptions& options, ByteBudget& budget, KafkaStats& stats,
               KafkaFaults& faults, Producer& producer, const StopSignal& stop,
               KafkaTopicsAtStart& at_start);
  ~KafkaSession();
  KafkaSession(const KafkaSession&) = delete;

  // Until `stop` was obeyed, or until this consumer is of no more use and another must take over
  // from the committed offsets. True when all that was read is acknowledged and committed.
  bool run();

 private:
  struct Partition {
    std::string topic;
    std::int32_t number = 0;
    Lane* lane = nullptr;
    KafkaMessage::Wants wants{};
    std::int64_t committed = -1;  // by the broker's word
    std::string plan;             // beside it, without its time; exactly once
    bool keeps_plan = false;      // of another configuration: it may not be written over
    std::string plan_in_air;      // of the commit that has no answer yet
    std::int64_t plan_end = -1;   // the last end that it names
    std::map<std::int64_t, std::chrono::sys_seconds> named;  // planned ends: when each was first
    std::optional<SteadyTime>
        unknown_since;       // when one of them was, before ClickHouse's first answer
    SteadyTime confirmed{};  // when the last commit that went well was sent
    bool paused = false;     // in librdkafka
    bool leaving = false;    // asked back by the group: takes no more records
    bool held = false;       // Producer::wants_pause
    std::size_t unfinished_at_hold = 0;
    bool stuck = false;                         // at a record that can never be taken
    std::optional<SteadyTime> out_of_range;     // when to look for the offset to go on at
    std::int64_t last_read = 0;                 // at the last look around
    LogMarks marks;                             // what its log is known by
    std::string marks_committed, marks_in_air;  // beside the offset; at least once
    std::int64_t newest_ms = -1;                // the highest timestamp that was read
    std::int64_t marked_to = 0;                 // what had been read when it was last marked
    SteadyTime marked_at{}, last_at{};          // and when; when it last had a record
    std::optional<std::int64_t> other_log;      // it is another, by this answer
    SteadyTime verified_at{};                   // when the broker said that it is the same
    std::optional<SteadyTime> doubted_since;    // and since when it owes us that answer
    std::int64_t end_at = -1;                   // the end of what can be read, when it was there
    std::optional<SteadyTime> closed_since;     // there is more behind that end
    bool transaction_open = false;              // and that is why
    KafkaPartition at(std::int64_t offset) const { return {topic, number, offset, {}, {}}; }
    std::string name() const { return topic + "/" + std::to_string(number); }
  };
  using Key = std::pair<std::string, std::int32_t>;

  // Reading (kafka_session.cc).
  void turn(SteadyTime now);
  void read(SteadyTime now);
  bool take_hand(SteadyTime now);
  void read_burst(SteadyTime now);
  void refill(SteadyTime now);
  void keep(KafkaMessage message);
  bool take(const KafkaMessage& message, SteadyTime now);
  bool refuse(Partition& partition, const Record& record);
  void on_message_error(const KafkaMessage& message, SteadyTime now);
  void on_errors();
  void update_pauses();
  void look_around(SteadyTime now);
  void ask_end_of_paused();
  void look_for_other_tables(SteadyTime now);  // kafka_sharing.cc
  void probe_faults();
  void recover_offset(Partition& partition, SteadyTime now);
  bool read_from(Partition& partition, std::int64_t offset);
  void reopen_lane(Partition& partition, std::int64_t offset);
  Partition* find(const KafkaMessage& message);
  std::chrono::milliseconds patience(SteadyTime now) const;
  void log(LogLevel level, const std::string& key, std::string message,
           const Partition* partition = nullptr) const;

  // The group (kafka_group.cc).
  void serve_group(SteadyTime now);
  void begin_rebalance(SteadyTime now);
  bool try_assign(SteadyTime now);
  bool try_revoke(SteadyTime now);
  void open_lanes(const KafkaPartitions& partitions);
  void close_lanes(const KafkaPartitions& partitions);
  void clear_access_faults();
  KafkaPartitions to_commit(SteadyTime now);
  void commit_when_due(SteadyTime now);
  void begin_commit(const KafkaPartitions& partitions);
  void on_commit_error(const KafkaError& error);

  // Where it begins (kafka_start.cc).
  void note_topics();
  bool was_there(const KafkaPartition& partition) const;
  bool offsets_unknown(const KafkaError& error);
  bool find_start_offsets(KafkaPartitions& partitions);
  bool latest_is_settled(const KafkaPartitions& assigned);
  void begin_group(KafkaPartitions partitions);

  // What the logs are (kafka_log.cc).
  static std::string marks_metadata(const Partition& partition, std::int64_t position);
  static void take_marks(Partition& partition, const KafkaPartition& from);
  std::optional<std::int64_t> begin_of_other_log(KafkaPartition of, const LogMarks& marks,
                                                 std::int64_t answer);
  void say_other_log(const std::string& name, const LogMarks& marks, std::int64_t answer,
                     std::int64_t next, std::int64_t begin);
  void leave_other_logs(KafkaPartitions& partitions);
  bool may_read_on(Partition& partition, SteadyTime now);
  void verify_logs(SteadyTime now);
  void go_to_other_log(Partition& partition, SteadyTime now);
  void mark_logs(SteadyTime now);
  void look_for_transaction(Partition& partition, SteadyTime now);
  void say_open_transaction(Partition& partition, std::int64_t next, std::int64_t high);

  // Exactly once (kafka_plan.cc).
  bool plans() const { return options_.source.delivery != Delivery::kAtLeastOnce; }
  std::string config_hash(const TableTarget& target) const;
  void open_planned_lane(Partition& partition, const KafkaPartition& from,
                         std::shared_ptr<const TableTarget> target);
  bool learn_times(Partition& partition) const;
  std::optional<KafkaPartition> plan_to_commit(Partition& partition, SteadyTime now) const;
  void note_committed(Partition& partition);
  bool forget_unplanned(SteadyTime now);
  void end_commit(std::chrono::milliseconds timeout);
  bool commit_and_wait(SteadyTime deadline);
  SteadyTime under_grace(std::chrono::milliseconds most) const;
  bool aborted() const { return stop_.deadline() == SteadyTime{}; }
  void wait_leaving();
  bool commit_last();
  bool leave();
  void withdraw();

  const KafkaReaderOptions& options_;
  ByteBudget& budget_;
  KafkaStats& stats_;
  KafkaFaults& faults_;
  Producer& producer_;
  const StopSignal& stop_;
  KafkaTopicsAtStart& at_start_;
  KafkaConsumer consumer_;
  // No member, and reads nothing: a broker answers the requests of one connection in turn, so that
  // a question of the consumer's waits for its fetch, half a second where nothing arrives.
  KafkaConsumer questions_;

  std::map<Key, Partition> partitions_;
  const void* cached_topic_ = nullptr;  // find() answers from here while messages come in runs
  std::int32_t cached_number_ = -1;
  Partition* cached_ = nullptr;

  std::deque<KafkaMessage> hand_;  // handed over by librdkafka, not taken yet; in order
  std::vector<RecordHeader> headers_;
  BudgetGate gate_;
  RefillPolicy refill_;
  std::optional<KafkaRebalance> rebalance_;  // the one that is being answered
  SteadyTime rebalance_due_{};               // assign: the next try; revoke: the end of patience
  SteadyTime next_commit_{}, next_look_{}, next_probe_{};
  SteadyTime next_verify_{}, next_ask_{};  // whether the logs are the same
  std::optional<SteadyTime> begin_due_;    // for another member to begin the group
  Key last_asked_{};                       // the paused partition whose end was asked for last
  std::string last_broker_error_;
  SteadyTime next_sharing_look_{};
  int foreign_looks_ = 0;       // that found a partition of others with another table, in turn
  SteadyTime commit_sent_{};    // of the commit in the air
  bool forgotten_ = false;      // of the rebalance: what was not planned
  bool doubt_brokers_ = false;  // one of them did not answer; do the others?
  bool stopping_ = false;
  bool broken_ = false;
};

}  // namespace millrace
