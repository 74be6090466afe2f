// Rows without names: JSONCompactEachRow, TSV, CSV.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/encode/native_encoder.h"

namespace millrace {
namespace {

using namespace std::string_literals;

const std::vector<TableColumn> kTable = {{"a", "UInt8", "", ""},
                                         {"s", "String", "DEFAULT", "'d'"},
                                         {"m", "UInt8", "MATERIALIZED", "1"},
                                         {"b", "Nullable(UInt8)", "", ""}};

class PositionalRowsTest : public testing::Test {
 protected:
  void use(RowFormat format, const std::vector<TableColumn>& table = kTable) {
    auto plan = NativePlan::make(table, {.format = format});
    encoder_ = std::make_unique<NativeEncoder>(
        std::get<std::shared_ptr<const NativePlan>>(std::move(plan)));
  }
  // With what a message may be followed by in a block.
  std::optional<EncodeFailure> add(const std::string& message) {
    std::string text = message;
    text.append(kReadAhead, '1');
    return encoder_->add({text.data(), message.size()});
  }
  std::string body() {
    std::string text;
    for (const std::string_view piece : encoder_->finish().pieces) text += piece;
    return text;
  }
  // Of kTable: a and s, and b, whose first part says which are null.
  static std::string block(char rows, const std::string& a, const std::string& s,
                           const std::string& b) {
    return "\3"s + rows + "\1a\5UInt8" + a + "\1s\6String" + s + "\1b\17Nullable(UInt8)" + b;
  }

  std::unique_ptr<NativeEncoder> encoder_;
};

TEST_F(PositionalRowsTest, AJsonArrayHasAValueForEachColumnInTheirOrder) {
  use(RowFormat::kJsonArrays);
  EXPECT_FALSE(add(R"([1,"x",null])"));
  EXPECT_FALSE(add("[2,\"yz\",3]\n[4,null,5]"));
  EXPECT_EQ(body(), block(3, "\1\2\4", "\1x\2yz\1d", "\1\0\0\0\3\5"s));
}

TEST_F(PositionalRowsTest, AJsonArrayThatFailsNamesItsColumnAndLeavesNothing) {
  use(RowFormat::kJsonArrays);
  const auto failure = add(R"([1,"x",null][2,"y",-3])");
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->row, 1u);
  EXPECT_EQ(failure->column, "b");
  EXPECT_EQ(failure->position, 19u);
  EXPECT_TRUE(add(R"([1,"x"])")) << "a value is missing";
  EXPECT_TRUE(add(R"([1,"x",2,3])")) << "one is too many";
  EXPECT_TRUE(add(R"([1,"x",2)")) << "what follows in the block is not read";
  EXPECT_EQ(encoder_->rows(), 0u);
  ASSERT_FALSE(add(R"([5,"z",6])"));
  EXPECT_EQ(body(), block(1, "\5", "\1z", "\0\6"s));
}

TEST_F(PositionalRowsTest, ALineOfTsvHasEscapesAndNulls) {
  use(RowFormat::kTabs);
  EXPECT_FALSE(add("1\tx\\ty\t\\N"));
  EXPECT_FALSE(add("2\tz\t3\n4\t\\N\t5\n"));
  EXPECT_EQ(body(), block(3, "\1\2\4", "\3x\ty\1z\1d", "\1\0\0\0\3\5"s));
}

TEST_F(PositionalRowsTest, ALineOfCsvHasQuotesAndEmptyFieldsThatAreDefaults) {
  use(RowFormat::kCommas);
  EXPECT_FALSE(add("1,\"x,\"\"y\",\\N"));
  EXPECT_FALSE(add(" \"2\" , z ,3\r\n4,,\n"));
  EXPECT_EQ(body(), block(3, "\1\2\4", "\4x,\"y\1z\1d", "\1\0\1\0\3\0"s));
}

TEST_F(PositionalRowsTest, ALineThatFailsNamesItsColumnAndItsByteAndLeavesNothing) {
  for (const auto& [format, mark] :
       {std::pair(RowFormat::kTabs, '\t'), {RowFormat::kCommas, ','}}) {
    use(format);
    const auto line = [mark = mark](std::string text) {
      std::replace(text.begin(), text.end(), '|', mark);
      return text;
    };
    const auto failure = add(line("1|x|2\n3|y|4x"));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->row, 1u);
    EXPECT_EQ(failure->column, "b");
    EXPECT_EQ(failure->position, 11u);
    EXPECT_TRUE(add(line("1|x"))) << "a value is missing";
    EXPECT_TRUE(add(line("1|x|2|3"))) << "one is too many";
    EXPECT_EQ(encoder_->rows(), 0u);
    ASSERT_FALSE(add(line("5|z|6")));
    EXPECT_EQ(body(), block(1, "\5", "\1z", "\0\6"s));
  }
}

TEST_F(PositionalRowsTest, TextOfCompositeTypesIsLeftToClickHouse) {
  for (const char* type : {"Array(UInt8)", "Map(String, UInt8)", "Tuple(UInt8)", "JSON", "Point"}) {
    for (const RowFormat format : {RowFormat::kTabs, RowFormat::kCommas}) {
      const auto plan = NativePlan::make({{"x", type, "", ""}}, {.format = format});
      EXPECT_EQ(std::get<CannotEncode>(plan).column, "x") << type;
    }
  }
}

TEST_F(PositionalRowsTest, SettingsOfTheFormatCount) {
  const auto can = [](RowFormat format, const std::string& name, const std::string& value) {
    return !std::holds_alternative<CannotEncode>(
        NativePlan::make(kTable, {.format = format, .settings = {{name, value}}}));
  };
  EXPECT_FALSE(can(RowFormat::kCommas, "format_csv_delimiter", ";"));
  EXPECT_TRUE(can(RowFormat::kTabs, "format_csv_delimiter", ";"));
  EXPECT_FALSE(can(RowFormat::kTabs, "input_format_tsv_empty_as_default", "1"));
  EXPECT_TRUE(can(RowFormat::kJsonArrays, "input_format_tsv_empty_as_default", "1"));
  EXPECT_FALSE(can(RowFormat::kCommas, "input_format_csv_new_thing", "1"));
  EXPECT_TRUE(can(RowFormat::kCommas, "input_format_csv_detect_header", "1"));
}

}  // namespace
}  // namespace millrace
