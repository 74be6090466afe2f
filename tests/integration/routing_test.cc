// Which message becomes which row of which table.
#include <gtest/gtest.h>

#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

class RoutingTest : public WithServers {
 protected:
  void create_table(const std::string& table) const {
    clickhouse().query("CREATE TABLE " + table +
                       " (n UInt64, text String) ENGINE = MergeTree ORDER BY n");
  }
  // A pipeline with `source` inside the braces of the Kafka source.
  static std::string pipeline(const std::string& more, const std::string& source) {
    return clickhouse_yaml() + "pipelines:\n  - {name: test" + (more.empty() ? "" : ", " + more) +
           ", source: {kafka: {brokers: '" + kafka().brokers() + "', " + source + "}}}\n";
  }
  static std::string rows(const std::string& table) {
    return clickhouse().query("SELECT n, text FROM " + table + " ORDER BY n");
  }
};

TEST_F(RoutingTest, TopicsWithoutATableGoToTablesOfTheirNames) {
  const std::string a = name() + "_a", b = name() + "_b";
  for (const auto& each : {a, b}) {
    kafka().create_topic(each, 2);
    create_table(each);
    kafka().produce_texts(each, {R"({"n":1,"text":")" + each + "\"}"});
  }
  Millrace millrace(folder(),
                    pipeline({}, "group: " + name() + ", topics: [" + a + ", " + b + "]"));
  millrace.start();
  ASSERT_TRUE(has_rows(a, 1));
  ASSERT_TRUE(has_rows(b, 1));
  EXPECT_EQ(rows(a), "1\t" + a);
  EXPECT_EQ(rows(b), "1\t" + b);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, MapNamesTheTableOfATopicAndTheOthersShareOne) {
  const std::string a = name() + "_a", b = name() + "_b", c = name() + "_c";
  for (const auto& each : {a, b, c}) {
    kafka().create_topic(each, 1);
    kafka().produce_texts(each, {R"({"n":1,"text":")" + each + "\"}"});
  }
  create_table(name() + "_mapped");
  create_table(name() + "_rest");
  Millrace millrace(
      folder(),
      pipeline("table: " + name() + "_rest, tables: {" + a + ": default." + name() + "_mapped}",
               "group: " + name() + ", topics: [" + a + ", " + b + ", " + c + "], consumers: 2"));
  millrace.start();
  ASSERT_TRUE(has_rows(name() + "_rest", 2));
  ASSERT_TRUE(has_rows(name() + "_mapped", 1));
  EXPECT_EQ(rows(name() + "_mapped"), "1\t" + a);
  EXPECT_EQ(clickhouse().query("SELECT arraySort(groupArray(text)) FROM " + name() + "_rest"),
            "['" + b + "','" + c + "']");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, PatternTakesTopicsThatAreMadeLater) {
  create_table(name());
  kafka().create_topic(name() + "_early", 1);
  kafka().create_topic("not_" + name(), 1);
  kafka().produce_texts(name() + "_early", {R"({"n":1,"text":"early"})"});
  kafka().produce_texts("not_" + name(), {R"({"n":9,"text":"not asked for"})"});
  Millrace millrace(folder(),
                    pipeline("table: " + name(),
                             "group: " + name() + ", topics: ['^" + name() +
                                 "_.*'], options: {topic.metadata.refresh.interval.ms: '1000'}"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 1));
  kafka().create_topic(name() + "_late", 2);
  kafka().produce_texts(name() + "_late", {R"({"n":2,"text":"late"})"});
  ASSERT_TRUE(has_rows(name(), 2));
  EXPECT_EQ(rows(name()), "1\tearly\n2\tlate");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, MetadataColumnsStandInEachRowOfAMessage) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, _topic String, _partition Int32, _offset Int64, _timestamp "
                     "DateTime64(3, 'UTC'), _key Nullable(String), _headers Map(String, String)) "
                     "ENGINE = MergeTree ORDER BY n");
  kafka().create_topic(name(), 3);
  std::vector<KafkaMessage> messages = {
      {.payload = R"({"n":1}
{"n":2})",
       .key = "a \"key\"\n",
       .partition = 2,
       .timestamp_ms = 1'700'000'000'123,
       .headers = {{"trace", "1"}, {"who", "me"}}},
      {.payload = R"({ "n" : 3 })", .partition = 2, .timestamp_ms = 1'700'000'000'456}};
  auto next = messages.begin();
  kafka().produce(name(), [&](KafkaMessage& message) {
    if (next == messages.end()) return false;
    message = *next++;
    return true;
  });
  Millrace millrace(
      folder(),
      clickhouse_yaml() +
          pipelines_yaml({},
                         "columns: {topic: _topic, partition: _partition, offset: _offset, "
                         "timestamp: _timestamp, key: _key, headers: _headers}"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 3));
  const std::string first = "\t" + name() +
                            "\t2\t0\t2023-11-14 22:13:20.123\ta \"key\"\\n\t"
                            "{'trace':'1','who':'me'}\n";
  EXPECT_EQ(
      clickhouse().query("SELECT * FROM " + name() + " ORDER BY n"),
      "1" + first + "2" + first + "3\t" + name() + "\t2\t1\t2023-11-14 22:13:20.456\t\\N\t{}");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, TombstonesAreCountedAndSkipped) {
  create_table(name());
  kafka().create_topic(name(), 1);
  int sent = 0;
  kafka().produce(name(), [&](KafkaMessage& message) {
    message.key = "k";
    if (sent != 1 && sent != 3) {
      message.payload = R"({"n":)" + std::to_string(sent) + R"(,"text":"x"})";
    }
    return sent++ < 4;  // the last one is a tombstone
  });
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 2));
  EXPECT_TRUE(eventually([&] { return millrace.metric("millrace_tombstones_total") == 2; },
                         kPatience, "two tombstones counted"));
  // They are progress, too: nobody reads them again.
  EXPECT_TRUE(eventually([&] { return total(kafka().committed_offsets(name(), name())) == 4; },
                         kPatience, "the offsets of tombstones are committed"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, TombstonesBecomeRowsWhenAskedFor) {
  clickhouse().query("CREATE TABLE " + name() + " (text String) ENGINE = MergeTree ORDER BY text");
  kafka().create_topic(name(), 1);
  int sent = 0;
  kafka().produce(name(), [&](KafkaMessage& message) {
    if (sent == 0) message.payload = "x";
    return sent++ < 2;
  });
  Millrace millrace(folder(),
                    clickhouse_yaml() + pipelines_yaml("tombstones: empty_payload", "format: TSV"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 2));
  EXPECT_EQ(clickhouse().query("SELECT * FROM " + name() + " ORDER BY text"), "\nx");
  EXPECT_EQ(millrace.stop(), 0);
}

// A change log: the last row of a key says whether it is deleted.
TEST_F(RoutingTest, TombstonesOfJsonAreRowsOfTheColumnsThatSayDeleted) {
  kafka().create_topic(name(), 1);
  for (const std::string encoding : {"native", "as_is"}) {
    int sent = 0;
    kafka().produce(name(), [&](KafkaMessage& message) {
      message.key = sent == 1 ? "u2" : "u1";
      if (sent < 2) message.payload = R"({"name":"a"})";
      return sent++ < 3;
    });
    const std::string table = name() + "_" + encoding;
    clickhouse().query("CREATE TABLE " + table +
                       " (k String, name String, off UInt64, deleted UInt8) ENGINE = "
                       "ReplacingMergeTree(off, deleted) ORDER BY k");
    Millrace millrace(
        folder(encoding),
        clickhouse_yaml("insert_settings: {optimize_on_insert: 0}") +
            pipelines_yaml("tombstones: empty_payload",
                           "tables: {" + name() + ": " + table + "}, encoding: " + encoding +
                               ", columns: {key: k, offset: off, deleted: deleted}"));
    millrace.start();
    ASSERT_TRUE(has_rows(table, 3)) << encoding;
    EXPECT_EQ(clickhouse().query("SELECT k, name, deleted FROM " + table + " ORDER BY off"),
              "u1\ta\t0\nu2\ta\t0\nu1\t\t1");
    EXPECT_EQ(clickhouse().query("SELECT k FROM " + table + " FINAL"), "u2");
    EXPECT_EQ(millrace.metric("millrace_tombstones_total"), 1);
    EXPECT_EQ(millrace.metric("millrace_inserted_rows_total"), 3);
    EXPECT_EQ(millrace.stop(), 0);
  }
}

TEST_F(RoutingTest, MessagesOfSeveralRows) {
  create_table(name());
  kafka().create_topic(name(), 1);
  kafka().produce_texts(
      name(), {"{\"n\":1,\"text\":\"a\"}\n{\"n\":2,\"text\":\"b\"}\n",
               "{\"n\":3,\"text\":\"c\"} {\"n\":4,\"text\":\"d\"}", "{\"n\":5,\n \"text\":\"e\"}"});
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 5));
  EXPECT_EQ(rows(name()), "1\ta\n2\tb\n3\tc\n4\td\n5\te");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, CsvMessagesWithAndWithoutANewline) {
  create_table(name());
  kafka().create_topic(name(), 1);
  kafka().produce_texts(name(), {"1,a", "2,b\n", "3,\"c,\nc\"\n4,d"});
  Millrace millrace(folder(), clickhouse_yaml() + pipelines_yaml({}, "format: CSV"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 4));
  EXPECT_EQ(rows(name()), "1\ta\n2\tb\n3\tc,\\nc\n4\td");
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RoutingTest, RowBinaryMessagesWithBytesThatLookLikeSeparators) {
  create_table(name());
  kafka().create_topic(name(), 1);
  const auto row = [](char n, const std::string& text) {
    return std::string{n, 0, 0, 0, 0, 0, 0, 0} + static_cast<char>(text.size()) + text;
  };
  kafka().produce_texts(name(), {row(1, "a"), row(10, "b\n"), row(13, "") + row(44, "d")});
  Millrace millrace(folder(), clickhouse_yaml() + pipelines_yaml({}, "format: RowBinary"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 4));
  EXPECT_EQ(rows(name()), "1\ta\n10\tb\\n\n13\t\n44\td");
  EXPECT_EQ(millrace.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
