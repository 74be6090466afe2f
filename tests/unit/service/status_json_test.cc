#include <gmock/gmock.h>

#include <limits>
#include <random>

#include "service/json_writer.h"
#include "tests/unit/service/status_test_support.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(StatusJson, HasEveryPartOfTheSnapshot) {
  auto json = parse_json(to_json(filled_snapshot()));
  EXPECT_EQ(json["version"], "\"1.2.3");
  EXPECT_EQ(json["started"], "\"2023-11-14T22:13:20Z");
  EXPECT_EQ(json["uptime_seconds"], "90");
  EXPECT_EQ(json["ready"], "true");
  EXPECT_EQ(json["limiting_stage.stage"], "\"" + std::string(to_string(Limit::kSessionWait)));
  EXPECT_THAT(json["limiting_stage.advice"], HasSubstr("clickhouse.pool.hard_limit"));
  EXPECT_EQ(json["operations_in_flight.insert"], "1");
  EXPECT_EQ(json["budget.used_bytes"], "13");
  EXPECT_EQ(json["queue.queued_blocks"], "11");
  EXPECT_EQ(json["queue.oldest_block_seconds"], "1.5");
  EXPECT_EQ(json["workers.0.operation"], "\"insert");
  EXPECT_EQ(json["workers.0.clickhouse_session"], "\"b0b1");
  EXPECT_EQ(json["http_sessions.leased"], "9");
  EXPECT_EQ(json["http_sessions.options.hard_limit"], "64");
  EXPECT_EQ(json["http_sessions.options.idle_timeout_seconds"], "60");
  EXPECT_EQ(json["pipelines.0.name"], "\"p");
  EXPECT_EQ(json["pipelines.0.delivery"], "\"auto");
  EXPECT_EQ(json["pipelines.0.tables.0.guarantee"], "\"exactly_once");
  EXPECT_THAT(json["pipelines.0.tables.0.guarantee_because"], HasSubstr("10000"));
  EXPECT_EQ(json["pipelines.0.tables.0.repaired_rows"], "10");
  EXPECT_EQ(json["pipelines.0.tables.0.encoded_blocks.Native"], "11");
  EXPECT_EQ(json["pipelines.0.tables.0.passed_on.v"], "12");
  EXPECT_EQ(json["pipelines.0.source.messages"], "41");
  EXPECT_EQ(json["pipelines.0.source.rebalances.assign"], "48");
  EXPECT_EQ(json["pipelines.0.tables.0.inserted_rows"], "1000");
  EXPECT_EQ(json["pipelines.0.tables.0.retries.timeout"], "7");
  EXPECT_EQ(json["pipelines.0.tables.0.dead_letters.CANNOT_PARSE_NUMBER"], "8");
  EXPECT_EQ(json["pipelines.0.tables.0.newest_dead_letters.0.time"], "\"2023-11-14T22:13:20Z");
  EXPECT_EQ(json["pipelines.0.tables.0.newest_dead_letters.0.offset"], "77");
  EXPECT_EQ(json["pipelines.0.tables.0.newest_dead_letters.0.message"], "\"Cannot parse \"<b>\"");
  EXPECT_EQ(json["pipelines.0.tables.0.unwritten_rows"], "9");
  EXPECT_EQ(json["pipelines.0.lanes.0.ledger.dead_lettered"], "2");
  EXPECT_EQ(json["pipelines.0.lanes.0.ledger.difference"], "1");
  EXPECT_EQ(json["process.resident_bytes"], "4096");
}

TEST(StatusJson, MeansComeFromTheHistogramsAndAreNullBeforeTheFirstBlock) {
  StatusSnapshot snapshot = filled_snapshot();
  snapshot.pipelines[0].tables[0].block_bytes = {.upper_bounds = {1}, .counts = {0, 0}, .sum = 0};
  auto json = parse_json(to_json(snapshot));
  EXPECT_EQ(std::stod(json["pipelines.0.tables.0.mean_insert_seconds"]), 12.5 / 3);
  EXPECT_EQ(json["pipelines.0.tables.0.mean_block_bytes"], "null");
}

TEST(StatusJson, AWaitingLaneSaysSinceWhenWhyAndWhatToDo) {
  auto json = parse_json(to_json(filled_snapshot()));
  const std::string wait = "pipelines.0.lanes.1.waiting";
  EXPECT_EQ(json[wait + ".reason"], "\"UNKNOWN_TABLE");
  EXPECT_EQ(json[wait + ".code"], "60");
  EXPECT_EQ(json[wait + ".since"], "\"2023-11-14T22:13:20Z");
  EXPECT_EQ(json[wait + ".seconds"], "90");
  EXPECT_EQ(json[wait + ".attempts"], "8");
  EXPECT_THAT(json[wait + ".what_to_do"], HasSubstr("create table"));
  EXPECT_EQ(json["pipelines.0.lanes.0.waiting"], "null");
}

TEST(StatusJson, OffsetsThatAreNotKnownAreNull) {
  auto json = parse_json(to_json(filled_snapshot()));
  EXPECT_EQ(json["pipelines.0.lanes.0.position"], "90");
  EXPECT_EQ(json["pipelines.0.lanes.0.committed"], "80");
  EXPECT_EQ(json["pipelines.0.lanes.0.lag"], "10");
  EXPECT_EQ(json["pipelines.0.lanes.1.committed"], "null");
  EXPECT_EQ(json["pipelines.0.lanes.1.high_watermark"], "null");
  EXPECT_EQ(json["pipelines.0.lanes.1.lag"], "null");
}

TEST(StatusJson, AnEmptyProcessIsValidToo) {
  auto json = parse_json(to_json(StatusSnapshot{}));
  EXPECT_EQ(json["pipelines"], "[]");
}

// Messages of servers and names of tables are anything.
TEST(StatusJson, StaysValidForHostileStrings) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  const auto hostile = [&] {
    std::string text;
    for (auto n = random() % 40; n > 0; --n) text += static_cast<char>(random() >> 8);
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    StatusSnapshot snapshot = filled_snapshot();
    snapshot.config_file = hostile();
    snapshot.not_ready = {hostile(), hostile()};
    snapshot.pipelines[0].name = hostile();
    snapshot.pipelines[0].tables[0].retries = {{hostile(), 1}};
    snapshot.pipelines[0].lanes[1].wait.message = hostile();
    auto json = parse_json(to_json(snapshot));
    EXPECT_EQ(json["config_file"], "\"" + to_valid_utf8(snapshot.config_file));
    EXPECT_EQ(json["not_ready.1"], "\"" + to_valid_utf8(snapshot.not_ready[1]));
  }
}

TEST(ValidUtf8, KeepsWhatIsValidAndReplacesEachBadByte) {
  const std::string bad = "\xef\xbf\xbd";
  for (const std::string good : {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                 "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(to_valid_utf8(good), good);
  }
  EXPECT_EQ(to_valid_utf8("a\xff"
                          "b"),
            "a" + bad + "b");
  EXPECT_EQ(to_valid_utf8("\xc0\xaf"), bad + bad) << "overlong";
  EXPECT_EQ(to_valid_utf8("\xe0\x9f\xbf"), bad + bad + bad) << "overlong";
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), bad + bad + bad) << "surrogate";
  EXPECT_EQ(to_valid_utf8("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "above U+10FFFF";
  EXPECT_EQ(to_valid_utf8("x\xe2\x82"), "x" + bad + bad) << "cut off";
  EXPECT_EQ(to_valid_utf8(std::string_view("\xe2\x82\xac", 2)), bad + bad) << "past the end";
}

TEST(JsonWriter, NumbersKeepTheirValueAndWhatIsNoNumberIsNull) {
  JsonWriter json;
  json.begin_array();
  json.value(0.1).value(std::numeric_limits<double>::infinity());
  json.value(std::numeric_limits<double>::quiet_NaN());
  json.value(std::numeric_limits<std::uint64_t>::max());
  json.value(std::numeric_limits<std::int64_t>::min()).value(true).value("true");
  json.end_array();
  EXPECT_EQ(json.text(), "[0.1,null,null,18446744073709551615,-9223372036854775808,true,\"true\"]");
}

}  // namespace
}  // namespace millrace
