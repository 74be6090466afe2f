#include "pipeline/table_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(TableTargetTest, LineFormatsGetASeparatorAndBinaryOnesDoNot) {
  for (const char* format : {"JSONEachRow", "JSONLines", "NDJSON", "JSONCompactEachRow", "CSV",
                             "TSV", "TabSeparated", "TSKV", "LineAsString"}) {
    EXPECT_EQ(framing_of(format), Framing::kLines) << format;
  }
  for (const char* format :
       {"RowBinary", "RowBinaryWithDefaults", "Native", "MsgPack", "Protobuf"}) {
    EXPECT_EQ(framing_of(format), Framing::kConcatenated) << format;
  }
}

TEST(TableTargetTest, FormatsWithAHeaderOrAFrameAroundTheWholeAreRefusedWithExamples) {
  for (const char* format :
       {"Parquet", "Arrow", "ArrowStream", "ORC", "Avro", "JSON", "Values", "CSVWithNames",
        "TSVWithNamesAndTypes", "RowBinaryWithNames", "ProtobufList", "jsoneachrow", ""}) {
    EXPECT_THAT([&] { framing_of(format); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("JSONEachRow")))
        << format;
  }
}

TEST(TableTargetTest, MetadataColumnsNeedJsonRows) {
  TableTarget target;
  target.columns.offset = "_offset";
  target.format = "CSV";
  EXPECT_THAT([&] { target.layout(); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("JSONEachRow")));
  target.format = "NDJSON";
  EXPECT_EQ(target.layout().budget_factor, 2u);
}

TEST(TableTargetTest, ARecordWithoutAValueIsARowWhereAnEmptyMessageIsOne) {
  EXPECT_EQ(tombstone_row("JSONEachRow"), "{}");
  EXPECT_EQ(tombstone_row("NDJSON"), "{}");
  EXPECT_EQ(tombstone_row("CSV"), "");
  for (const char* format : {"JSONCompactEachRow", "RowBinary", "Protobuf"}) {
    EXPECT_FALSE(tombstone_row(format)) << format;
  }
}

TEST(TableTargetTest, OnlyWhatBecomesAColumnIsKept) {
  TableTarget target;
  target.columns.key = "_key";
  EXPECT_TRUE(target.layout().keep_key);
  EXPECT_FALSE(target.layout().keep_headers);
  target.columns = {};
  EXPECT_FALSE(target.layout().keep_key);
  EXPECT_EQ(target.layout().budget_factor, 1u);
}

}  // namespace
}  // namespace millrace
