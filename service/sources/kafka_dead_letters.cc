#include "service/sources/kafka_dead_letters.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <stdexcept>
#include <utility>

#include "service/dead_letters/letter_text.h"
#include "service/sources/kafka_client.h"
#include "transport/mutex.h"

namespace millrace {
namespace {

constexpr int kTimeoutMs = 10'000;  // a drain may have to wait for it

template <auto Function>
struct Destroy {
  template <class T>
  void operator()(T* handle) const noexcept {
    Function(handle);
  }
};
using Event = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;

[[noreturn]] void fail(const std::string& what, rd_kafka_resp_err_t error) {
  throw std::runtime_error(what + ": " + rd_kafka_err2str(error) + " (" + rd_kafka_err2name(error) +
                           ")");
}

// What became of the messages of one store(): delivery reports come while it waits.
struct Delivery {
  std::size_t acknowledged = 0;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto* delivery = static_cast<Delivery*>(message->_private);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++delivery->acknowledged;
  } else {
    delivery->error = message->err;
  }
}

class KafkaArchive final : public DeadLetterArchive {
 public:
  KafkaArchive(KafkaSourceOptions source, std::string client_id, std::string topic)
      : source_(std::move(source)), client_id_(std::move(client_id)), topic_(std::move(topic)) {}

  void store(std::span<const DeadLetter> letters) override {
    const MutexLock lock(mutex_);
    if (!producer_) {
      producer_ =
          make_handle(RD_KAFKA_PRODUCER, {{"enable.idempotence", "true"},
                                          {"compression.type", "lz4"},
                                          {"message.timeout.ms", std::to_string(kTimeoutMs)}});
      make_topic();
    }
    Delivery delivery;
    for (const DeadLetter& letter : letters) produce(letter, delivery);
    // The reports refer to `delivery`: whatever happens they must have come.
    while (rd_kafka_outq_len(producer_.get()) > 0) rd_kafka_flush(producer_.get(), kTimeoutMs);
    if (delivery.acknowledged == letters.size()) return;
    producer_.reset();  // some of its errors are for good, and the topic may be gone
    if (delivery.error != RD_KAFKA_RESP_ERR_NO_ERROR) fail("cannot write to it", delivery.error);
    throw std::runtime_error("the broker did not acknowledge all of them");
  }

  std::string name() const override { return "topic " + topic_; }

  DeadLetters read(const DeadLetterFilter& filter) override {
    const KafkaHandle consumer = make_handle(RD_KAFKA_CONSUMER, {{"group.id", source_.group},
                                                                 {"enable.auto.commit", "false"},
                                                                 {"auto.offset.reset", "earliest"},
                                                                 {"enable.partition.eof", "true"}});
    rd_kafka_poll_set_consumer(consumer.get());
    const std::size_t partitions = assign_all(consumer.get());
    std::set<std::int32_t> read;  // to their end
    LetterLog log;
    while (read.size() < partitions) {
      const KafkaMessage message(rd_kafka_consumer_poll(consumer.get(), kTimeoutMs));
      if (!message) throw std::runtime_error("no answer from " + source_.brokers);
      if (!message.is_error()) {
        std::vector<RecordHeader> none;
        log.add(message.record({}, none).payload);
      } else if (const KafkaError error = message.error(); error.name == "_PARTITION_EOF") {
        read.insert(message.partition());
      } else {
        throw std::runtime_error(name() + ": " + error.text + " (" + error.name + ")");
      }
    }
    return log.take(filter);
  }

 private:
  using Options = std::vector<std::pair<std::string, std::string>>;

  KafkaHandle make_handle(rd_kafka_type_t type, const Options& ours) const {
    const KafkaConf conf(rd_kafka_conf_new());
    std::array<char, 512> text{};
    const auto set = [&](const std::string& name, const std::string& value) {
      if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text.data(), text.size()) !=
          RD_KAFKA_CONF_OK) {
        throw std::runtime_error("librdkafka option " + name + ": " + text.data());
      }
    };
    set("bootstrap.servers", source_.brokers);
    set("client.id", client_id_ + "-dead-letters");
    set("log_level", "0");  // what goes wrong comes as an error
    for (const auto& [name, value] : source_.options) set(name, value);
    for (const auto& [name, value] : ours) set(name, value);
    rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
    // The handle takes a copy's place: ours stays the deleter's.
    rd_kafka_conf_t* given = rd_kafka_conf_dup(conf.get());
    KafkaHandle handle(rd_kafka_new(type, given, text.data(), text.size()));
    if (handle) return handle;
    rd_kafka_conf_destroy(given);
    throw std::runtime_error(std::string("librdkafka: ") + text.data());
  }

  // A failure shows when it is written to: who may not make topics may write to one that is there.
  void make_topic() REQUIRES(mutex_) {
    std::array<char, 512> text{};
    const NewTopic topic(rd_kafka_NewTopic_new(topic_.c_str(), 1, -1, text.data(), text.size()));
    if (!topic) throw std::runtime_error(text.data());
    const KafkaQueue queue(rd_kafka_queue_new(producer_.get()));
    rd_kafka_NewTopic_t* topics[] = {topic.get()};
    rd_kafka_CreateTopics(producer_.get(), topics, 1, nullptr, queue.get());
    const Event event(rd_kafka_queue_poll(queue.get(), kTimeoutMs));
  }

  void produce(const DeadLetter& letter, Delivery& delivery) REQUIRES(mutex_) {
    std::string line;
    append_letter(letter, LetterBytes::kStrict, line);
    line.pop_back();  // the newline
    for (;;) {
      const rd_kafka_resp_err_t error = rd_kafka_producev(
          producer_.get(), RD_KAFKA_V_TOPIC(topic_.c_str()),
          RD_KAFKA_V_KEY(letter.token.data(), letter.token.size()),
          RD_KAFKA_V_VALUE(line.data(), line.size()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
          RD_KAFKA_V_OPAQUE(&delivery), RD_KAFKA_V_END);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        delivery.error = error;
        return;
      }
      rd_kafka_poll(producer_.get(), 100);
    }
  }

  // All partitions from their beginning; how many they are.
  std::size_t assign_all(rd_kafka_t* consumer) const {
    const std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>> topic(
        rd_kafka_topic_new(consumer, topic_.c_str(), nullptr));
    const rd_kafka_metadata_t* raw = nullptr;
    const rd_kafka_resp_err_t error = rd_kafka_metadata(consumer, 0, topic.get(), &raw, kTimeoutMs);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail("cannot ask " + source_.brokers, error);
    const Metadata metadata(raw);
    const auto& found = metadata->topics[0];
    if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return 0;  // no letter came yet
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) fail(name(), found.err);
    const std::unique_ptr<rd_kafka_topic_partition_list_t,
                          Destroy<rd_kafka_topic_partition_list_destroy>>
        list(rd_kafka_topic_partition_list_new(found.partition_cnt));
    for (int i = 0; i < found.partition_cnt; ++i) {
      rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), found.partitions[i].id)
          ->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    if (const auto refused = rd_kafka_assign(consumer, list.get())) fail(name(), refused);
    return static_cast<std::size_t>(found.partition_cnt);
  }

  const KafkaSourceOptions source_;
  const std::string client_id_, topic_;
  Mutex mutex_;
  KafkaHandle producer_ GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<DeadLetterArchive> make_kafka_archive(KafkaSourceOptions source,
                                                      std::string client_id, std::string topic) {
  return std::make_shared<KafkaArchive>(std::move(source), std::move(client_id), std::move(topic));
}

}  // namespace millrace
