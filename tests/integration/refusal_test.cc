// What a real ClickHouse refuses: the good rows arrive, the bad ones are dead letters with code and
// offset, and nothing is stuck.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRows = 200;
constexpr const char* kLetters = "millrace_dead_letters";
constexpr const char* kTableEnd =
    ") ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100000";

using Bad = std::set<std::uint64_t>;

// Rows 0 … kRows-1, but for those that are bad.
std::vector<std::string> payloads(const Bad& bad, const std::string& bad_payload) {
  std::vector<std::string> all;
  for (std::uint64_t n = 0; n < kRows; ++n)
    all.push_back(bad.contains(n) ? bad_payload : row_json(n));
  return all;
}

class RefusalTest : public WithServers {
 protected:
  // One partition, so that offsets are row numbers.
  static void produce(const std::string& topic, const std::vector<std::string>& payloads) {
    kafka().create_topic(topic, 1);
    kafka().produce_texts(topic, payloads);
  }
  // A pipeline of all these topics, each into the table of its name.
  std::string config_of(const std::vector<std::string>& topics, const std::string& more = {},
                        const std::string& clickhouse_more = {}) const {
    std::string list;
    for (const std::string& topic : topics) list += (list.empty() ? "" : ", ") + topic;
    return clickhouse_yaml(clickhouse_more) +
           "pipelines:\n  - {name: test, delivery: exactly_once" + more +
           ", source: {kafka: {brokers: '" + kafka().brokers() + "', group: " + name() +
           ", topics: [" + list + "], options: {session.timeout.ms: '6000'}}}}\n" +
           "workers: {retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n";
  }
  static testing::AssertionResult commits(const std::string& topic, const std::string& group,
                                          std::uint64_t rows = kRows) {
    return eventually(
        [&] {
          return total(kafka().committed_offsets(group, topic)) == static_cast<std::int64_t>(rows);
        },
        kPatience, "the position of " + topic + " is at its end", Millis{200});
  }
  static void expect_balanced(const Millrace& millrace) {
    EXPECT_TRUE(
        eventually([&] { return millrace.metric("millrace_lanes_waiting").value_or(0) == 0; },
                   kPatience, "no lane waits"));
    EXPECT_EQ(millrace.metric("millrace_ledger_difference_records"), 0);
    EXPECT_EQ(millrace.metric("millrace_unwritten_rows_total"), 0);
  }
  // "offset code,…" of a topic's letters.
  static std::string letters_of(const std::string& topic) {
    return clickhouse().query(
        "SELECT arrayStringConcat(groupArray(concat(toString(offset), ' ', toString(code))), ',') "
        "FROM (SELECT offset, code FROM " +
        std::string(kLetters) + " FINAL WHERE topic = '" + topic + "' ORDER BY offset)");
  }
  // Each good row is there once, as it was produced, and no other.
  static void expect_good_rows(const std::string& table, const Bad& bad) {
    EXPECT_EQ(clickhouse().number("SELECT count() FROM " + table), kRows - bad.size()) << table;
    EXPECT_EQ(missing_rows(clickhouse(), table, kRows), bad.size()) << table;
    EXPECT_EQ(duplicate_rows(clickhouse(), table), 0u) << table;
  }
  ProgramResult dead_letters(std::vector<std::string> arguments, const Millrace& millrace) const {
    arguments.insert(arguments.begin(), {built_program("millrace").string(), "dead-letters"});
    arguments.insert(arguments.end(), {"-c", millrace.config_file().string()});
    return run_program(arguments, kPatience, sanitizer_environment());
  }
};

struct Refusal {
  const char* name;
  const char* columns;  // besides n and text
  const char* payload;
  int code;
};
// Those at the end have no row number in ClickHouse's message.
constexpr Refusal kRefusals[] = {
    {"not_json", "", "this is not JSON", 27},
    {"number", "", R"({"n":-7})", 72},
    {"constraint", ", CONSTRAINT small CHECK n < 1000", R"({"n":5000,"text":"x"})", 469},
    {"uuid", ", u UUID", R"({"n":1,"u":"zz"})", 376},
    {"enumeration", ", e Enum8('a' = 1)", R"({"n":1,"e":"zz"})", 691},
    {"decimal", ", d Decimal(9, 2)", R"({"n":1,"d":"123456789012.1"})", 69},
    {"null", ", x Nullable(Int32) DEFAULT 1, y Int32 DEFAULT CAST(x AS Int32)",
     R"({"n":1,"x":null})", 349},
    {"thrown", ", y UInt8 DEFAULT throwIf(n = 5000)", R"({"n":5000})", 395},
};

TEST_F(RefusalTest, BadRowsOfEveryKindAndPlaceAreDeadLettersAndTheOthersArrive) {
  const std::map<std::string, Bad> places{{"first", {0}},
                                          {"middle", {100}},
                                          {"last", {kRows - 1}},
                                          {"ten", {3, 4, 5, 50, 99, 100, 101, 150, 198, 199}}};
  std::vector<std::string> topics;
  for (const Refusal& refusal : kRefusals) {
    for (const auto& [place, bad] : places) {
      topics.push_back(std::string(refusal.name) + "_" + place);
      clickhouse().query("CREATE TABLE " + topics.back() + " (n UInt64, text String" +
                         refusal.columns + kTableEnd);
      produce(topics.back(), payloads(bad, refusal.payload));
    }
  }
  Millrace millrace(folder(), config_of(topics));
  millrace.start();
  for (const Refusal& refusal : kRefusals) {
    for (const auto& [place, bad] : places) {
      const std::string topic = std::string(refusal.name) + "_" + place;
      ASSERT_TRUE(commits(topic, name())) << millrace.get("/status").body;
      expect_good_rows(topic, bad);
      std::string expected;
      for (const std::uint64_t offset : bad) {
        expected += (expected.empty() ? "" : ",") + std::to_string(offset) + " " +
                    std::to_string(refusal.code);
      }
      EXPECT_EQ(letters_of(topic), expected) << topic;
      EXPECT_EQ(millrace.metric("millrace_dead_letters_total", {"table=\"" + topic + "\""}),
                bad.size());
    }
  }
  expect_balanced(millrace);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RefusalTest, ABlockOfNothingButBadRowsIsPutAside) {
  create_rows_table(clickhouse(), name(), 1000);
  Bad all;
  for (std::uint64_t n = 0; n < kRows; ++n) all.insert(n);
  produce(name(), payloads(all, "no row"));
  Millrace millrace(folder(), config_of({name()}));
  millrace.start();
  ASSERT_TRUE(commits(name(), name())) << millrace.get("/status").body;
  expect_good_rows(name(), all);
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + std::string(kLetters) +
                                " FINAL WHERE payload = 'no row' AND topic = '" + name() + "'"),
            kRows);
  expect_balanced(millrace);
  EXPECT_EQ(millrace.stop(), 0);
}

// The server refuses the whole: in smaller parts it takes all of it.
TEST_F(RefusalTest, TooManyPartitionsForOneInsertAreSentInParts) {
  clickhouse().query(
      "CREATE TABLE " + name() +
      " (n UInt64, text String) ENGINE = MergeTree ORDER BY n PARTITION BY n SETTINGS "
      "non_replicated_deduplication_window = 100000");
  produce(name(), payloads({}, ""));
  Millrace millrace(folder(), config_of({name()}, "",
                                        "insert_settings: "
                                        "{max_partitions_per_insert_block: 30}"));
  millrace.start();
  ASSERT_TRUE(commits(name(), name())) << millrace.get("/status").body;
  expect_good_rows(name(), {});
  EXPECT_EQ(letters_of(name()), "");
  expect_balanced(millrace);
  EXPECT_EQ(millrace.stop(), 0);
}

// The table has the rows when its view fails: parts of them would be there twice.
TEST_F(RefusalTest, ARowThatAViewRefusesWaitsUntilTheViewIsMended) {
  create_rows_table(clickhouse(), name(), 1000);
  clickhouse().query("CREATE TABLE " + name() +
                     "_target (n UInt64, CONSTRAINT small CHECK n < 100" + kTableEnd);
  clickhouse().query("CREATE MATERIALIZED VIEW " + name() + "_view TO " + name() +
                     "_target AS SELECT n FROM " + name());
  produce(name(), payloads({}, ""));
  Millrace millrace(folder(), config_of({name()}));
  millrace.start();
  ASSERT_TRUE(eventually(
      [&] {
        return millrace.metric("millrace_lanes_waiting",
                               {R"(reason="VIOLATED_CONSTRAINT")", R"(kind="wait")"}) == 1;
      },
      kPatience, "the lane waits"))
      << millrace.get("/status").body;
  EXPECT_NE(millrace.log().find("materialized view"), std::string::npos);
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
  clickhouse().query("ALTER TABLE " + name() + "_target DROP CONSTRAINT small");
  ASSERT_TRUE(commits(name(), name())) << millrace.get("/status").body;
  expect_good_rows(name(), {});
  EXPECT_EQ(clickhouse().query("SELECT count(), uniqExact(n) FROM " + name() + "_target"),
            "200\t200");
  expect_balanced(millrace);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RefusalTest, WhileDeadLettersHaveNoPlaceTheLaneWaits) {
  create_rows_table(clickhouse(), name(), 1000);
  produce(name(), payloads({7}, "no row"));
  Millrace millrace(folder(), config_of({name()}, ", dead_letters: {table: attic.letters}"));
  millrace.start();
  ASSERT_TRUE(eventually(
      [&] {
        return millrace.metric("millrace_lanes_waiting", {R"(reason="DEAD_LETTERS_NOT_STORED")"}) ==
               1;
      },
      kPatience, "the lane waits"))
      << millrace.get("/status").body;
  EXPECT_NE(millrace.log().find("table attic.letters"), std::string::npos);
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
  clickhouse().query("CREATE DATABASE attic");
  ASSERT_TRUE(commits(name(), name())) << millrace.get("/status").body;
  expect_good_rows(name(), {7});
  EXPECT_EQ(clickhouse().query("SELECT offset, payload FROM attic.letters"), "7\tno row");
  expect_balanced(millrace);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(RefusalTest, KilledInMidSplitItLosesAndDoublesNothing) {
  // No row numbers, so that blocks are halved again and again.
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, text String, y UInt8 DEFAULT throwIf(text = 'bad')" + kTableEnd);
  constexpr int kPartitions = 4;
  constexpr std::uint64_t kMany = kSanitized ? 4'000 : 20'000, kEach = 97;
  kafka().create_topic(name(), kPartitions);
  std::uint64_t n = 0;
  kafka().produce(name(), [&](KafkaMessage& message) {
    if (n == kMany) return false;
    message.payload =
        n % kEach == 0 ? R"({"text":"bad","n":)" + std::to_string(n) + "}" : row_json(n);
    message.partition = static_cast<std::int32_t>(n++ % kPartitions);
    return true;
  });
  const std::uint64_t bad = (kMany + kEach - 1) / kEach;
  const std::string letters = "SELECT count(), uniqExact(topic, partition, offset) FROM " +
                              std::string(kLetters) + " FINAL WHERE topic = '" + name() + "'";
  for (const std::uint64_t part : {1UL, 2UL, 3UL}) {
    Millrace killed(folder("killed"), config_of({name()}));
    killed.start();
    EXPECT_TRUE(eventually(
        [&] {
          return clickhouse().try_number("SELECT count() FROM " + name()).value_or(0) >=
                 part * kMany / 8;
        },
        kPatience, "some rows are there", Millis{5}));
    killed.kill9();
  }
  Millrace last(folder("last"), config_of({name()}));
  last.start();
  ASSERT_TRUE(commits(name(), name(), kMany)) << last.get("/status").body;
  EXPECT_EQ(clickhouse().query("SELECT count(), uniqExact(n) FROM " + name()),
            std::to_string(kMany - bad) + "\t" + std::to_string(kMany - bad));
  EXPECT_EQ(clickhouse().query(letters), std::to_string(bad) + "\t" + std::to_string(bad));
  expect_balanced(last);
  EXPECT_EQ(last.stop(), 0);
}

// All three stores, from the refusal to the replay.
class DeadLetterStoreTest : public RefusalTest, public testing::WithParamInterface<const char*> {
 protected:
  std::string store_config() const {
    const std::string store = GetParam();
    return ", dead_letters: {store: " + store +
           ", table: letters_of_its_own, topic: letters, file: '" +
           folder("letters.jsonl").string() + "'}";
  }
};

TEST_P(DeadLetterStoreTest, ListShowAndReplay) {
  const std::string topic = std::string("replayed_") + GetParam();
  clickhouse().query("CREATE TABLE " + topic +
                     " (n UInt64, text String, o Int64, CONSTRAINT small CHECK n < 1000" +
                     kTableEnd);
  std::vector<std::string> rows = payloads({}, "");
  rows[3] = R"({"n":5000,"text":"too large"})";
  rows[9] = "\xff\xfe is not JSON";
  produce(topic, rows);
  std::string config = config_of({topic}, ", columns: {offset: o}" + store_config());
  config.replace(config.find("group: "), config.find(", topics") - config.find("group: "),
                 "group: " + topic);
  Millrace millrace(folder(GetParam()), config);
  millrace.start();
  ASSERT_TRUE(commits(topic, topic)) << millrace.get("/status").body;

  ProgramResult result = dead_letters({"list"}, millrace);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  for (const char* part :
       {"VIOLATED_CONSTRAINT", "CANNOT_PARSE_INPUT_ASSERTION_FAILED", "\tkept\t"}) {
    EXPECT_NE(result.output.find(part), std::string::npos) << part << result.output;
  }
  EXPECT_EQ(dead_letters({"list", "--code", "60"}, millrace).output.find("VIOLATED"),
            std::string::npos);
  EXPECT_EQ(dead_letters({"list", "--until", "1h"}, millrace).output.find("VIOLATED"),
            std::string::npos);
  result = dead_letters({"show", "--code", "469", "--since", "1h"}, millrace);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.output.find(R"({"n":5000,"text":"too large"})"), std::string::npos)
      << result.output;
  EXPECT_NE(result.output.find(R"({"o":3,"n":5000)"), std::string::npos) << result.output;

  // Not mended yet: both stay.
  result = dead_letters({"replay"}, millrace);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("0 replayed, 2 refused again"), std::string::npos) << result.output;

  clickhouse().query("ALTER TABLE " + topic + " DROP CONSTRAINT small");
  result = dead_letters({"replay", "--table", topic, "--code", "469"}, millrace);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("1 replayed, 0 refused again"), std::string::npos) << result.output;
  EXPECT_EQ(clickhouse().query("SELECT n, text, o FROM " + topic + " WHERE n = 5000"),
            "5000\ttoo large\t3");
  result = dead_letters({"replay", "--code", "469"}, millrace);
  EXPECT_NE(result.output.find("0 replayed, 0 refused again"), std::string::npos) << result.output;
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + topic + " WHERE n = 5000"), 1u);

  EXPECT_EQ(dead_letters({"list"}, millrace).output.find("VIOLATED"), std::string::npos);
  EXPECT_NE(dead_letters({"list", "--all"}, millrace).output.find("\treplayed\t"),
            std::string::npos);
  // Bytes that are no text come back as they were.
  result = dead_letters({"show"}, millrace);
  EXPECT_NE(result.output.find("\xff\xfe is not JSON"), std::string::npos) << result.output;
  EXPECT_EQ(millrace.stop(), 0);
}
INSTANTIATE_TEST_SUITE_P(Stores, DeadLetterStoreTest,
                         testing::Values("clickhouse", "file", "kafka"),
                         [](const auto& store) { return std::string(store.param); });

}  // namespace
}  // namespace millrace::test
