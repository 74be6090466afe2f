#include "tests/support/real_kafka.h"

#include <librdkafka/rdkafka.h>

#include <array>
#include <csignal>
#include <fstream>
#include <stdexcept>

#include "tests/support/files.h"

namespace millrace::test {
namespace {

constexpr int kTimeoutMs = 60'000;
// A broker that was killed comes back when its old registration has expired: soon.
const std::string kExtraSettings =
    "broker.session.timeout.ms=4000\nbroker.heartbeat.interval.ms=500\n";

void check(rd_kafka_resp_err_t error, const std::string& what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw std::runtime_error(what + ": " + rd_kafka_err2str(error));
  }
}

// Remembers what the broker did not take.
void on_delivery(rd_kafka_t* /*handle*/, const rd_kafka_message_t* message, void* opaque) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    *static_cast<std::string*>(opaque) = rd_kafka_err2str(message->err);
  }
}

rd_kafka_headers_t* make_headers(const KafkaMessage& message) {
  if (message.headers.empty()) return nullptr;
  rd_kafka_headers_t* headers = rd_kafka_headers_new(message.headers.size());
  for (const auto& [name, value] : message.headers) {
    rd_kafka_header_add(headers, name.c_str(), -1, value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  return headers;
}

// librdkafka copies payload and key.
rd_kafka_resp_err_t send(rd_kafka_t* handle, const std::string& topic,
                         const KafkaMessage& message) {
  const auto bytes = [](const std::optional<std::string>& text) {
    return text ? const_cast<char*>(text->data()) : nullptr;
  };
  std::array<rd_kafka_vu_t, 7> fields{};
  std::size_t used = 0;
  const auto field = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    fields[used].vtype = type;
    return fields[used++];
  };
  field(RD_KAFKA_VTYPE_TOPIC).u.cstr = topic.c_str();
  field(RD_KAFKA_VTYPE_PARTITION).u.i32 = message.partition;
  field(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  field(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = message.timestamp_ms;
  field(RD_KAFKA_VTYPE_VALUE).u.mem = {bytes(message.payload),
                                       message.payload ? message.payload->size() : 0};
  field(RD_KAFKA_VTYPE_KEY).u.mem = {bytes(message.key), message.key ? message.key->size() : 0};
  rd_kafka_headers_t* headers = make_headers(message);
  if (headers != nullptr) field(RD_KAFKA_VTYPE_HEADERS).u.headers = headers;

  rd_kafka_error_t* error = rd_kafka_produceva(handle, fields.data(), used);
  if (error == nullptr) return RD_KAFKA_RESP_ERR_NO_ERROR;
  if (headers != nullptr) rd_kafka_headers_destroy(headers);  // still ours when it failed
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return code;
}

struct QueueDeleter {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using Queue = std::unique_ptr<rd_kafka_queue_t, QueueDeleter>;

// Waits for the answer to a request about one topic and returns its error.
void finish_admin_request(rd_kafka_queue_t* queue, const std::string& what) {
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, kTimeoutMs);
  if (event == nullptr) throw std::runtime_error(what + ": no answer");
  rd_kafka_resp_err_t error = rd_kafka_event_error(event);
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results = nullptr;
  if (const auto* created = rd_kafka_event_CreateTopics_result(event)) {
    results = rd_kafka_CreateTopics_result_topics(created, &count);
  } else if (const auto* deleted = rd_kafka_event_DeleteTopics_result(event)) {
    results = rd_kafka_DeleteTopics_result_topics(deleted, &count);
  } else if (const auto* grown = rd_kafka_event_CreatePartitions_result(event)) {
    results = rd_kafka_CreatePartitions_result_topics(grown, &count);
  } else if (const auto* records = rd_kafka_event_DeleteRecords_result(event)) {
    const auto* offsets = rd_kafka_DeleteRecords_result_offsets(records);
    for (int i = 0; i < offsets->cnt; ++i) error = offsets->elems[i].err;
  }
  for (std::size_t i = 0; i < count && error == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    error = rd_kafka_topic_result_error(results[i]);
  }
  rd_kafka_event_destroy(event);
  check(error, what);
}

}  // namespace

void RealKafka::HandleDeleter::operator()(rd_kafka_s* handle) const { rd_kafka_destroy(handle); }
void RealKafka::ListDeleter::operator()(rd_kafka_topic_partition_list_s* list) const {
  rd_kafka_topic_partition_list_destroy(list);
}

RealKafka::RealKafka(std::filesystem::path folder)
    : folder_(std::move(folder)),
      port_(free_port()),
      controller_port_(free_port()),
      proxied_port_(free_port()) {
  std::filesystem::create_directories(folder_);
  add_properties(kExtraSettings);
}
RealKafka::~RealKafka() = default;

void RealKafka::advertise(const std::string& host, std::uint16_t port) {
  const auto listeners = [&](const std::string& proxied) {
    const auto at = [](const char* name, std::uint16_t own) {
      return std::string(name) + "://127.0.0.1:" + std::to_string(own);
    };
    return "listeners=" + at("PLAINTEXT", port_) + "," + at("CONTROLLER", controller_port_) +
           ",PROXIED://" + proxied + "\n";
  };
  add_properties(listeners("127.0.0.1:" + std::to_string(proxied_port_)) + "advertised." +
                 listeners(host + ":" + std::to_string(port)) +
                 "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
                 "PROXIED:PLAINTEXT\n");
}

void RealKafka::add_properties(const std::string& lines) {
  std::ofstream(folder_ / "extra.properties", std::ios::app) << lines;
}

void RealKafka::spawn() {
  process_.reset();
  process_ = std::make_unique<ChildProcess>(ChildProcess::Options{
      .name = "Kafka",
      .arguments = {project_file("deploy/dev/kafka-server").string(), folder_.string(),
                    std::to_string(port_), std::to_string(controller_port_)},
      .output = folder_ / "log",
      .environment = {}});
}

void RealKafka::wait_ready() {
  const Handle handle = connect(Kind::kProducer, {});
  const auto answers = [&] {
    if (!process_->running()) throw std::runtime_error("Kafka ended: " + process_->output_tail());
    const rd_kafka_metadata_t* metadata = nullptr;
    const auto error = rd_kafka_metadata(handle.get(), 0, nullptr, &metadata, 1000);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    const bool has_broker = metadata->broker_cnt > 0;
    rd_kafka_metadata_destroy(metadata);
    return has_broker;
  };
  const auto result = eventually(answers, kPatience, "Kafka answers");
  if (!result) throw std::runtime_error(result.message() + process_->output_tail());
}

void RealKafka::start() {
  spawn();
  wait_ready();
}

void RealKafka::kill9() { process_->kill9(); }

void RealKafka::freeze() { process_->signal(SIGSTOP); }

void RealKafka::thaw() { process_->signal(SIGCONT); }

void RealKafka::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait(kPatience)) throw std::runtime_error("Kafka does not end on SIGTERM");
}

RealKafka::Handle RealKafka::connect(Kind kind,
                                     const std::map<std::string, std::string>& settings) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::map<std::string, std::string> all = settings;
  all.insert({{"bootstrap.servers", brokers()},
              {"log_level", "2"},
              {"reconnect.backoff.ms", "50"},
              {"reconnect.backoff.max.ms", "500"}});
  for (const auto& [name, value] : all) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) !=
        RD_KAFKA_CONF_OK) {
      throw std::logic_error(error);
    }
  }
  rd_kafka_conf_set_opaque(conf, &delivery_failure_);
  if (kind == Kind::kProducer) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t* handle = rd_kafka_new(kind == Kind::kProducer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                                    conf, error, sizeof error);
  if (handle == nullptr) throw std::runtime_error(error);
  return Handle(handle);
}

rd_kafka_s* RealKafka::producer() {
  if (!producer_) {
    producer_ = connect(Kind::kProducer, {{"acks", "all"},
                                          {"enable.idempotence", "true"},
                                          {"linger.ms", "5"},
                                          {"batch.size", "1000000"},
                                          {"message.max.bytes", "100000000"},
                                          {"queue.buffering.max.messages", "500000"},
                                          {"queue.buffering.max.kbytes", "262144"}});
  }
  return producer_.get();
}

void RealKafka::create_topic(const std::string& topic, int partition_count) {
  char error[256];
  rd_kafka_NewTopic_t* request =
      rd_kafka_NewTopic_new(topic.c_str(), partition_count, 1, error, sizeof error);
  if (request == nullptr) throw std::runtime_error(error);
  const Queue queue(rd_kafka_queue_new(producer()));
  rd_kafka_CreateTopics(producer(), &request, 1, nullptr, queue.get());
  rd_kafka_NewTopic_destroy(request);
  finish_admin_request(queue.get(), "creating topic " + topic);
  // Created is not yet known to everybody.
  const auto known = [&] { return std::ssize(partitions(topic)) == partition_count; };
  const auto result = eventually(known, kPatience, "topic " + topic + " has its partitions");
  if (!result) throw std::runtime_error(result.message());
}

void RealKafka::add_partitions(const std::string& topic, int total) {
  char error[256];
  rd_kafka_NewPartitions_t* request = rd_kafka_NewPartitions_new(
      topic.c_str(), static_cast<std::size_t>(total), error, sizeof error);
  if (request == nullptr) throw std::runtime_error(error);
  const Queue queue(rd_kafka_queue_new(producer()));
  rd_kafka_CreatePartitions(producer(), &request, 1, nullptr, queue.get());
  rd_kafka_NewPartitions_destroy(request);
  finish_admin_request(queue.get(), "adding partitions to " + topic);
  const auto known = [&] { return std::ssize(partitions(topic)) == total; };
  const auto result = eventually(known, kPatience, "topic " + topic + " has its partitions");
  if (!result) throw std::runtime_error(result.message());
}

void RealKafka::delete_topic(const std::string& topic) {
  rd_kafka_DeleteTopic_t* request = rd_kafka_DeleteTopic_new(topic.c_str());
  const Queue queue(rd_kafka_queue_new(producer()));
  rd_kafka_DeleteTopics(producer(), &request, 1, nullptr, queue.get());
  rd_kafka_DeleteTopic_destroy(request);
  finish_admin_request(queue.get(), "deleting topic " + topic);
}

void RealKafka::delete_records(const std::string& topic, std::int32_t partition,
                               std::int64_t offset) {
  const TopicPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list.get());
  const Queue queue(rd_kafka_queue_new(producer()));
  rd_kafka_DeleteRecords(producer(), &request, 1, nullptr, queue.get());
  rd_kafka_DeleteRecords_destroy(request);
  finish_admin_request(queue.get(), "deleting records of " + topic);
}

void RealKafka::produce(const std::string& topic, const std::function<bool(KafkaMessage&)>& next) {
  delivery_failure_.clear();
  for (;;) {
    KafkaMessage message;
    if (!next(message)) break;
    auto error = send(producer(), topic, message);
    while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      rd_kafka_poll(producer(), 100);
      error = send(producer(), topic, message);
    }
    check(error, "producing to " + topic);
    rd_kafka_poll(producer(), 0);
  }
  check(rd_kafka_flush(producer(), 2 * kTimeoutMs), "flushing to " + topic);
  if (!delivery_failure_.empty()) {
    throw std::runtime_error("producing to " + topic + ": " + delivery_failure_);
  }
}

void RealKafka::produce_texts(const std::string& topic, const std::vector<std::string>& payloads) {
  auto text = payloads.begin();
  produce(topic, [&](KafkaMessage& message) {
    if (text == payloads.end()) return false;
    message.payload = *text++;
    return true;
  });
}

namespace {

void check_error(rd_kafka_error_t* error, const std::string& what) {
  if (error == nullptr) return;
  const std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  throw std::runtime_error(what + ": " + text);
}

}  // namespace

class RealKafka::Transaction : public KafkaTransaction {
 public:
  explicit Transaction(Handle producer) : producer_(std::move(producer)) {
    check_error(rd_kafka_init_transactions(producer_.get(), kTimeoutMs), "init_transactions");
    check_error(rd_kafka_begin_transaction(producer_.get()), "begin_transaction");
  }
  void commit() override {
    check_error(rd_kafka_commit_transaction(producer_.get(), kTimeoutMs), "commit_transaction");
  }
  void abort() override {
    check_error(rd_kafka_abort_transaction(producer_.get(), kTimeoutMs), "abort_transaction");
  }
  rd_kafka_t* producer() { return producer_.get(); }

 private:
  const Handle producer_;
};

std::unique_ptr<KafkaTransaction> RealKafka::transaction(const std::string& topic,
                                                         const std::vector<std::string>& payloads) {
  static int made = 0;
  const std::string id = "test-" + std::to_string(++made);
  auto transaction = std::make_unique<Transaction>(
      connect(Kind::kProducer, {{"transactional.id", id}, {"transaction.timeout.ms", "300000"}}));
  for (const std::string& payload : payloads) {
    check(send(transaction->producer(), topic, {.payload = payload, .partition = 0}),
          "producing to " + topic);
  }
  check(rd_kafka_flush(transaction->producer(), kTimeoutMs), "flushing to " + topic);
  return transaction;
}

std::vector<std::int32_t> RealKafka::partitions(const std::string& topic) {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(producer(), topic.c_str(), nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto error = rd_kafka_metadata(producer(), 0, handle, &metadata, kTimeoutMs);
  rd_kafka_topic_destroy(handle);
  check(error, "metadata of " + topic);
  std::vector<std::int32_t> ids;
  const auto& found = metadata->topics[0];
  ids.reserve(static_cast<std::size_t>(found.partition_cnt));
  for (int i = 0; i < found.partition_cnt; ++i) ids.push_back(found.partitions[i].id);
  rd_kafka_metadata_destroy(metadata);
  return ids;
}

RealKafka::Offsets RealKafka::end_offsets(const std::string& topic) {
  Offsets offsets;
  for (const std::int32_t partition : partitions(topic)) {
    std::int64_t low = 0, high = 0;
    auto error = RD_KAFKA_RESP_ERR_NO_ERROR;
    // A partition that has just been made has a leader in the metadata before the broker knows
    // that it leads.
    const auto answered = [&] {
      error = rd_kafka_query_watermark_offsets(producer(), topic.c_str(), partition, &low, &high,
                                               kTimeoutMs);
      return error != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
             error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    };
    (void)eventually(answered, kPatience, "the partition has a leader");
    check(error, "end offset of " + topic);
    offsets[partition] = high;
  }
  return offsets;
}

RealKafka::TopicPartitions RealKafka::committed(const std::string& group,
                                                const std::string& topic) {
  const Handle consumer = connect(Kind::kConsumer, {{"group.id", group}});
  TopicPartitions list(rd_kafka_topic_partition_list_new(8));
  for (const std::int32_t partition : partitions(topic)) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  }
  check(rd_kafka_committed(consumer.get(), list.get(), kTimeoutMs),
        "committed offsets of " + group);
  return list;
}

RealKafka::Offsets RealKafka::committed_offsets(const std::string& group,
                                                const std::string& topic) {
  const TopicPartitions list = committed(group, topic);
  Offsets offsets;
  for (int i = 0; i < list->cnt; ++i) {
    if (list->elems[i].offset >= 0) offsets[list->elems[i].partition] = list->elems[i].offset;
  }
  return offsets;
}

std::optional<std::string> RealKafka::committed_metadata(const std::string& group,
                                                         const std::string& topic,
                                                         std::int32_t partition) {
  const TopicPartitions list = committed(group, topic);
  const auto* found = rd_kafka_topic_partition_list_find(list.get(), topic.c_str(), partition);
  if (found == nullptr || found->offset < 0) return std::nullopt;
  return std::string(static_cast<const char*>(found->metadata), found->metadata_size);
}

bool RealKafka::commit(const std::string& group, const std::string& topic, std::int32_t partition,
                       std::int64_t offset) {
  const Handle consumer = connect(Kind::kConsumer, {{"group.id", group}});
  const TopicPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  const auto error = rd_kafka_commit(consumer.get(), list.get(), 0);
  if (error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) return false;
  check(error, "committing for " + group);
  return true;
}

std::int64_t total(const RealKafka::Offsets& offsets) {
  std::int64_t sum = 0;
  for (const auto& [partition, offset] : offsets) sum += offset;
  return sum;
}

}  // namespace millrace::test
