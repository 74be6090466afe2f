// Tables that keep a part of an insert that they refuse: each by itself, and what millrace does
// with them. The table in pipeline/README.md, "What a refusal leaves behind", is of these.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/refusal.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kRows = 100;
constexpr std::uint64_t kBad = 51;
constexpr const char* kCheck = ", CONSTRAINT c CHECK b != 'bad'";
constexpr const char* kWindow = " SETTINGS non_replicated_deduplication_window = 100000";

std::string message(std::uint64_t id) {
  return "{\"id\":" + std::to_string(id) + ",\"b\":\"" + (id == kBad ? "bad" : "ok") + "\"}";
}

class KeptPartsTest : public WithServers {
 protected:
  // Two shards on the one server, told apart by their databases.
  static void SetUpTestSuite() {
    WithServers::SetUpTestSuite();
    std::string shards;
    for (const char* database : {"s1", "s2"}) {
      shards += "<shard><replica><host>127.0.0.1</host><port>" +
                std::to_string(clickhouse().native_port()) + "</port><default_database>" +
                database + "</default_database></replica></shard>";
    }
    clickhouse().configure("", "<remote_servers><two>" + shards + "</two></remote_servers>");
    clickhouse().stop();
    clickhouse().start();
    clickhouse().query("CREATE DATABASE s1");
    clickhouse().query("CREATE DATABASE s2");
  }
  // name() over both shards, of which the second has a constraint.
  void create_distributed(const std::string& sharding_key) const {
    const std::string columns = name() + " (id UInt64, b String";
    clickhouse().query("CREATE TABLE s1." + columns + ") ENGINE = MergeTree ORDER BY id" + kWindow);
    clickhouse().query("CREATE TABLE s2." + columns + kCheck + ") ENGINE = MergeTree ORDER BY id" +
                       kWindow);
    clickhouse().query("CREATE TABLE " + columns + ") ENGINE = Distributed('two', '', '" + name() +
                       "', " + sharding_key + ")");
  }
  // One insert as a worker makes it, of 100 rows, one of which is bad: the answer, if it is no
  // success.
  static std::optional<ClickHouseError> insert_one_bad(const std::string& table) {
    Client client({.host = "127.0.0.1", .port = clickhouse().port()});
    std::string body;
    for (std::uint64_t id = 0; id < kRows; ++id) body += message(id) + "\n";
    InsertOptions options;
    options.format = "JSONEachRow";
    options.deduplication_token = table;
    options.settings = {{"distributed_foreground_insert", "1"}, {"async_insert", "0"}};
    try {
      const std::string_view piece = body;
      (void)client.raw_insert(table, {&piece, 1}, options);
    } catch (const ClickHouseError& error) {
      return error;
    }
    return std::nullopt;
  }
  static std::string why(const std::string& table, const ClickHouseError& refusal) {
    Client client({.host = "127.0.0.1", .port = clickhouse().port()});
    return why_part_may_be_in(ask_refusal_facts(client, table), refusal);
  }
  static std::string engine_is_checked(const std::string& table) {
    Client client({.host = "127.0.0.1", .port = clickhouse().port()});
    return why_it_keeps_parts(ask_refusal_facts(client, table));
  }
  void produce() const {
    std::vector<std::string> payloads;
    for (std::uint64_t id = 0; id < kRows; ++id) payloads.push_back(message(id));
    kafka().create_topic(name(), 1);
    kafka().produce_texts(name(), payloads);
  }
  std::string quick_config() const {
    return config("workers: {retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n");
  }
  // Rows, and how many of them are different, behind the Distributed table.
  std::string behind() const {
    return clickhouse().query("SELECT count(), uniqExact(id) FROM (SELECT id FROM s1." + name() +
                              " UNION ALL SELECT id FROM s2." + name() + ")");
  }
  testing::AssertionResult commits() const {
    return eventually(
        [&] {
          return total(kafka().committed_offsets(name(), name())) ==
                 static_cast<std::int64_t>(kRows);
        },
        kPatience, "the position is at its end", Millis{50});
  }
};

// A refusal leaves nothing behind, and millrace knows.
TEST_F(KeptPartsTest, OneInsertOfOneTableIsRefusedAsAWhole) {
  const std::string check = kCheck;
  for (const auto& [engine, definition] : std::vector<std::pair<std::string, std::string>>{
           {"plain", check + ") ENGINE = MergeTree ORDER BY id"},
           {"parts", check + ") ENGINE = MergeTree ORDER BY id PARTITION BY id % 10"},
           {"replacing", check + ") ENGINE = ReplacingMergeTree ORDER BY id"},
           {"indexed", ", INDEX i throwIf(b = 'bad') TYPE minmax) ENGINE = MergeTree ORDER BY id"},
           {"defaults",
            ", d UInt8 DEFAULT throwIf(b = 'bad')) ENGINE = MergeTree ORDER BY id "
            "PARTITION BY id % 10"},
           {"memory", check + ") ENGINE = Memory"},
           {"log", check + ") ENGINE = Log"},
           {"tiny_log", check + ") ENGINE = TinyLog"},
           {"stripe_log", check + ") ENGINE = StripeLog"},
           {"nothing", check + ") ENGINE = Null"}}) {
    const std::string table = name() + "_" + engine;
    clickhouse().query("CREATE TABLE " + table + " (id UInt64, b String" + definition);
    const auto refusal = insert_one_bad(table);
    ASSERT_TRUE(refusal) << engine;
    EXPECT_EQ(refusal->disposition(), Disposition::kSplit) << engine;
    EXPECT_EQ(clickhouse().number("SELECT count() FROM " + table), 0u) << engine;
    EXPECT_EQ(why(table, *refusal), "") << engine;
  }
}

TEST_F(KeptPartsTest, APartitionedTableKeepsThoseBeforeTheOneWhoseExpressionThrows) {
  for (const auto& [what, definition] : std::vector<std::pair<std::string, std::string>>{
           {"index", ", INDEX i throwIf(b = 'bad') TYPE minmax) ENGINE = MergeTree ORDER BY id"},
           {"projection",
            ", PROJECTION p (SELECT throwIf(b = 'bad') AS k, count() GROUP BY k)) "
            "ENGINE = MergeTree ORDER BY id"},
           {"sorting", ") ENGINE = MergeTree ORDER BY (throwIf(b = 'bad'), id)"}}) {
    const std::string table = name() + "_" + what;
    clickhouse().query("CREATE TABLE " + table + " (id UInt64, b String" + definition +
                       " PARTITION BY id");
    const auto refusal = insert_one_bad(table);
    ASSERT_TRUE(refusal) << what;
    EXPECT_EQ(refusal->disposition(), Disposition::kSplit) << what;
    EXPECT_GT(clickhouse().number("SELECT count() FROM " + table), 0u) << what;
    EXPECT_THAT(why(table, *refusal), HasSubstr("partitioned")) << what;
  }
}

TEST_F(KeptPartsTest, DistributedKeepsWhatOtherShardsTook) {
  create_distributed("id");
  const auto refusal = insert_one_bad(name());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->disposition(), Disposition::kSplit);
  EXPECT_EQ(behind(), "50\t50");
  const std::string reason = why(name(), *refusal);
  EXPECT_THAT(reason, HasSubstr("s1." + name() + " on 127.0.0.1"));
  EXPECT_THAT(reason, HasSubstr("s2." + name() + " on 127.0.0.1"));
}

TEST_F(KeptPartsTest, ATableWhoseViewRefusesHasTheRows) {
  clickhouse().query("CREATE TABLE " + name() +
                     " (id UInt64, b String) ENGINE = MergeTree "
                     "ORDER BY id");
  clickhouse().query("CREATE TABLE " + name() + "_target (id UInt64, b String" + kCheck +
                     ") ENGINE = MergeTree ORDER BY id");
  clickhouse().query("CREATE MATERIALIZED VIEW " + name() + "_view TO " + name() +
                     "_target AS SELECT id, b FROM " + name());
  const auto refusal = insert_one_bad(name());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), kRows);
  EXPECT_EQ(refusal->disposition(), Disposition::kWait);
  EXPECT_TRUE(refusal->may_have_been_applied());
}

// It says yes, and its target no, later and to nobody. What it takes at once it may refuse.
TEST_F(KeptPartsTest, ABufferConfirmsWhatItsTargetRefusesLater) {
  clickhouse().query("CREATE TABLE " + name() + "_target (id UInt64, b String" + kCheck +
                     ") ENGINE = MergeTree ORDER BY id");
  clickhouse().query("CREATE TABLE " + name() + " (id UInt64, b String) ENGINE = Buffer(default, " +
                     name() + "_target, 1, 100, 100, 100000, 100000, 100000000, 100000000)");
  EXPECT_FALSE(insert_one_bad(name()));
  EXPECT_THROW(clickhouse().query("OPTIMIZE TABLE " + name()), QueryFailed);
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name() + "_target"), 0u);
  EXPECT_THAT(engine_is_checked(name()), HasSubstr("engine Buffer"));
}

TEST_F(KeptPartsTest, ALaneIntoDistributedWaitsAndNothingIsThereTwice) {
  create_distributed("id");
  produce();
  Millrace millrace(folder(), quick_config());
  millrace.start();
  ASSERT_TRUE(eventually(
      [&] {
        return millrace.metric("millrace_retries_total", {R"(code="REFUSED_IN_PART")"})
                   .value_or(0) >= 3;
      },
      kPatience, "the lane waits, and was tried several times"))
      << millrace.log();
  EXPECT_EQ(behind(), "50\t50");
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
  EXPECT_THAT(millrace.log(), HasSubstr("s2." + name() + " on 127.0.0.1"));
  EXPECT_THAT(millrace.log(), HasSubstr("violated at row 26"));
  clickhouse().query("ALTER TABLE s2." + name() + " DROP CONSTRAINT c");
  ASSERT_TRUE(commits()) << millrace.log();
  EXPECT_EQ(behind(), "100\t100");
  EXPECT_EQ(millrace.stop(), 0);
}

// The same rows go to other shards with each try, which would drop those that come under a token
// that they know.
TEST_F(KeptPartsTest, ShardsThatAreDrawnLoseNoRowWhenABlockIsSentAgain) {
  create_distributed("rand()");
  clickhouse().query("ALTER TABLE s2." + name() + " ADD CONSTRAINT d CHECK id > 1000");
  produce();
  Millrace millrace(folder(), quick_config());
  millrace.start();
  ASSERT_TRUE(
      eventually([&] { return clickhouse().number("SELECT count() FROM s1." + name()) > 0; },
                 kPatience, "one shard has its rows"))
      << millrace.log();
  clickhouse().query("ALTER TABLE s2." + name() + " DROP CONSTRAINT c, DROP CONSTRAINT d");
  ASSERT_TRUE(commits()) << millrace.log();
  EXPECT_EQ(clickhouse().number("SELECT uniqExact(id) FROM (SELECT id FROM s1." + name() +
                                " UNION ALL SELECT id FROM s2." + name() + ")"),
            kRows);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(KeptPartsTest, CheckWarnsOfThem) {
  create_distributed("rand()");
  produce();
  const Millrace millrace(folder(), config());
  const ProgramResult check = run_program(
      {built_program("millrace").string(), "check", "-c", millrace.config_file().string()},
      kPatience, sanitizer_environment());
  EXPECT_EQ(check.exit_code, 0) << check.output;
  EXPECT_THAT(check.output, HasSubstr("WARN"));
  EXPECT_THAT(check.output, HasSubstr("stops its lane until somebody acts"));
  EXPECT_THAT(check.output, HasSubstr("shard 2: s2." + name() + " on 127.0.0.1"));
  EXPECT_THAT(check.output, HasSubstr("its sharding key is another one each time"));
}

}  // namespace
}  // namespace millrace::test
