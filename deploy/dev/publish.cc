// millrace-publish: publishes each line of its input as one Kafka message.
//
//   millrace-publish --brokers 127.0.0.1:9092 --topic packages --partitions 4 < packages.jsonl
//
// Creates the topic when it is missing. Ends with success only when the broker has acknowledged
// every message; the producer is idempotent, so none is there twice either. The last line of its
// output is `published N messages to TOPIC`.
#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace {
namespace {

using std::chrono::steady_clock;

constexpr int kAdminTimeoutMs = 15'000;
constexpr auto kTopicReadyTimeout = std::chrono::seconds(30);

struct Options {
  std::string brokers;
  std::string topic;
  int partitions = 1;
  std::string key_field;
  std::vector<std::string> librdkafka_options;
  bool delete_topic = false;
};

// Counts of one run; librdkafka hands it to the delivery callback.
struct Progress {
  uint64_t sent = 0;
  uint64_t acknowledged = 0;
  std::string first_error;
};

template <auto kDestroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};

using Kafka = std::unique_ptr<rd_kafka_t, Destroy<rd_kafka_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using DeleteTopic = std::unique_ptr<rd_kafka_DeleteTopic_t, Destroy<rd_kafka_DeleteTopic_destroy>>;
using Topic = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;

void on_delivery(rd_kafka_t* /*kafka*/, const rd_kafka_message_t* message, void* opaque) {
  auto* progress = static_cast<Progress*>(opaque);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++progress->acknowledged;
  } else if (progress->first_error.empty()) {
    progress->first_error =
        std::string(rd_kafka_err2name(message->err)) + ": " + rd_kafka_message_errstr(message);
  }
}

Kafka make_producer(const Options& options, Progress& progress) {
  std::vector<std::string> settings = {
      "bootstrap.servers=" + options.brokers,
      "enable.idempotence=true",
      "compression.type=lz4",
      "linger.ms=20",
      "batch.size=1000000",
      "queue.buffering.max.messages=200000",
      "message.timeout.ms=60000",
      "log_level=3",  // errors; librdkafka writes them to stderr
  };
  settings.insert(settings.end(), options.librdkafka_options.begin(),
                  options.librdkafka_options.end());

  char text[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
    if (rd_kafka_conf_set(conf, setting.substr(0, equals).c_str(), value.c_str(), text,
                          sizeof text) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      throw std::runtime_error(text);
    }
  }
  rd_kafka_conf_set_opaque(conf, &progress);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t* kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  if (kafka == nullptr) {
    rd_kafka_conf_destroy(conf);
    throw std::runtime_error(text);
  }
  return Kafka(kafka);
}

// Waits for the answer to an admin request. `accepted` is the one error of a topic that is no
// error.
void finish_admin_request(const Queue& queue, rd_kafka_resp_err_t accepted) {
  Event event(rd_kafka_queue_poll(queue.get(), kAdminTimeoutMs));
  if (!event) throw std::runtime_error("no broker has answered within 15 s");
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw std::runtime_error(rd_kafka_event_error_string(event.get()));
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results = nullptr;
  if (const auto* created = rd_kafka_event_CreateTopics_result(event.get())) {
    results = rd_kafka_CreateTopics_result_topics(created, &count);
  } else if (const auto* deleted = rd_kafka_event_DeleteTopics_result(event.get())) {
    results = rd_kafka_DeleteTopics_result_topics(deleted, &count);
  }
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == accepted) continue;
    const char* reason = rd_kafka_topic_result_error_string(results[i]);
    throw std::runtime_error(std::string("topic ") + rd_kafka_topic_result_name(results[i]) + ": " +
                             (reason == nullptr ? rd_kafka_err2str(error) : reason));
  }
}

void create_topic(const Kafka& kafka, const Options& options) {
  char text[512];
  // -1: as many replicas as the broker makes by default.
  NewTopic topic(
      rd_kafka_NewTopic_new(options.topic.c_str(), options.partitions, -1, text, sizeof text));
  if (!topic) throw std::runtime_error(text);
  Queue queue(rd_kafka_queue_new(kafka.get()));
  rd_kafka_NewTopic_t* topics[] = {topic.get()};
  rd_kafka_CreateTopics(kafka.get(), topics, 1, nullptr, queue.get());
  finish_admin_request(queue, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS);
}

void delete_topic(const Kafka& kafka, const Options& options) {
  DeleteTopic topic(rd_kafka_DeleteTopic_new(options.topic.c_str()));
  Queue queue(rd_kafka_queue_new(kafka.get()));
  rd_kafka_DeleteTopic_t* topics[] = {topic.get()};
  rd_kafka_DeleteTopics(kafka.get(), topics, 1, nullptr, queue.get());
  finish_admin_request(queue, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

// Number of partitions when the topic exists and each partition has a leader, otherwise 0.
int ready_partitions(const Kafka& kafka, const Topic& topic) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(kafka.get(), 0, topic.get(), &metadata, kAdminTimeoutMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
  int partitions = 0;
  if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    partitions = metadata->topics[0].partition_cnt;
    for (int i = 0; i < metadata->topics[0].partition_cnt; ++i) {
      if (metadata->topics[0].partitions[i].leader < 0) partitions = 0;
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return partitions;
}

// A topic that was just created takes a moment until every broker knows of it.
int wait_until_ready(const Kafka& kafka, const Topic& topic) {
  const auto deadline = steady_clock::now() + kTopicReadyTimeout;
  while (steady_clock::now() < deadline) {
    if (const int partitions = ready_partitions(kafka, topic); partitions > 0) return partitions;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::runtime_error("the topic's partitions have no leader yet");
}

// Value of the first string member of that name in a line of compact JSON, otherwise nothing.
// An escaped quote is part of the key, as it stands there.
std::string_view find_key(std::string_view line, const std::string& field) {
  const std::string before = "\"" + field + "\":\"";
  size_t start = line.find(before);
  if (start == std::string_view::npos) return {};
  start += before.size();
  size_t end = start;
  while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
  return line.substr(start, end - start);
}

// Hands one line to librdkafka, which copies it. A full queue is no error: wait until it drains.
void publish_line(const Kafka& kafka, const Topic& topic, const Options& options, int32_t partition,
                  std::string& line, Progress& progress) {
  std::string_view key;
  if (!options.key_field.empty()) key = find_key(line, options.key_field);
  while (rd_kafka_produce(topic.get(), partition, RD_KAFKA_MSG_F_COPY, line.data(), line.size(),
                          key.data(), key.size(), nullptr) != 0) {
    const rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      throw std::runtime_error("line " + std::to_string(progress.sent + 1) + ": " +
                               rd_kafka_err2name(error) + ": " + rd_kafka_err2str(error));
    }
    rd_kafka_poll(kafka.get(), 50);
  }
  ++progress.sent;
}

void publish_input(const Kafka& kafka, const Options& options, Progress& progress) {
  Topic topic(rd_kafka_topic_new(kafka.get(), options.topic.c_str(), nullptr));
  if (!topic) throw std::runtime_error(rd_kafka_err2str(rd_kafka_last_error()));
  const auto partitions = static_cast<uint64_t>(wait_until_ready(kafka, topic));

  std::string line;
  while (progress.first_error.empty() && std::getline(std::cin, line)) {
    // With keys the partition follows the key. Without, the lines are dealt out in turn, so that
    // every run fills the partitions alike.
    const int32_t partition = options.key_field.empty()
                                  ? static_cast<int32_t>(progress.sent % partitions)
                                  : RD_KAFKA_PARTITION_UA;
    publish_line(kafka, topic, options, partition, line, progress);
    if (progress.sent % 1000 == 0) rd_kafka_poll(kafka.get(), 0);
  }
  // Ends by itself: each message is acknowledged, or fails after message.timeout.ms.
  while (rd_kafka_outq_len(kafka.get()) > 0) rd_kafka_poll(kafka.get(), 100);
}

int run(const Options& options) {
  std::ios::sync_with_stdio(false);
  Progress progress;
  const Kafka kafka = make_producer(options, progress);
  if (options.delete_topic) {
    delete_topic(kafka, options);
    return EXIT_SUCCESS;
  }
  create_topic(kafka, options);
  publish_input(kafka, options, progress);
  if (progress.acknowledged != progress.sent) {
    throw std::runtime_error("only " + std::to_string(progress.acknowledged) + " of " +
                             std::to_string(progress.sent) +
                             " messages were acknowledged: " + progress.first_error);
  }
  std::cout << "published " << progress.acknowledged << " messages to " << options.topic
            << std::endl;
  return EXIT_SUCCESS;
}

void declare_options(CLI::App& app, Options& options) {
  app.add_option("--brokers", options.brokers, "HOST:PORT, more divided by commas")->required();
  app.add_option("--topic", options.topic, "created when it is missing")->required();
  app.add_option("--partitions", options.partitions, "of the topic, when it is created")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--key-field", options.key_field,
                 "the message's key is the JSON string of this name");
  app.add_option("-X", options.librdkafka_options, "setting of librdkafka, NAME=VALUE")
      ->allow_extra_args(false);
  app.add_flag("--delete-topic", options.delete_topic, "delete the topic and publish nothing");
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  CLI::App app("Publishes each line of stdin as one Kafka message.", "millrace-publish");
  millrace::Options options;
  millrace::declare_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    return millrace::run(options);
  } catch (const std::exception& error) {
    std::cerr << "millrace-publish: " << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
