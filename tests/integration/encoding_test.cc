// JSON rows as Native columns, against the real server: tables that change while rows flow, tables
// for which it can't be done, and repeats in another form.
#include <gtest/gtest.h>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

class EncodingTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), 1);
  }
  std::unique_ptr<Millrace> start(const std::string& sub, const std::string& more = {}) const {
    auto millrace = std::make_unique<Millrace>(
        folder(sub), clickhouse_yaml() +
                         pipelines_yaml("options: {session.timeout.ms: '6000'}",
                                        "batch: {max_age: 50ms}" + more) +
                         "workers: {retry: {wait_probe: 200ms, wait_probe_max: 500ms}}\n");
    millrace->start();
    return millrace;
  }
  void expect_value(const std::string& what, const std::string& value) const {
    EXPECT_TRUE(eventually(
        [&] {
          try {
            return clickhouse().query("SELECT " + what + " FROM " + name()) == value;
          } catch (const QueryFailed&) {
            return false;
          }
        },
        kPatience, what + " is " + value));
  }
  static std::optional<double> blocks(const Millrace& millrace, const std::string& format) {
    return millrace.metric("millrace_encoded_blocks_total", {"format=\"" + format + "\""});
  }
};

TEST_F(EncodingTest, ColumnsThatComeAndGoCostNoRestartAndNoRow) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, a String) ENGINE = MergeTree ORDER BY n SETTINGS "
                     "non_replicated_deduplication_window = 1000");
  const auto millrace = start("millrace");
  kafka().produce_texts(name(), {R"({"n":1,"a":"x"})"});
  expect_value("count()", "1");
  clickhouse().query("ALTER TABLE " + name() + " ADD COLUMN b UInt32");
  kafka().produce_texts(name(), {R"({"n":2,"a":"y","b":7})"});
  expect_value("sum(b)", "7");
  clickhouse().query("ALTER TABLE " + name() + " MODIFY COLUMN b String");
  kafka().produce_texts(name(), {R"({"n":3,"a":"z","b":"text"})"});
  expect_value("countIf(b = 'text')", "1");
  clickhouse().query("ALTER TABLE " + name() + " DROP COLUMN a");
  kafka().produce_texts(name(), {R"({"n":4,"b":"more"})"});
  expect_value("count()", "4");
  EXPECT_EQ(blocks(*millrace, "Native"), 4);
  EXPECT_EQ(blocks(*millrace, "JSONEachRow").value_or(0), 0);
  EXPECT_EQ(millrace->metric("millrace_dead_letters_total").value_or(0), 0);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(EncodingTest, ATableThatCanNotBeEncodedForGetsItsMessagesAsTheyAre) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, v Variant(UInt64, String)) ENGINE = MergeTree ORDER BY n");
  const auto millrace = start("millrace");
  kafka().produce_texts(name(), {R"({"n":1,"v":5})", R"({"n":2,"v":"text"})"});
  expect_value("groupArray(toString(v))", "['5','text']");
  EXPECT_EQ(blocks(*millrace, "Native").value_or(0), 0);
  EXPECT_GE(millrace->metric("millrace_passed_on_total", {R"(column="v")"}).value_or(0), 1);
  EXPECT_NE(millrace->log().find("column v"), std::string::npos);
  EXPECT_EQ(millrace->stop(), 0);
}

// A DEFAULT that is made of an EPHEMERAL column: the insert must name that.
TEST_F(EncodingTest, EphemeralColumnsAreInserted) {
  const std::string columns =
      " (id UInt32, a String EPHEMERAL, b DateTime64(3, 'UTC') DEFAULT "
      "parseDateTime64BestEffortOrZero(a, 3, 'UTC')";
  clickhouse().query("CREATE TABLE " + name() + columns + ") ENGINE = MergeTree ORDER BY id");
  const auto millrace = start("millrace");
  kafka().produce_texts(name(), {R"({"id":1,"a":"2023-06-15T09:35:00.000+03:00"})",
                                 R"({"id":2,"a":"2023-06-15T10:35:00.000+03:00"})"});
  expect_value("arraySort(groupArray(toString(b)))",
               "['2023-06-15 06:35:00.000','2023-06-15 07:35:00.000']");
  EXPECT_GE(blocks(*millrace, "Native").value_or(0), 1);
  EXPECT_EQ(blocks(*millrace, "JSONEachRow").value_or(0), 0);
  // As text, too.
  clickhouse().query("ALTER TABLE " + name() + " ADD COLUMN v Variant(UInt64, String)");
  kafka().produce_texts(name(), {R"({"id":3,"a":"2023-06-15T11:35:00.000+03:00","v":5})"});
  expect_value("any(toString(b)) FILTER (WHERE id = 3)", "2023-06-15 08:35:00.000");
  EXPECT_GE(blocks(*millrace, "JSONEachRow").value_or(0), 1);
  EXPECT_EQ(millrace->metric("millrace_dead_letters_total").value_or(0), 0);
  EXPECT_EQ(millrace->stop(), 0);
}

// The envelope of Debezium: DESCRIBE quotes the names of elements that are keywords.
TEST_F(EncodingTest, QuotedNamesOfTupleElementsAreEncoded) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (after Tuple(id Int64, day Nullable(Date32)), source Tuple(`table` "
                     "LowCardinality(String), lsn Nullable(Int64), `it's a ``name``` UInt8), op "
                     "LowCardinality(String)) ENGINE = MergeTree ORDER BY op");
  const auto millrace = start("millrace");
  kafka().produce_texts(
      name(), {R"({"after":{"id":1111,"day":19776},"source":{"version":"2.3.1","table":"tickets",)"
               R"("lsn":25069631224,"it's a `name`":7},"op":"c"})",
               R"({"after":null,"source":{"lsn":null,"table":"seats"},"op":"d"})"});
  expect_value(
      "arrayReverseSort(groupArray(tuple(after.id, after.day, source.table, source.lsn, source.3, "
      "op)))",
      "[(1111,'2024-02-23','tickets',25069631224,7,'c'),(0,NULL,'seats',NULL,0,'d')]");
  EXPECT_GE(blocks(*millrace, "Native").value_or(0), 1);
  EXPECT_EQ(blocks(*millrace, "JSONEachRow").value_or(0), 0);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(EncodingTest, AFieldWithoutAColumnIsNamedWithItsRecordAndWhatToDo) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (id UInt64, m UInt64 MATERIALIZED id + 1) ENGINE = MergeTree ORDER BY id");
  const auto millrace = start("millrace");
  std::vector<std::string> messages;
  for (int n = 0; n < 20; ++n) messages.push_back("{\"id\":" + std::to_string(n) + "}");
  messages.emplace_back(R"({"id":20,"new_field":1})");
  kafka().produce_texts(name(), messages);
  const auto says = [&](const std::string& what) {
    return eventually([&] { return millrace->log().find(what) != std::string::npos; }, kPatience,
                      what);
  };
  EXPECT_TRUE(says("record at offset 20 of " + name() + "/0: the table has no column new_field"));
  EXPECT_TRUE(says("ALTER TABLE " + name() + " ADD COLUMN new_field"));
  EXPECT_TRUE(says("input_format_skip_unknown_fields: 1"));
  EXPECT_TRUE(says("clickhouse.dispositions: {117: dead_letter}"));
  clickhouse().query("ALTER TABLE " + name() + " ADD COLUMN new_field UInt8");
  expect_value("count()", "21");
  kafka().produce_texts(name(), {R"({"id":21,"m":5})"});
  EXPECT_TRUE(says("record at offset 21 of " + name() +
                   "/0: m is a column that no insert can set (MATERIALIZED)"));
  millrace->kill9();
}

// With ClickHouse's own codes, which dispositions go by.
TEST_F(EncodingTest, RefusedEscapesHaveClickHousesCodes) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (id UInt64, s String, m Map(String, String)) ENGINE = MergeTree ORDER BY "
                     "id");
  const auto millrace = start("millrace");
  kafka().produce_texts(
      name(), {R"({"id":1,"s":"cut off \ud83d"})", R"({"id":2,"s":"ok","m":{"k":"\udce4"}})",
               R"({"id":4,"s":"\u00"})", R"({"id":6,"s":"\ud83d\ude00 fine"})"});
  expect_value("arraySort(groupArray(id))", "[2,6]");
  EXPECT_TRUE(eventually(
      [&] {
        return clickhouse().query(
                   "SELECT groupArray((offset, code)) FROM (SELECT offset, code "
                   "FROM millrace_dead_letters WHERE topic = '" +
                   name() + "' ORDER BY offset)") == "[(0,25),(2,26)]";
      },
      kPatience, "two dead letters"));
  EXPECT_EQ(
      clickhouse().number("SELECT count() FROM millrace_dead_letters WHERE topic = '" + name() +
                          "' AND message LIKE "
                          "'%input_format_json_throw_on_bad_escape_sequence%'"),
      1u);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(EncodingTest, RowsOfTextFormatsAreEncodedToo) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, s String, d Nullable(Date)) ENGINE = MergeTree ORDER BY n");
  const std::vector<std::pair<std::string, std::vector<std::string>>> formats = {
      {"TSV", {"1\ta\\tb\t\\N", "2\t,\t2024-01-02"}},
      {"CSV", {"3,\"a\tb\",\\N", "4,\",\",2024-01-02"}},
      {"JSONCompactEachRow", {R"([5,"a\tb",null])", R"([6,",","2024-01-02"])"}}};
  std::size_t rows = 0;
  for (const auto& [format, messages] : formats) {
    const auto millrace = start(format, ", format: " + format);
    kafka().produce_texts(name(), messages);
    rows += messages.size();
    ASSERT_TRUE(has_rows(name(), rows)) << format;
    EXPECT_GT(blocks(*millrace, "Native").value_or(0), 0) << format;
    EXPECT_EQ(blocks(*millrace, format).value_or(0), 0) << format;
    EXPECT_EQ(millrace->stop(), 0);
  }
  expect_value("countIf(s = 'a\\tb' AND d IS NULL AND n % 2 = 1)", "3");
  expect_value("countIf(s = ',' AND d = '2024-01-02' AND n % 2 = 0)", "3");
}

// A body in either form.
TEST_F(EncodingTest, CompressedBodiesAreTaken) {
  create_rows_table(clickhouse(), name(), 100'000);
  std::uint64_t rows = 0;
  for (const std::string how : {"codec: lz4", "codec: zstd, level: 7"}) {
    for (const std::string encoding : {"native", "as_is"}) {
      const auto millrace = start("millrace-" + std::to_string(rows),
                                  ", compression: {" + how + "}, encoding: " + encoding);
      produce_rows(kafka(), name(), rows, rows + 1'000, 1);
      rows += 1'000;
      ASSERT_TRUE(has_rows(name(), rows)) << how << ", " << encoding;
      EXPECT_EQ(millrace->stop(), 0);
    }
  }
  EXPECT_EQ(missing_rows(clickhouse(), name(), rows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
}

// The server refuses an insert whose traceparent it can't read.
TEST_F(EncodingTest, AnInsertBelongsToTheTraceOfItsFirstMessage) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  ASSERT_EQ(http_request(clickhouse().port(), "/?allow_get_client_http_header=1",
                         "CREATE TABLE " + name() +
                             " (n UInt64, trace String DEFAULT getClientHTTPHeader('traceparent'))"
                             " ENGINE = MergeTree ORDER BY n")
                .status,
            200);
  Millrace millrace(
      folder(), clickhouse_yaml("insert_settings: {allow_get_client_http_header: 1}") +
                    pipelines_yaml("", "trace_context: first, batch: {max_rows: 2, max_age: 1m}"));
  millrace.start();
  std::vector<KafkaMessage> messages;
  for (const std::string header : {"no-trace", trace.c_str(), "none", "none"}) {
    KafkaMessage message;
    message.payload = "{\"n\":" + std::to_string(messages.size()) + "}";
    if (header != "none") message.headers = {{"traceparent", header}};
    messages.push_back(std::move(message));
  }
  std::size_t next = 0;
  kafka().produce(name(), [&](KafkaMessage& message) {
    if (next == messages.size()) return false;
    message = messages[next++];
    return true;
  });
  expect_value("arraySort(groupArray((n, trace)))",
               "[(0,'" + trace + "'),(1,'" + trace + "'),(2,''),(3,'')]");
  EXPECT_EQ(millrace.stop(), 0);
}

// A repeat may be made by a process that encodes where the first try did not, and the reverse.
TEST_F(EncodingTest, ARepeatInAnotherFormIsRecognised) {
  create_rows_table(clickhouse(), name(), 100'000);
  const std::uint64_t rows = 1'000;
  produce_rows(kafka(), name(), 0, rows, 1);
  const auto planned = ", delivery: exactly_once, encoding: ";
  auto first = std::make_unique<Millrace>(
      folder("first"), clickhouse_yaml() + pipelines_yaml("options: {session.timeout.ms: '6000'}",
                                                          "batch: {max_age: 50ms}" +
                                                              std::string(planned) + "as_is"));
  first->start("sent");
  ASSERT_TRUE(first->comes_to_stop());
  ASSERT_GT(clickhouse().number("SELECT count() FROM " + name()), 0u);
  first->kill9();
  const auto second = start("second", planned + std::string("native"));
  expect_value("count()", std::to_string(rows));
  EXPECT_TRUE(eventually([&] { return second->metric("millrace_inserted_rows_total") == rows; },
                         kPatience, "all is acknowledged"));
  EXPECT_GT(blocks(*second, "Native").value_or(0), 0);
  EXPECT_EQ(missing_rows(clickhouse(), name(), rows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
  EXPECT_EQ(second->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
