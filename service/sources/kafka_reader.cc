#include "service/sources/kafka_reader.h"

#include <stdexcept>
#include <thread>

#include "service/sources/kafka_session.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryInterval{1'000};  // a consumer that could not be made, or is replaced
constexpr milliseconds kStopLook{50};

// Until the time is over or the reader is to end.
void wait(milliseconds time, const StopSignal& stop) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!stop.requested() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kStopLook);
  }
}

}  // namespace

KafkaReader::KafkaReader(KafkaReaderOptions options, ByteBudget& budget)
    : options_(std::move(options)), budget_(budget), faults_(options_.log) {}

bool KafkaReader::run(Producer& producer, const StopSignal& stop) {
  started_ = true;
  const auto prefetch = reserve_prefetch(stop);
  bool complete = true;
  while (!stop.requested()) {
    try {
      KafkaSession session(options_, budget_, stats_, faults_, producer, stop, at_start_);
      faults_.clear("client");
      complete = session.run();
    } catch (const std::runtime_error& error) {
      // The start has tried these settings: something around the process has changed.
      faults_.set("client", std::string("a consumer can't be made, or ended; it is tried again: ") +
                                error.what());
      complete = false;
    }
    wait(kRetryInterval, stop);
  }
  return complete;
}

std::string KafkaReader::not_ready_reason() const {
  return started_ ? faults_.reason() : "not started yet";
}

std::optional<ByteReservation> KafkaReader::reserve_prefetch(const StopSignal& stop) {
  while (!stop.requested()) {
    if (auto reservation = budget_.try_reserve(options_.source.prefetch_bytes)) {
      faults_.clear("memory");
      return reservation;
    }
    faults_.set("memory", "memory.budget (" + std::to_string(budget_.limit()) +
                              " bytes) has no room for source.kafka.prefetch (" +
                              std::to_string(options_.source.prefetch_bytes) +
                              " bytes for each consumer): raise the one or lower the other");
    wait(kStopLook, stop);
  }
  return {};
}

std::vector<std::unique_ptr<KafkaReader>> make_kafka_readers(
    const PipelineConfig& config, const TargetResolver& targets, ByteBudget& budget,
    std::size_t prefetch_of_all_bytes, const std::shared_ptr<const ServerClock>& server_clock,
    const LogSink& log) {
  const LogSink named = [log, name = config.name](const LogEvent& event) {
    LogEvent ours = event;
    if (!ours.key.empty()) ours.key += "/" + name;
    ours.fields.emplace_back("pipeline", name);
    log(ours);
  };
  std::vector<std::unique_ptr<KafkaReader>> readers;
  for (unsigned i = 0; i < config.kafka.consumers; ++i) {
    KafkaReaderOptions options{config.kafka, "millrace-" + config.name, targets,
                               named,        prefetch_of_all_bytes,     server_clock};
    if (config.kafka.consumers > 1) {
      const std::string suffix = "-" + std::to_string(i);
      options.client_id += suffix;
      // Two members under one instance id would fence each other off.
      const auto instance = options.source.options.find("group.instance.id");
      if (instance != options.source.options.end()) instance->second += suffix;
    }
    readers.push_back(std::make_unique<KafkaReader>(std::move(options), budget));
  }
  return readers;
}

}  // namespace millrace
