#include "service/sources/kafka_dead_letters.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <set>
#include <stdexcept>
#include <utility>

#include "service/dead_letters/letter_text.h"
#include "service/sources/kafka_client.h"
#include "transport/error.h"
#include "transport/mutex.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

constexpr int kTimeoutMs = 10'000;  // of one store(), about; abort() ends it at once
constexpr milliseconds kSlice{20};  // how often to look whether it was aborted
// The broker and the topic say how large a letter may be, not the client: the most that librdkafka
// takes, instead of its own 1 MB.
constexpr const char* kMostMessageBytes = "1000000000";

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

bool is_about_connection(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT ||
         error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         error == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
}

// What became of the messages of one store(). Thread-safe: the reports come to whichever thread
// polls.
class Delivery {
 public:
  void expect() {
    const MutexLock lock(mutex_);
    ++pending_;
  }
  void report(rd_kafka_resp_err_t error) {
    const MutexLock lock(mutex_);
    --pending_;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) error_ = error;
  }
  bool done() const {
    const MutexLock lock(mutex_);
    return pending_ == 0;
  }
  rd_kafka_resp_err_t error() const {
    const MutexLock lock(mutex_);
    return error_;
  }

 private:
  mutable Mutex mutex_;
  std::size_t pending_ GUARDED_BY(mutex_) = 0;
  rd_kafka_resp_err_t error_ GUARDED_BY(mutex_) = RD_KAFKA_RESP_ERR_NO_ERROR;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  static_cast<Delivery*>(message->_private)->report(message->err);
}

using Options = std::vector<std::pair<std::string, std::string>>;

const Options& producer_options() {
  static const Options kOptions = {{"enable.idempotence", "true"},
                                   {"compression.type", "lz4"},
                                   {"message.max.bytes", kMostMessageBytes},
                                   {"message.timeout.ms", std::to_string(kTimeoutMs)}};
  return kOptions;
}

// Throws std::runtime_error with librdkafka's text.
KafkaConf make_conf(const KafkaSourceOptions& source, const std::string& client_id,
                    const Options& ours) {
  KafkaConf conf(rd_kafka_conf_new());
  std::array<char, 512> text{};
  const auto set = [&](const std::string& name, const std::string& value) {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text.data(), text.size()) !=
        RD_KAFKA_CONF_OK) {
      throw std::runtime_error("librdkafka option " + name + ": " + text.data());
    }
  };
  if (!source.brokers.empty()) set("bootstrap.servers", source.brokers);
  set("client.id", client_id + "-dead-letters");
  set("log_level", "0");  // what goes wrong comes as an error
  for (const auto& [name, value] : source.options) set(name, value);
  for (const auto& [name, value] : ours) set(name, value);
  rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
  return conf;
}

KafkaHandle make_handle(rd_kafka_type_t type, KafkaConf conf) {
  std::array<char, 512> text{};
  KafkaHandle handle(rd_kafka_new(type, conf.get(), text.data(), text.size()));
  if (!handle) throw std::runtime_error(std::string("librdkafka: ") + text.data());
  (void)conf.release();  // it belongs to the handle now
  return handle;
}

// A producer and what its reports refer to, which must outlive it. Thread-safe.
class Producer {
 public:
  explicit Producer(KafkaHandle handle) : handle_(std::move(handle)) {}
  ~Producer() { end_client(std::move(handle_), deliveries_); }
  Producer(const Producer&) = delete;

  rd_kafka_t* get() const noexcept { return handle_.get(); }
  // The caller goes away before all its reports have come.
  void abandon(std::shared_ptr<Delivery> delivery) {
    const MutexLock lock(mutex_);
    deliveries_->push_back(std::move(delivery));
  }

 private:
  Mutex mutex_;
  const std::shared_ptr<std::vector<std::shared_ptr<Delivery>>> deliveries_ =
      std::make_shared<std::vector<std::shared_ptr<Delivery>>>();
  KafkaHandle handle_;
};

// Workers do not wait for each other: the producer is shared, and one of them makes it.
class KafkaArchive final : public DeadLetterArchive {
 public:
  KafkaArchive(KafkaSourceOptions source, std::string client_id, std::string topic)
      : source_(std::move(source)), client_id_(std::move(client_id)), topic_(std::move(topic)) {}

  void prepare() override { (void)producer(); }

  void store(std::span<const DeadLetter> letters) override {
    const std::shared_ptr<Producer> producer = this->producer();
    const auto delivery = std::make_shared<Delivery>();
    std::size_t largest = 0;
    try {
      for (const DeadLetter& letter : letters) {
        largest = std::max(largest, produce(*producer, letter, *delivery));
      }
      while (!delivery->done()) {
        stop_if_aborted();
        rd_kafka_poll(producer->get(), kSlice.count());
      }
    } catch (...) {
      producer->abandon(delivery);
      throw;
    }
    if (delivery->error() == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    forget(producer);  // some of its errors are for good, and the topic may be gone
    refused(delivery->error(), largest);
  }

  void abort() noexcept override {
    {
      const MutexLock lock(mutex_);
      aborted_ = true;
    }
    made_.notify_all();
  }

  std::string name() const override { return "topic " + topic_; }

  DeadLetters read(const DeadLetterFilter& filter) override {
    const KafkaHandle consumer =
        make_handle(RD_KAFKA_CONSUMER, make_conf(source_, client_id_,
                                                 {{"group.id", source_.group},
                                                  {"enable.auto.commit", "false"},
                                                  {"auto.offset.reset", "earliest"},
                                                  {"enable.partition.eof", "true"}}));
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
  // The one that all share. Made by who comes first; the others wait for it, and learn of its
  // failure. Throws std::runtime_error, AbortedError.
  std::shared_ptr<Producer> producer() {
    MutexLock lock(mutex_);
    if (making_) {
      while (making_ && !aborted_) made_.wait(mutex_);
      if (!aborted_ && !producer_) throw std::runtime_error(failure_);
    }
    if (aborted_) throw AbortedError("stopping", false);
    if (producer_) return producer_;
    making_ = true;
    lock.unlock();
    std::shared_ptr<Producer> made;
    std::exception_ptr failure;
    std::string text;
    try {
      made = make_producer();
    } catch (const std::exception& error) {
      failure = std::current_exception();
      text = error.what();
    }
    lock.lock();
    making_ = false;
    producer_ = made;
    failure_ = std::move(text);
    lock.unlock();
    made_.notify_all();
    if (failure) std::rethrow_exception(failure);
    return made;
  }

  std::shared_ptr<Producer> make_producer() {
    auto made = std::make_shared<Producer>(
        make_handle(RD_KAFKA_PRODUCER, make_conf(source_, client_id_, producer_options())));
    make_topic(*made);
    return made;
  }

  void forget(const std::shared_ptr<Producer>& producer) {
    const MutexLock lock(mutex_);
    if (producer_ == producer) producer_.reset();
  }

  void stop_if_aborted() const {
    const MutexLock lock(mutex_);
    if (aborted_) throw AbortedError("stopping", true);
  }

  // That it is refused shows when it is written to: who may not make topics may write to one that
  // is there.
  void make_topic(const Producer& producer) {
    std::array<char, 512> text{};
    const NewTopic topic(rd_kafka_NewTopic_new(topic_.c_str(), 1, -1, text.data(), text.size()));
    if (!topic) throw std::runtime_error(text.data());
    const KafkaQueue queue(rd_kafka_queue_new(producer.get()));
    rd_kafka_NewTopic_t* topics[] = {topic.get()};
    rd_kafka_CreateTopics(producer.get(), topics, 1, nullptr, queue.get());
    const auto deadline = std::chrono::steady_clock::now() + milliseconds{kTimeoutMs};
    for (;;) {
      const Event event(rd_kafka_queue_poll(queue.get(), kSlice.count()));
      if (event) {
        const rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
        if (is_about_connection(error)) fail("no answer from " + source_.brokers, error);
        return;
      }
      stop_if_aborted();
      if (std::chrono::steady_clock::now() >= deadline) {
        fail("no answer from " + source_.brokers, RD_KAFKA_RESP_ERR__TIMED_OUT);
      }
    }
  }

  // To the producer's queue.
  rd_kafka_resp_err_t hand_over(const Producer& producer, const std::string& key,
                                const std::string& value, Delivery& delivery) const {
    std::array<rd_kafka_vu_t, 5> parts{};
    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    parts[0].u.cstr = topic_.c_str();
    parts[1].vtype = RD_KAFKA_VTYPE_KEY;
    parts[1].u.mem = {const_cast<char*>(key.data()), key.size()};  // it is only read
    parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[2].u.mem = {const_cast<char*>(value.data()), value.size()};
    parts[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[3].u.i = RD_KAFKA_MSG_F_COPY;
    parts[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[4].u.ptr = &delivery;
    rd_kafka_error_t* error = rd_kafka_produceva(producer.get(), parts.data(), parts.size());
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);  // of null: none
    rd_kafka_error_destroy(error);
    return code;
  }

  // The size of the message.
  std::size_t produce(const Producer& producer, const DeadLetter& letter, Delivery& delivery) {
    std::string line;
    append_letter(letter, LetterBytes::kStrict, line);
    line.pop_back();  // the newline
    delivery.expect();
    for (;;) {
      const rd_kafka_resp_err_t error = hand_over(producer, letter.token, line, delivery);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        delivery.report(error);
        break;
      }
      stop_if_aborted();
      rd_kafka_poll(producer.get(), kSlice.count());
    }
    return line.size() + letter.token.size();
  }

  [[noreturn]] void refused(rd_kafka_resp_err_t error, std::size_t largest) const {
    if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
      throw std::runtime_error("it takes no message of " + std::to_string(largest) +
                               " bytes: raise `max.message.bytes` of topic " + topic_ +
                               " (by default `message.max.bytes` of the brokers); a letter is "
                               "larger than its record, as "
                               "it says more than that and is JSON (MSG_SIZE_TOO_LARGE)");
    }
    fail("cannot write to it", error);
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
  mutable Mutex mutex_;
  CondVar made_;
  bool making_ GUARDED_BY(mutex_) = false;  // somebody makes the producer
  bool aborted_ GUARDED_BY(mutex_) = false;
  std::string failure_ GUARDED_BY(mutex_);  // of the last one to make it
  std::shared_ptr<Producer> producer_ GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<DeadLetterArchive> make_kafka_archive(KafkaSourceOptions source,
                                                      std::string client_id, std::string topic) {
  return std::make_shared<KafkaArchive>(std::move(source), std::move(client_id), std::move(topic));
}

std::string kafka_archive_refused(KafkaSourceOptions source) {
  source.brokers.clear();
  try {
    return client_refused(KafkaRole::kProducer,
                          make_conf(source, "millrace-check", producer_options()));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace millrace
