// KafkaConsumer's questions about brokers and topics.
#include <librdkafka/rdkafka.h>

#include <set>

#include "service/sources/kafka_client.h"

namespace millrace {

using std::chrono::milliseconds;

// Of one topic, of all topics, or (neither) of those the consumer knows.
struct KafkaConsumer::Metadata {
  Metadata(rd_kafka_t* handle, bool all, rd_kafka_topic_t* topic, milliseconds timeout)
      : error(kafka_error(rd_kafka_metadata(handle, all ? 1 : 0, topic, &found,
                                            static_cast<int>(timeout.count())))) {}
  ~Metadata() {
    if (found != nullptr) rd_kafka_metadata_destroy(found);
  }
  Metadata(const Metadata&) = delete;
  const rd_kafka_metadata_t* found = nullptr;
  const KafkaError error;
};

KafkaError KafkaConsumer::ping(milliseconds timeout) {
  return Metadata(handle_.get(), false, nullptr, timeout).error;
}

KafkaError KafkaConsumer::list_topics(milliseconds timeout, std::vector<std::string>& names) {
  const Metadata metadata(handle_.get(), true, nullptr, timeout);
  if (metadata.error) return metadata.error;
  for (int i = 0; i < metadata.found->topic_cnt; ++i) {
    names.emplace_back(metadata.found->topics[i].topic);
  }
  return {};
}

template <class Look>
KafkaError KafkaConsumer::look_at_topic(const std::string& topic, milliseconds timeout,
                                        const Look& look) {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(handle_.get(), topic.c_str(), nullptr);
  if (handle == nullptr) return kafka_error(rd_kafka_last_error());
  KafkaError error;
  {
    const Metadata metadata(handle_.get(), false, handle, timeout);
    error = metadata.error;
    if (!error && metadata.found->topic_cnt > 0) {
      error = kafka_error(metadata.found->topics[0].err);
      look(metadata.found->topics[0]);
    }
  }
  rd_kafka_topic_destroy(handle);
  return error;
}

KafkaError KafkaConsumer::find_topic(const std::string& topic, milliseconds timeout) {
  return look_at_topic(topic, timeout, [](const rd_kafka_metadata_topic_t&) {});
}

KafkaError KafkaConsumer::count_partitions(const std::string& topic, milliseconds timeout,
                                           std::int32_t& count) {
  return look_at_topic(
      topic, timeout, [&](const rd_kafka_metadata_topic_t& found) { count = found.partition_cnt; });
}

KafkaError KafkaConsumer::find_leaders(const std::string& topic, milliseconds timeout,
                                       KafkaPartitions& one_of_each) {
  return look_at_topic(topic, timeout, [&](const rd_kafka_metadata_topic_t& found) {
    std::set<std::int32_t> leaders;
    for (int i = 0; i < found.partition_cnt; ++i) {
      if (leaders.insert(found.partitions[i].leader).second)
        one_of_each.push_back({topic, found.partitions[i].id});
    }
  });
}

KafkaError KafkaConsumer::partition_counts(milliseconds timeout,
                                           std::map<std::string, std::int32_t>& counts) {
  const Metadata metadata(handle_.get(), true, nullptr, timeout);
  if (metadata.error) return metadata.error;
  for (int i = 0; i < metadata.found->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata.found->topics[i];
    if (topic.partition_cnt > 0) counts[topic.topic] = topic.partition_cnt;
  }
  return {};
}

}  // namespace millrace
