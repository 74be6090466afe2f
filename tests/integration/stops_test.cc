// The process ends soon after its grace period, even if a peer does not answer; and what keeps it
// from reading, or from keeping a dead letter, is said and not waited for in silence.
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <random>

#include "tests/integration/servers.h"
#include "tests/support/local_listener.h"

namespace millrace::test {
namespace {

constexpr const char* kGrace = "shutdown: {grace: 1s}\n";
constexpr seconds kEndsWithin{1 + 10};  // beside the grace: leaving the group, ending the clients
constexpr int kDrained = 0, kDrainIncomplete = 3;
constexpr int kLanes = 4;

// A listener that takes connections and says nothing.
class BlackHole {
 public:
  std::string address() const { return "127.0.0.1:" + std::to_string(listener_.port()); }

 private:
  LocalListener listener_{[](int fd) {
    while (!receive_some(fd).empty()) {
    }
  }};
};

std::string random_letters(std::size_t size) {
  std::mt19937 random(7);
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

class StopsTest : public WithServers {
 protected:
  void SetUp() override { WithServers::SetUp(); }
  void TearDown() override {
    kafka().thaw();
    clickhouse().thaw();
  }

  std::string letters_topic() const { return name() + "-letters"; }
  std::string letters_in_kafka(const std::string& more = {}) const {
    return clickhouse_yaml() +
           pipelines_yaml("", "dead_letters: {store: kafka, topic: " + letters_topic() + "}") +
           more;
  }
  void create(int partitions = kLanes) {
    kafka().create_topic(name(), partitions);
    clickhouse().query("CREATE TABLE " + name() +
                       " (id UInt64, s String) ENGINE = MergeTree ORDER BY id");
  }
  // One that the table refuses, in each partition.
  void produce_bad_rows() {
    int partition = 0;
    kafka().produce(name(), [&](KafkaMessage& message) {
      message.payload = R"({"id":"bad","s":"x"})";
      message.partition = partition;
      return partition++ < kLanes;
    });
  }
  static void wait_until_shown(const Millrace& millrace, const std::string& text) {
    ASSERT_TRUE(
        eventually([&] { return millrace.get("/status").body.find(text) != std::string::npos; },
                   kPatience, "/status says " + text))
        << millrace.get("/status").body;
  }
  // Waits until nothing more is read: all lanes are there.
  void wait_until_assigned(const Millrace& millrace) {
    ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lanes").value_or(0) == kLanes; },
                           kPatience, "all partitions are assigned"));
  }
  static void expect_end(Millrace& millrace, int code = kDrainIncomplete) {
    EXPECT_EQ(millrace.stop(kEndsWithin), code);
    EXPECT_EQ(millrace.log().find("something does not end"), std::string::npos)
        << "it ended by itself";
  }
};

TEST_F(StopsTest, BrokerFrozenWhileWorkersStoreDeadLettersThere) {
  create();
  Millrace millrace(folder(), letters_in_kafka(kGrace));
  millrace.start();
  wait_until_assigned(millrace);
  // The workers have the rows and wait for the table's columns; then the broker goes.
  clickhouse().freeze();
  produce_bad_rows();
  wait_until_shown(millrace, "\"operation\":\"describe table\"");
  kafka().freeze();
  clickhouse().thaw();
  wait_until_shown(millrace, "\"operation\":\"store dead letters\"");
  expect_end(millrace);
}

TEST_F(StopsTest, ClickHouseFrozen) {
  create();
  Millrace millrace(folder(), config(kGrace));
  millrace.start();
  wait_until_assigned(millrace);
  clickhouse().freeze();
  kafka().produce_texts(name(), {R"({"id":1,"s":"x"})", R"({"id":2,"s":"x"})"});
  wait_until_shown(millrace, "\"operation\":\"describe table\"");
  expect_end(millrace);
}

TEST_F(StopsTest, BrokerFrozenWhileRowsAreOnTheirWay) {
  create();
  Millrace millrace(folder(), config(kGrace));
  millrace.start();
  wait_until_assigned(millrace);
  clickhouse().freeze();
  kafka().produce_texts(name(), {R"({"id":1,"s":"x"})"});
  wait_until_shown(millrace, "\"operation\":\"describe table\"");
  kafka().freeze();
  expect_end(millrace);
}

TEST_F(StopsTest, BrokerFrozenFromTheStart) {
  kafka().freeze();
  Millrace millrace(folder(), letters_in_kafka(kGrace));
  millrace.start();
  wait_until_shown(millrace, "\"ready\":false");
  expect_end(millrace, kDrained);
}

TEST_F(StopsTest, NobodyBehindTheAddresses) {
  const BlackHole clickhouse, broker;
  Millrace millrace(folder(),
                    "clickhouse: {endpoints: ['http://" + clickhouse.address() +
                        "']}\npipelines:\n  - {name: test, table: t, source: {kafka: {brokers: '" +
                        broker.address() + "', topics: [t]}}}\n" + kGrace);
  millrace.start();
  wait_until_shown(millrace, "\"ready\":false");
  expect_end(millrace, kDrained);
}

TEST_F(StopsTest, AnotherProcessKeepsTheFileOfDeadLettersLocked) {
  create();
  const std::filesystem::path file = folder("letters.jsonl");
  const int other = ::open(file.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  Millrace millrace(folder(), clickhouse_yaml() +
                                  pipelines_yaml("", "dead_letters: {store: file, file: '" +
                                                         file.string() + "'}") +
                                  kGrace);
  millrace.start();
  produce_bad_rows();
  wait_until_shown(millrace, "\"operation\":\"store dead letters\"");
  expect_end(millrace);
  ::close(other);
}

// librdkafka's own fetch.max.bytes is above this; ours, which is not, gives way.
TEST_F(StopsTest, LargerMessagesMayBeAskedFor) {
  create();
  Millrace millrace(folder(),
                    clickhouse_yaml() + pipelines_yaml("options: {message.max.bytes: 15000000}"));
  millrace.start();
  kafka().produce_texts(name(), {R"({"id":1,"s":"ok"})"});
  EXPECT_TRUE(has_rows(name(), 1));
  EXPECT_EQ(millrace.stop(), kDrained);
}

TEST_F(StopsTest, DeadLettersAreAsLargeAsTheirTopicTakes) {
  create(1);
  const std::string letters = random_letters(3'000'000);
  kafka().produce_texts(name(), {R"({"id":1,"s":"ok"})", R"({"id":"bad","s":")" + letters + "\"}",
                                 R"({"id":2,"s":"after"})"});
  Millrace millrace(folder(), letters_in_kafka());
  millrace.start();
  EXPECT_TRUE(has_rows(name(), 2));
  EXPECT_EQ(total(kafka().end_offsets(letters_topic())), 1);
  // Base64, as this one is no UTF-8: too large even for a topic that took the message itself.
  kafka().produce_texts(name(), {"{\"id\":\"bad\",\"s\":\"\xff" + letters + letters +
                                 letters.substr(0, letters.size() / 2) + "\"}"});
  wait_until_shown(millrace, "DEAD_LETTERS_NOT_STORED");
  wait_until_shown(millrace, "raise `max.message.bytes` of topic " + letters_topic());
  EXPECT_EQ(millrace.stop(seconds(60)), kDrainIncomplete);
}

TEST_F(StopsTest, PlacesForDeadLettersAreMadeAtTheStart) {
  create(1);
  const std::string table = "letters_" + name();
  Millrace in_table(folder("table"),
                    clickhouse_yaml() + pipelines_yaml("", "dead_letters: {table: " + table + "}"));
  in_table.start();
  EXPECT_TRUE(has_rows("(SELECT 1 FROM system.tables WHERE name = '" + table + "')", 1));
  EXPECT_EQ(in_table.stop(), kDrained);

  Millrace in_topic(folder("topic"), letters_in_kafka());
  in_topic.start();
  EXPECT_TRUE(eventually(
      [&] {
        try {
          return kafka().end_offsets(letters_topic()).size() == 1;
        } catch (const std::exception&) {
          return false;
        }
      },
      kPatience, "the topic is there"));
  EXPECT_EQ(in_topic.stop(), kDrained);
}

}  // namespace
}  // namespace millrace::test
