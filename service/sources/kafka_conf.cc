// What librdkafka is told, and whether it takes it.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "service/sources/kafka_client.h"

namespace millrace {
namespace {

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value,
         std::vector<std::string>& faults) {
  std::array<char, 512> text{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size()) !=
      RD_KAFKA_CONF_OK) {
    faults.push_back("librdkafka option " + name + ": " + text.data());
  }
}

// A number that the user gives for an option; nothing when there is none (librdkafka judges
// others).
std::optional<std::size_t> number_of(const KafkaSourceOptions& options, const std::string& name) {
  const auto given = options.options.find(name);
  if (given == options.options.end()) return {};
  std::size_t number = 0;
  const char* end = given->second.data() + given->second.size();
  const auto [rest, error] = std::from_chars(given->second.data(), end, number);
  if (error != std::errc{} || rest != end) return {};
  return number;
}

// Options of ours that librdkafka compares with some of the user's give way: it would refuse both.
std::size_t fetch_bytes(const KafkaSourceOptions& options, std::size_t planned) {
  constexpr std::size_t kAnswerHeader = 512;  // that librdkafka wants beside it
  const std::size_t most = number_of(options, "receive.message.max.bytes").value_or(SIZE_MAX);
  const std::size_t wanted = std::max(planned, number_of(options, "message.max.bytes").value_or(0));
  return most > kAnswerHeader ? std::min(wanted, most - kAnswerHeader) : wanted;
}

}  // namespace

KafkaConf make_kafka_conf(const KafkaSourceOptions& options, const std::string& client_id,
                          std::vector<std::string>& faults) {
  KafkaConf conf(rd_kafka_conf_new());
  const PrefetchPlan plan = plan_prefetch(options.prefetch_bytes);
  const std::vector<std::pair<std::string, std::string>> ours = {
      {"client.id", client_id},
      {"bootstrap.servers", options.brokers},
      {"group.id", options.group},
      {"partition.assignment.strategy", options.assignment},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      // An offset that the broker does not have must come to us: librdkafka would jump silently.
      {"auto.offset.reset", "error"},
      {"allow.auto.create.topics", "false"},
      // Tells how far a partition is read when its last records are none of ours (of transactions).
      {"enable.partition.eof", "true"},
      {"topic.metadata.refresh.interval.ms", "10000"},
      {"queued.max.messages.kbytes", std::to_string(plan.queue_kbytes)},
      {"queued.min.messages", std::to_string(plan.queue_messages)},
      {"fetch.max.bytes", std::to_string(fetch_bytes(options, plan.fetch_bytes))},
      {"fetch.error.backoff.ms", "250"},
      {"reconnect.backoff.max.ms",
       std::to_string(
           std::max<std::size_t>(5'000, number_of(options, "reconnect.backoff.ms").value_or(0)))},
      // At "info" and above; its own text goes to our log.
      {"log_level", "6"},
  };
  for (const auto& [name, value] : ours) set(conf.get(), name, value, faults);
  for (const auto& [name, value] : options.options) set(conf.get(), name, value, faults);
  return conf;
}

// Without brokers it connects to nothing. `range` stands for every assignment: a consumer that ends
// before its first one is not safe with all of them, and kafka_check.cc looks at the name.
std::string consumer_refused(KafkaSourceOptions options, const std::string& client_id) {
  options.assignment = "range";
  options.brokers.clear();
  std::vector<std::string> faults;
  KafkaConf conf = make_kafka_conf(options, client_id, faults);
  if (!faults.empty()) return faults.front();
  return client_refused(KafkaRole::kConsumer, std::move(conf));
}

std::string client_refused(KafkaRole role, KafkaConf conf) {
  std::array<char, 512> text{};
  rd_kafka_conf_set(conf.get(), "log_level", "0", nullptr, 0);
  const KafkaHandle handle(
      rd_kafka_new(role == KafkaRole::kConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf.get(),
                   text.data(), text.size()));
  if (!handle) return text.data();
  (void)conf.release();  // it belongs to the handle now
  return {};
}

}  // namespace millrace
