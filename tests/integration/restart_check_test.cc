// A plain MergeTree that was killed between its deduplication log and the rename of a part: it
// confirms the repeat and has not the rows. The moment is too short to be met; what it leaves
// behind is made by hand: parts of an insert that is in the log are taken away while the server is
// down.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/fault_proxy.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kBlock = 1'000;  // of rows
constexpr std::uint64_t kRows = 2 * kBlock;

class RestartCheckTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    proxy_ = std::make_unique<FaultProxy>(clickhouse().port());
    kafka().create_topic(name(), 1);
  }
  void create_table(const std::string& more_columns) const {
    clickhouse().query("CREATE TABLE " + name() + " (n UInt64, text String" + more_columns +
                       ") ENGINE = MergeTree PARTITION BY n % 2 ORDER BY n SETTINGS "
                       "non_replicated_deduplication_window = 100000");
    clickhouse().query("SYSTEM STOP MERGES " + name());  // a part is a block's
  }
  // The second block is inserted, nobody is told, and its odd rows are lost.
  std::unique_ptr<Millrace> lose_odd_rows(const std::string& columns) {
    auto millrace = std::make_unique<Millrace>(
        folder(), "clickhouse: {endpoints: ['http://127.0.0.1:" + std::to_string(proxy_->port()) +
                      "']}\n" +
                      pipelines_yaml("", "batch: {max_rows: 1000, max_age: 60s}" + columns) +
                      "workers: {count: 1, retry: {max: 500ms}}\n");
    millrace->start();
    // When the first block is in, the worker has asked the server all that it asks once.
    produce_rows(kafka(), name(), 0, kBlock, 1);
    EXPECT_TRUE(acknowledges(*millrace, kBlock));
    proxy_->hold_answers(true);
    produce_rows(kafka(), name(), kBlock, kRows, 1);
    EXPECT_TRUE(has_rows(name(), kRows));
    take_part_away(clickhouse().query(
        "SELECT path FROM system.parts WHERE active AND partition = '1' AND table = '" + name() +
        "' ORDER BY min_block_number DESC LIMIT 1"));
    EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), kRows - kBlock / 2);
    proxy_->reset_all();  // what the server had said
    proxy_->hold_answers(false);
    return millrace;
  }
  static void take_part_away(const std::filesystem::path& part) {
    clickhouse().kill9();
    EXPECT_GT(std::filesystem::remove_all(part.parent_path()), 1u) << part;  // it ends in a slash
    clickhouse().start();
  }
  static testing::AssertionResult acknowledges(const Millrace& millrace, std::uint64_t rows) {
    return eventually([&] { return millrace.metric("millrace_inserted_rows_total") == rows; },
                      kPatience, std::to_string(rows) + " rows are acknowledged");
  }

  std::unique_ptr<FaultProxy> proxy_;
};

TEST_F(RestartCheckTest, RowsThatWereLostAreSentAgainAndNoOthers) {
  create_table(", topic String, part Int32, at Int64");
  const auto millrace = lose_odd_rows(
      ", delivery: exactly_once, columns: {topic: topic, partition: part, offset: at}");
  EXPECT_TRUE(has_rows(name(), kRows));
  EXPECT_TRUE(acknowledges(*millrace, kRows));
  EXPECT_EQ(missing_rows(clickhouse(), name(), kRows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
  EXPECT_EQ(millrace->metric("millrace_repaired_rows_total"), kBlock / 2);
  EXPECT_NE(millrace->get("/status").body.find("rows in doubt are looked for"), std::string::npos);
  EXPECT_EQ(millrace->stop(), 0);
}

// As the guarantee says of such a table.
TEST_F(RestartCheckTest, WithoutColumnsThatNameARecordNoRowIsMissing) {
  create_table("");
  const auto millrace = lose_odd_rows("");
  EXPECT_TRUE(acknowledges(*millrace, kRows));
  EXPECT_EQ(missing_rows(clickhouse(), name(), kRows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), kBlock / 2);
  EXPECT_NE(millrace->get("/status").body.find("only while ClickHouse itself is not killed"),
            std::string::npos);
  EXPECT_EQ(millrace->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
