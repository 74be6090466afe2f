// Dead letters in a topic of the pipeline's own brokers.
#pragma once

#include <memory>
#include <string>

#include "service/dead_letters/archive.h"
#include "service/sources/kafka_options.h"

namespace millrace {

// The source's brokers and options (SASL, TLS) serve for it, too. A missing topic is made, with one
// partition and the broker's replication. `client_id` names us to the broker.
std::shared_ptr<DeadLetterArchive> make_kafka_archive(KafkaSourceOptions source,
                                                      std::string client_id, std::string topic);
// What librdkafka has against a producer with these options; empty: nothing. Connects to nothing.
std::string kafka_archive_refused(KafkaSourceOptions source);

}  // namespace millrace
