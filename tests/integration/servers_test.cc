// The servers that the other tests rely on do what those tests assume of them.
#include "tests/integration/servers.h"

#include <gtest/gtest.h>

namespace millrace::test {
namespace {

class ServersTest : public WithServers {};

TEST_F(ServersTest, ClickHouseKeepsItsRowsAndPortAcrossAKill) {
  clickhouse().query("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n");
  clickhouse().query("INSERT INTO kept SELECT number FROM numbers(1000)");
  const auto port = clickhouse().port();
  clickhouse().kill9();
  EXPECT_EQ(clickhouse().try_number("SELECT 1"), std::nullopt);
  clickhouse().start();
  EXPECT_EQ(clickhouse().port(), port);
  EXPECT_EQ(clickhouse().query("SELECT count(), sum(n) FROM kept"), "1000\t499500");
}

TEST_F(ServersTest, ClickHouseRefusalIsAnException) {
  EXPECT_THROW(clickhouse().query("SELECT nonsense"), QueryFailed);
  // Also one that comes after the first rows.
  EXPECT_THROW(clickhouse().query("SELECT throwIf(number = 100000) FROM numbers(200000)"),
               QueryFailed);
}

TEST_F(ServersTest, KafkaKeepsMessagesAcrossAKill) {
  kafka().create_topic("kept", 2);
  kafka().produce_texts("kept", {"a", "b", "c"});
  EXPECT_EQ(total(kafka().end_offsets("kept")), 3);
  kafka().kill9();
  kafka().start();
  EXPECT_EQ(total(kafka().end_offsets("kept")), 3);
  kafka().produce_texts("kept", {"d"});
  EXPECT_EQ(total(kafka().end_offsets("kept")), 4);
  EXPECT_TRUE(kafka().committed_offsets("nobody", "kept").empty());
}

TEST_F(ServersTest, KafkaTopicCanBeDeletedAndMadeAgain) {
  kafka().create_topic("again", 1);
  kafka().produce_texts("again", {"a"});
  kafka().delete_topic("again");
  const auto made_again = [&] {
    try {
      kafka().create_topic("again", 3);
      return true;
    } catch (const std::runtime_error&) {
      return false;  // still going
    }
  };
  ASSERT_TRUE(eventually(made_again, kPatience, "the topic is deleted"));
  EXPECT_EQ(total(kafka().end_offsets("again")), 0);
}

}  // namespace
}  // namespace millrace::test
