#include "service/sources/kafka_advice.h"

namespace millrace {
namespace {

constexpr std::string_view kBroker =
    "see that the broker is up, and that `source.kafka.brokers` is right";
constexpr std::string_view kSasl = "correct `sasl.*` in `source.kafka.options`";
constexpr std::string_view kTopic = "create the topic, or correct `source.kafka.topics`";

constexpr AdviceRow kRows[] = {
    {"_ALL_BROKERS_DOWN", 0, "no broker answers", kBroker},
    {"_TRANSPORT", 0, "the connection to a broker failed", kBroker},
    {"_TIMED_OUT", 0, "a broker did not answer in time", kBroker},
    {"_RESOLVE", 0, "a broker's name has no address",
     "correct the host names in `source.kafka.brokers`, or those in the broker's "
     "advertised.listeners"},
    {"_AUTHENTICATION", 0, "the broker refuses the login", kSasl},
    {"SASL_AUTHENTICATION_FAILED", 0, "the broker refuses the login", kSasl},
    {"_SSL", 0, "TLS with the broker failed",
     "correct `security.protocol` and `ssl.*` in `source.kafka.options`"},
    {"UNKNOWN_TOPIC_OR_PART", 0, "the topic is missing", kTopic},
    {"_UNKNOWN_TOPIC", 0, "the topic is missing", kTopic},
    {"TOPIC_AUTHORIZATION_FAILED", 0, "the user may not read the topic",
     "give the user READ and DESCRIBE on the topic"},
    {"GROUP_AUTHORIZATION_FAILED", 0, "the user may not use the group",
     "give the user READ on `source.kafka.group`"},
    {"INCONSISTENT_GROUP_PROTOCOL", 0, "the group's members share partitions out in different ways",
     "set one `source.kafka.assignment` for all members of `source.kafka.group`"},
    {"FENCED_INSTANCE_ID", 0, "another member has this name",
     "give each process a `group.instance.id` of its own"},
    {"OPEN_TRANSACTION", 0, "records behind an open transaction can't be read before it ends",
     "its producer must commit or abort it; the broker aborts it when the producer's "
     "transaction.timeout.ms is over; `kafka-transactions.sh describe-producers` says who it is, "
     "and "
     "`kafka-transactions.sh abort` ends one that stays open longer"},
    {"_MAX_POLL_EXCEEDED", 0, "the group took us for dead, as we did not ask for messages",
     "raise `max.poll.interval.ms` in `source.kafka.options`"},
};

}  // namespace

std::span<const AdviceRow> kafka_advice() { return kRows; }

std::string kafka_hint(std::string_view error_name) {
  const AdviceRow* row = find_advice(kRows, error_name);
  return row == nullptr ? "" : std::string(row->advice);
}

}  // namespace millrace
