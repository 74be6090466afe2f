#include "pipeline/encoder.h"

#include <gtest/gtest.h>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using testing::make_block;
using testing::make_lane;
using testing::make_target;

struct SpliceCase {
  const char* name;
  std::string_view payload;
  std::string_view expected;  // with "c":1 spliced in
};

class SpliceTest : public ::testing::TestWithParam<SpliceCase> {};

TEST_P(SpliceTest, PutsTheColumnsIntoEachRow) {
  std::string out = "before|";
  splice_columns(GetParam().payload, R"("c":1)", out);
  EXPECT_EQ(out, "before|" + std::string(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SpliceTest,
    ::testing::Values(
        SpliceCase{"OneRow", R"({"a":1})", R"({"c":1,"a":1})"},
        SpliceCase{"TwoLines", "{\"a\":1}\n{\"a\":2}\n", "{\"c\":1,\"a\":1}\n{\"c\":1,\"a\":2}\n"},
        SpliceCase{"NothingBetween", R"({"a":1}{"a":2})", R"({"c":1,"a":1}{"c":1,"a":2})"},
        SpliceCase{"CommaBetween", R"({"a":1} , {"a":2})", R"({"c":1,"a":1} , {"c":1,"a":2})"},
        SpliceCase{"EmptyObject", "{}", R"({"c":1})"},
        SpliceCase{"EmptyObjectWithSpace", "{ \n}", "{\"c\":1 \n}"},
        SpliceCase{"EmptyThenFull", R"({}{"a":1})", R"({"c":1}{"c":1,"a":1})"},
        SpliceCase{"PrettyPrinted", "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
                   "{\"c\":1,\n  \"a\": {\n    \"b\": 1\n  }\n}\n"},
        SpliceCase{"NestedObjectsAreNotRows", R"({"a":{"b":{}}}{"d":[{},{}]})",
                   R"({"c":1,"a":{"b":{}}}{"c":1,"d":[{},{}]})"},
        SpliceCase{"BracesInStrings", R"({"a":"}{"}{"}{":2})", R"({"c":1,"a":"}{"}{"c":1,"}{":2})"},
        SpliceCase{"EscapedQuotes", R"({"a":"\\"}{"a":"\"}{"}{"a":"\\\"}{"})",
                   R"({"c":1,"a":"\\"}{"c":1,"a":"\"}{"}{"c":1,"a":"\\\"}{"})"},
        SpliceCase{"LeadingSpace", " \t\r\n{\"a\":1}", " \t\r\n{\"c\":1,\"a\":1}"},
        SpliceCase{"Nothing", "", ""}, SpliceCase{"OnlySpace", " \n", " \n"},
        SpliceCase{"NotJson", "hello {\"a\":1}", "hello {\"a\":1}"},
        SpliceCase{"RowsInAnArray", R"([{"a":1}, {}])", R"([{"c":1,"a":1}, {"c":1}])"},
        SpliceCase{"ArrayOfNumbersIsPassedOn", "[1,2]", "[1,2]"},
        SpliceCase{"GarbageAfterARow", R"({"a":1}x{"a":2})", R"({"c":1,"a":1}x{"a":2})"},
        SpliceCase{"CutOff", R"({"a":{"b":1})", R"({"c":1,"a":{"b":1})"},
        SpliceCase{"CutOffInString", R"({"a":"x)", R"({"c":1,"a":"x)"},
        SpliceCase{"CutOffInEscape", "{\"a\":\"\\", "{\"c\":1,\"a\":\"\\"},
        SpliceCase{"OnlyABrace", "{", R"({"c":1,)"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(JsonStringTest, EscapesWhatJsonWantsEscapedAndPassesOtherBytes) {
  const auto json = [](std::string_view text) {
    std::string out;
    append_json_string(text, out);
    return out;
  };
  EXPECT_EQ(json("plain"), R"("plain")");
  EXPECT_EQ(json(""), R"("")");
  EXPECT_EQ(json("\"\\"), R"("\"\\")");
  EXPECT_EQ(json(std::string_view("a\0\n\x1f\x7f", 5)), "\"a\\u0000\\u000a\\u001f\x7f\"");
  EXPECT_EQ(json("\xff\xc3\xa4"), "\"\xff\xc3\xa4\"");
}

std::string encoded(const InsertBlock& block) {
  Encoder encoder;
  std::string body;
  for (const std::string_view piece : encoder.encode(block, block.split.next())) body += piece;
  return body;
}

InsertBlockPtr block_of(ByteBudget& budget, const Record& record, MetadataColumns columns) {
  const auto target = make_target(std::move(columns));
  BlockBuffer rows(budget, target->layout());
  EXPECT_TRUE(rows.try_append(record));
  return std::make_unique<InsertBlock>(make_lane(), target, Cut{0, 10}, std::move(rows),
                                       CutReason::kRows);
}

TEST(EncoderTest, WithoutColumnsTheBodyIsTheBlocksOwnMemory) {
  ByteBudget budget(1u << 20);
  const InsertBlockPtr block = make_block(budget, make_lane(), {0, 2}, {"{\"a\":1}", "{\"a\":2}"});
  Encoder encoder;
  const auto body = encoder.encode(*block, block->split.next());
  ASSERT_EQ(body.size(), 1u);
  EXPECT_EQ(body[0].data(), block->buffer.entries()[0].data);
  EXPECT_EQ(body[0], "{\"a\":1}\n{\"a\":2}\n");
}

TEST(EncoderTest, AllColumnsOfARecord) {
  ByteBudget budget(1u << 20);
  const RecordHeader headers[] = {{"h", "\"1\""}, {"h", "2"}};
  Record record = testing::make_record(7, R"({"a":1})");
  record.timestamp_ms = 1'700'000'000'007;
  record.key = "k\"";
  record.has_key = true;
  record.headers = headers;
  const auto block = block_of(budget, record, {"_t", "_p", "_o", "_ts", "_k", "_h"});
  EXPECT_EQ(encoded(*block),
            R"({"_t":"t","_p":0,"_o":7,"_ts":"2023-11-14T22:13:20.007Z","_k":"k\"",)"
            R"("_h":{"h":"\"1\"","h":"2"},"a":1})"
            "\n");
}

TEST(EncoderTest, WhatTheRecordLacksIsNull) {
  ByteBudget budget(1u << 20);
  const auto block =
      block_of(budget, testing::make_record(7, "{}\n"), {"", "", "", "ts", "k", "h"});
  EXPECT_EQ(encoded(*block), "{\"ts\":null,\"k\":null,\"h\":{}}\n");
}

TEST(EncoderTest, TimestampsFromTheEpochToTheLastYearOfFourDigits) {
  ByteBudget budget(1u << 20);
  const auto timestamp = [&](std::int64_t ms) {
    Record record = testing::make_record(1, "{}");
    record.timestamp_ms = ms;
    return encoded(*block_of(budget, record, {"", "", "", "t", "", ""}));
  };
  EXPECT_EQ(timestamp(0), "{\"t\":\"1970-01-01T00:00:00.000Z\"}\n");
  EXPECT_EQ(timestamp(951'827'696'789), "{\"t\":\"2000-02-29T12:34:56.789Z\"}\n");
  EXPECT_EQ(timestamp(253'402'300'799'999), "{\"t\":\"9999-12-31T23:59:59.999Z\"}\n");
  // Beyond the year 9999: what ClickHouse shows of such a number of milliseconds.
  EXPECT_EQ(timestamp(253'402'300'800'000), "{\"t\":\"9999-12-31T23:59:59.000Z\"}\n");
  EXPECT_EQ(timestamp(1'717'087'559'649'123), "{\"t\":\"9999-12-31T23:59:59.123Z\"}\n");
  EXPECT_EQ(timestamp(std::numeric_limits<std::int64_t>::max()),
            "{\"t\":\"9999-12-31T23:59:59.807Z\"}\n");
}

TEST(EncoderTest, RecordsOfABlockDoNotLeakIntoEachOther) {
  ByteBudget budget(1u << 20);
  const auto block = make_block(budget, make_lane(5), {5, 7}, {"{\"a\":1}", "{\"a\":2}"},
                                make_target({"", "", "o", "", "", ""}));
  Encoder encoder;
  for (int repeat = 0; repeat < 2; ++repeat) {
    EXPECT_EQ(encoder.encode(*block, block->split.next()).at(0),
              "{\"o\":5,\"a\":1}\n{\"o\":6,\"a\":2}\n");
  }
}

TEST(EncoderTest, TrimGivesALargeBufferBack) {
  ByteBudget budget(1u << 26);
  const std::string payload = "{\"a\":\"" + std::string(4u << 20, 'x') + "\"}";
  const auto block =
      make_block(budget, make_lane(), {0, 1}, {payload}, make_target({"", "", "o", "", "", ""}));
  Encoder encoder;
  EXPECT_EQ(encoder.encode(*block, block->split.next()).at(0).size(), payload.size() + 7);
  EXPECT_GT(encoder.buffer_bytes(), 4u << 20);
  encoder.trim();
  EXPECT_LE(encoder.buffer_bytes(), 1u << 20);
}

}  // namespace
}  // namespace millrace
