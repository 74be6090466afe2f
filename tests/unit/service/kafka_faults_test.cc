#include "service/sources/kafka_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(AdvertisedAddress, IsThatOfABrokerThatWeWereNotTold) {
  const auto address = [](const std::string& text, const std::string& brokers = "127.0.0.1:9092") {
    return advertised_address(text, brokers);
  };
  EXPECT_EQ(address("kafka-internal:9092/1: Failed to resolve 'kafka-internal:9092': Name unknown"),
            "kafka-internal:9092");
  EXPECT_EQ(
      address("GroupCoordinator: kafka-internal:9092: Failed to resolve 'kafka-internal:9092'"),
      "kafka-internal:9092");
  EXPECT_EQ(address("sasl_ssl://b2:9093/12: Connect to ipv4#10.0.0.1:9093 failed"), "b2:9093");
  EXPECT_EQ(address("127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed"), "");
  EXPECT_EQ(address("127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed"), "");
  EXPECT_EQ(address("b:9092/1: Disconnected", "a, PLAINTEXT://b"), "");
  EXPECT_EQ(address("2/2 brokers are down"), "");
  EXPECT_EQ(address("GroupCoordinator: Disconnected"), "");
  EXPECT_EQ(address(""), "");
}

TEST(ExplainKafkaError, SpeaksOfAdvertisedListenersOnlyWhereTheyAreConcerned) {
  const std::string text = "kafka-internal:9092/1: Failed to resolve 'kafka-internal:9092'";
  EXPECT_THAT(explain_kafka_error("_RESOLVE", text, "127.0.0.1:9092"),
              HasSubstr("the broker at 127.0.0.1:9092 says that clients must go to "
                        "kafka-internal:9092: advertised.listeners of the broker"));
  EXPECT_THAT(explain_kafka_error("_RESOLVE", text, "kafka-internal:9092"),
              HasSubstr("correct the host names in `source.kafka.brokers`"));
  EXPECT_THAT(explain_kafka_error("_AUTHENTICATION", text, "127.0.0.1:9092"),
              Not(HasSubstr("advertised.listeners")));
}

}  // namespace
}  // namespace millrace
