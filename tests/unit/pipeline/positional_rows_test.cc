// Rows without names: JSONCompactEachRow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/encode/native_encoder.h"

namespace millrace {
namespace {

using testing::HasSubstr;
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

}  // namespace
}  // namespace millrace
