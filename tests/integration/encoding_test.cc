// JSON rows as Native columns, against the real server: tables that change while rows flow, tables
// for which it can't be done, and repeats in another form.
#include <gtest/gtest.h>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

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
