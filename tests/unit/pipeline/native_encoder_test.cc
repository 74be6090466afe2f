#include "pipeline/encode/native_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/encode/native_plan.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

std::shared_ptr<const NativePlan> plan_of(const std::vector<TableColumn>& table,
                                          std::map<std::string, std::string> settings = {}) {
  auto plan = NativePlan::make(table, {.time_zone = "UTC", .settings = std::move(settings)});
  if (auto* cannot = std::get_if<CannotEncode>(&plan)) {
    ADD_FAILURE() << cannot->column << ": " << cannot->reason;
    return nullptr;
  }
  return std::get<std::shared_ptr<const NativePlan>>(plan);
}

const std::vector<TableColumn> kTable = {{"a", "UInt8", "", ""}, {"s", "String", "", ""}};

class NativeEncoderTest : public testing::Test {
 protected:
  explicit NativeEncoderTest(const std::vector<TableColumn>& table = kTable)
      : encoder_(plan_of(table)) {}

  // With what a message may be followed by in a block.
  static std::optional<EncodeFailure> add_to(NativeEncoder& encoder, const std::string& message,
                                             const std::string& columns = {}) {
    std::string text = message;
    text.append(kReadAhead, '"');
    return encoder.add({text.data(), message.size()}, columns);
  }
  std::optional<EncodeFailure> add(const std::string& message, const std::string& columns = {}) {
    return add_to(encoder_, message, columns);
  }
  static std::string joined(const NativeBlock& block) {
    std::string text;
    for (const std::string_view piece : block.pieces) text += piece;
    return text;
  }
  std::string body() { return joined(encoder_.finish()); }

  NativeEncoder encoder_;
};

// Name and type of a column of up to 127 bytes, then its data.
std::string column(const std::string& name, const std::string& type, const std::string& data) {
  return static_cast<char>(name.size()) + name + static_cast<char>(type.size()) + type + data;
}

TEST_F(NativeEncoderTest, WritesOneBlockOfColumns) {
  EXPECT_FALSE(add(R"({"a":1,"s":"x"})"));
  EXPECT_FALSE(add(R"({"s":"yz","a":2})"));
  EXPECT_EQ(body(), "\2\2"s + column("a", "UInt8", "\1\2") + column("s", "String", "\1x\2yz"));
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("a", "s"));
}

TEST_F(NativeEncoderTest, AMessageHoldsAnyNumberOfRows) {
  EXPECT_FALSE(add("{\"a\":1}\n{\"a\":2},{\"a\":3}{\"a\":4}"));
  EXPECT_FALSE(add(R"([{"a":5},{"a":6}])"));
  EXPECT_FALSE(add(""));
  EXPECT_FALSE(add(" \n"));
  EXPECT_EQ(encoder_.rows(), 6u);
  EXPECT_EQ(body(), "\1\6"s + column("a", "UInt8", "\1\2\3\4\5\6"));
}

TEST_F(NativeEncoderTest, OfAMessageThatFailsNothingIsIn) {
  ASSERT_FALSE(add(R"({"a":1,"s":"x"})"));
  const auto failure = add(R"({"a":2,"s":"long"}{"s":"y","a":-3}{"a":4})");
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->row, 1u);
  EXPECT_EQ(failure->column, "a");
  EXPECT_EQ(failure->position, 31u);
  EXPECT_THAT(failure->reason, HasSubstr("negative"));
  ASSERT_FALSE(add(R"({"a":5,"s":"z"})"));
  EXPECT_EQ(body(), "\2\2"s + column("a", "UInt8", "\1\5") + column("s", "String", "\1x\1z"));
}

TEST_F(NativeEncoderTest, SaysWhereAndWhyAMessageFails) {
  const auto failure_of = [&](const std::string& message) { return add(message).value(); };
  EXPECT_EQ(failure_of(R"({"a":1,"b":2})").position, 7u);
  EXPECT_THAT(failure_of(R"({"a":1,"b":2})").reason, HasSubstr("no column b"));
  EXPECT_THAT(failure_of(R"({"a":1,"a":2})").reason, HasSubstr("twice"));
  EXPECT_EQ(failure_of(R"({"s":"abc)").column, "s");
  EXPECT_EQ(failure_of(R"({"s":1}x)").row, 1u);
  EXPECT_EQ(encoder_.rows(), 0u);
}

TEST(NativeEncoderColumns, AFieldThatNoInsertCanSetIsSaidToBeOne) {
  NativeEncoder encoder(plan_of({{"a", "UInt8", "", ""},
                                 {"m", "UInt8", "MATERIALIZED", "a + 1"},
                                 {"l", "UInt8", "ALIAS", "a"}}));
  const auto failure_of = [&](std::string text) {
    text.append(kReadAhead, '"');
    return encoder.add({text.data(), text.size() - kReadAhead}).value();
  };
  EXPECT_EQ(failure_of(R"({"a":1,"z":2})").reason, "the table has no column z");
  EXPECT_EQ(failure_of(R"({"a":1,"m":2})").reason,
            "m is a column that no insert can set (MATERIALIZED)");
  EXPECT_EQ(failure_of(R"({"a":1,"l":2})").reason, "l is a column that no insert can set (ALIAS)");
  EXPECT_EQ(failure_of(R"({"a":1,"l":2})").unknown_field, "l");
  EXPECT_EQ(failure_of(R"({"a":1,"l":2})").code, 117);
}

TEST(NativeEncoderColumns, EphemeralOnesAreNamedWhereRowsHaveThem) {
  const std::vector<TableColumn> table = {
      {"id", "UInt8", "", ""},
      {"a", "String", "EPHEMERAL", "defaultValueOfTypeName('String')"},
      {"c", "String", "EPHEMERAL", "concat('x', 'y')"},
      {"b", "String", "DEFAULT", "upper(a)"}};
  NativeEncoder encoder(plan_of(table));
  const auto add = [&](std::string text) {
    text.append(kReadAhead, '"');
    return encoder.add({text.data(), text.size() - kReadAhead});
  };
  EXPECT_FALSE(add(R"({"id":1,"a":"x"})"));
  EXPECT_FALSE(add(R"({"id":2})"));  // as if it were ''
  EXPECT_THAT(encoder.finish().columns, ElementsAre("id", "a"));
  EXPECT_FALSE(add(R"({"id":3,"c":"z"})"));
  EXPECT_EQ(encoder.finish().cannot->column, "c") << "in some rows it is an expression";
  encoder.clear();
  EXPECT_FALSE(add("{}"));
  EXPECT_THAT(encoder.finish().columns, ElementsAre("id"));
}

TEST_F(NativeEncoderTest, NothingIsReadBehindTheMessage) {
  // What follows would complete each of them.
  EXPECT_TRUE(add(R"({"s":"abc)"));
  EXPECT_TRUE(add(R"({"s":"abc\)"));
  EXPECT_TRUE(add(R"({"a":1)"));
  EXPECT_TRUE(add(R"({"a)"));
}

TEST_F(NativeEncoderTest, ColumnsInFrontOfTheFieldsAreInEveryRow) {
  EXPECT_FALSE(add(R"({"a":1}{})", R"("s":"t")"));
  EXPECT_EQ(body(), "\2\2"s + column("a", "UInt8", "\1\0"s) + column("s", "String", "\1t\1t"));
  EXPECT_THAT(add(R"({"s":"x"})", R"("s":"t")")->reason, HasSubstr("twice"));
}

TEST_F(NativeEncoderTest, AColumnThatNoRowHasIsLeftOut) {
  ASSERT_FALSE(add(R"({"s":"x"})"));
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("s"));
  ASSERT_TRUE(add(R"({"a":1}{"q":1})"));  // rolled back: still nobody has it
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("s"));
  ASSERT_FALSE(add(R"({"a":1})"));
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("a", "s"));
}

TEST_F(NativeEncoderTest, RowsWithoutAnyFieldAreCounted) {
  ASSERT_FALSE(add("{}{}"));
  EXPECT_EQ(body(), "\1\2"s + column("a", "UInt8", "\0\0"s));
}

TEST_F(NativeEncoderTest, ABlockWithoutRowsHasNoBody) {
  EXPECT_EQ(encoder_.finish().rows, 0u);
  EXPECT_TRUE(encoder_.finish().pieces.empty());
}

TEST_F(NativeEncoderTest, MemoryIsUsedAgainForTheNextBlock) {
  const auto fill = [&] {
    encoder_.clear();
    for (int i = 0; i < 1000; ++i) ASSERT_FALSE(add(R"({"a":1,"s":"some text"})"));
  };
  fill();
  const std::string first = body();
  const std::size_t bytes = encoder_.buffer_bytes();
  fill();
  EXPECT_EQ(body(), first);
  EXPECT_EQ(encoder_.buffer_bytes(), bytes);
  encoder_.trim();
  EXPECT_LT(encoder_.buffer_bytes(), bytes / 10);
  fill();
  EXPECT_EQ(body(), first);
}

TEST_F(NativeEncoderTest, UnknownFieldsAreSkippedIfTheUserSaysSo) {
  NativeEncoder encoder(plan_of(kTable, {{"input_format_skip_unknown_fields", "1"}}));
  EXPECT_FALSE(add_to(encoder, R"({"q":{"w":[1,"}"]},"a":1,"z":null})"));
  EXPECT_TRUE(add_to(encoder, R"({"q":bad,"a":1})"));
  EXPECT_EQ(encoder.rows(), 1u);
}

TEST_F(NativeEncoderTest, LongStringsHaveLongerSizes) {
  for (const std::size_t size : {0u, 127u, 128u, 16383u, 16384u}) {
    encoder_.clear();
    ASSERT_FALSE(add("{\"s\":\"" + std::string(size, 'q') + "\"}"));
    std::string prefix;
    std::size_t rest = size;
    for (; rest >= 128; rest >>= 7) prefix += static_cast<char>(rest | 128);
    prefix += static_cast<char>(rest);
    EXPECT_EQ(body(), "\1\1"s + column("s", "String", prefix + std::string(size, 'q'))) << size;
  }
}

class WithDefaults : public NativeEncoderTest {
 protected:
  WithDefaults()
      : NativeEncoderTest({{"a", "UInt8", "", ""},
                           {"d", "UInt8", "DEFAULT", "7"},
                           {"e", "UInt8", "DEFAULT", "a + 1"},
                           {"m", "UInt8", "MATERIALIZED", "a"}}) {}
};

TEST_F(WithDefaults, AColumnThatNoRowHasIsLeftToTheServer) {
  ASSERT_FALSE(add(R"({"a":1}{"a":2})"));
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("a"));
}

TEST_F(WithDefaults, ALiteralIsFilledIn) {
  ASSERT_FALSE(add(R"({"a":1,"d":1}{"a":2}{"a":3,"d":null})"));
  EXPECT_EQ(body(), "\2\3"s + column("a", "UInt8", "\1\2\3") + column("d", "UInt8", "\1\7\7"));
}

TEST_F(WithDefaults, AnExpressionForSomeRowsIsNotForUs) {
  ASSERT_FALSE(add(R"({"a":1,"e":1}{"a":2})"));
  const NativeBlock block = encoder_.finish();
  ASSERT_TRUE(block.cannot);
  EXPECT_EQ(block.cannot->column, "e");
  EXPECT_TRUE(block.pieces.empty());
  encoder_.clear();
  ASSERT_FALSE(add(R"({"a":1,"e":1}{"a":2,"e":3})"));
  EXPECT_THAT(encoder_.finish().columns, ElementsAre("a", "e"));
}

TEST_F(WithDefaults, AFieldForAMaterializedColumnIsRefused) { EXPECT_TRUE(add(R"({"m":1})")); }

class WithDictionary : public NativeEncoderTest {
 protected:
  WithDictionary() : NativeEncoderTest({{"l", "LowCardinality(Nullable(String))", "", ""}}) {}
};

TEST_F(WithDictionary, EachValueIsSentOnce) {
  ASSERT_FALSE(add(R"({"l":"x"}{"l":null}{"l":"y"}{"l":"x"})"));
  const std::string prefix = "\1\0\0\0\0\0\0\0"s, flags = "\0\2\0\0\0\0\0\0"s;
  EXPECT_EQ(body(), "\1\4"s + column("l", "LowCardinality(Nullable(String))",
                                     prefix + flags + "\3\0\0\0\0\0\0\0"s + "\0\1x\1y"s +
                                         "\4\0\0\0\0\0\0\0"s + "\1\0\2\1"s));
}

TEST_F(WithDictionary, IndexesGetWiderWithTheDictionary) {
  for (int i = 0; i < 70000; ++i) ASSERT_FALSE(add("{\"l\":\"" + std::to_string(i) + "\"}"));
  const std::string wide = body();
  EXPECT_EQ(wide.substr(wide.size() - 4), std::string("\x70\x11\x01\x00", 4));  // 70000
  encoder_.clear();
  for (int i = 0; i < 300; ++i) ASSERT_FALSE(add("{\"l\":\"" + std::to_string(i) + "\"}"));
  const std::string narrow = body();
  EXPECT_EQ(narrow.substr(narrow.size() - 2), std::string("\x2c\x01", 2));  // 300
}

class WithNested : public NativeEncoderTest {
 protected:
  WithNested()
      : NativeEncoderTest({{"n.x", "Array(UInt8)", "", ""}, {"n.y", "Array(String)", "", ""}}) {}
};

TEST_F(WithNested, ArraysOfOneNestedAreAsLongAsEachOther) {
  EXPECT_FALSE(add(R"({"n.x":[1,2],"n.y":["a","b"]})"));
  EXPECT_EQ(add(R"({"n.x":[1,2],"n.y":["a"]})")->column, "n.y");
  EXPECT_TRUE(add(R"({"n.x":[1,2]})"));
  EXPECT_FALSE(add(R"({"n.x":[]})"));
  EXPECT_EQ(encoder_.rows(), 2u);
}

class WithEnum : public NativeEncoderTest {
 protected:
  WithEnum() : NativeEncoderTest({{"e", "Enum8('a' = 5, 'b' = 2)", "", ""}}) {}
};

// ClickHouse stores 0, which no SELECT can show then.
TEST_F(WithEnum, NullIsRefusedWhereNoNameIsZero) {
  EXPECT_TRUE(add(R"({"e":null})"));
  EXPECT_FALSE(add(R"({"e":"a"}{})"));
  EXPECT_EQ(body(), "\1\2"s + column("e", "Enum8('a' = 5, 'b' = 2)", "\5\2"));
}

}  // namespace
}  // namespace millrace
