#include "pipeline/block_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "tests/unit/pipeline/fakes.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::make_record;
using ::testing::Pair;

constexpr std::size_t kPlenty = 1u << 30;

std::string joined(const BlockBuffer& buffer) {
  std::string body;
  for (const std::string_view piece : buffer.pieces()) body += piece;
  return body;
}

TEST(BlockBufferTest, PiecesAreTheBodyWithOneSeparatorAfterEachRecord) {
  ByteBudget budget(kPlenty);
  BlockBuffer buffer(budget, {});
  for (const std::string_view payload : {"a", "b\n", "", "c"}) {
    ASSERT_TRUE(buffer.try_append(make_record(1, payload)));
  }
  EXPECT_EQ(joined(buffer), "a\nb\n\nc\n");
  EXPECT_EQ(buffer.records(), 4u);
  EXPECT_EQ(buffer.payload_bytes(), 4u);
}

TEST(BlockBufferTest, BinaryFormatsGetNoSeparator) {
  ByteBudget budget(kPlenty);
  BufferLayout layout;
  layout.add_separator = false;
  BlockBuffer buffer(budget, layout);
  const std::string binary("\0\n\xff", 3);
  ASSERT_TRUE(buffer.try_append(make_record(1, binary)));
  ASSERT_TRUE(buffer.try_append(make_record(2, binary)));
  EXPECT_EQ(joined(buffer), binary + binary);
}

TEST(BlockBufferTest, BodyIsTheSameWhateverChunksItLiesIn) {
  ByteBudget budget(kPlenty);
  BlockBuffer buffer(budget, {});
  std::string expected;
  for (std::size_t i = 0; i < 5'000; ++i) {
    const std::string payload(i % 2'000, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(buffer.try_append(make_record(static_cast<std::int64_t>(i), payload)));
    expected += payload + "\n";
  }
  EXPECT_EQ(joined(buffer), expected);
  EXPECT_GT(buffer.pieces().size(), 5u);
  EXPECT_LT(buffer.pieces().size(), 20u);
}

TEST(BlockBufferTest, ARecordNeverCrossesAChunk) {
  ByteBudget budget(kPlenty);
  BlockBuffer buffer(budget, {});
  const std::string large(3u << 20, 'x');
  ASSERT_TRUE(buffer.try_append(make_record(1, "small")));
  ASSERT_TRUE(buffer.try_append(make_record(2, large)));
  ASSERT_TRUE(buffer.try_append(make_record(3, "small")));
  EXPECT_EQ(buffer.entries()[1].payload(), large);
  EXPECT_EQ(buffer.pieces()[1].size(), large.size() + 1);
  EXPECT_EQ(joined(buffer), "small\n" + large + "\nsmall\n");
}

TEST(BlockBufferTest, KeysAndHeadersAreKeptBesideThePayload) {
  ByteBudget budget(kPlenty);
  BufferLayout layout;
  layout.keep_key = layout.keep_headers = true;
  BlockBuffer buffer(budget, layout);
  const RecordHeader headers[] = {{"n", "v"}, {"", ""}, {"n", "w"}};
  Record record = make_record(5, "payload");
  record.timestamp_ms = 77;
  record.key = "key";
  record.has_key = true;
  record.headers = headers;
  ASSERT_TRUE(buffer.try_append(record));
  ASSERT_TRUE(buffer.try_append(make_record(6, "bare")));

  const RecordEntry& entry = buffer.entries()[0];
  EXPECT_EQ(entry.offset, 5);
  EXPECT_EQ(entry.timestamp_ms, 77);
  EXPECT_EQ(entry.payload(), "payload");
  EXPECT_EQ(entry.key(), "key");
  std::vector<std::pair<std::string, std::string>> found;
  entry.for_each_header([&](auto name, auto value) { found.emplace_back(name, value); });
  EXPECT_THAT(found, ElementsAre(Pair("n", "v"), Pair("", ""), Pair("n", "w")));

  EXPECT_FALSE(buffer.entries()[1].has_key());
  buffer.entries()[1].for_each_header([](auto, auto) { FAIL() << "there are none"; });
}

TEST(BlockBufferTest, AnEmptyKeyIsNotAMissingKey) {
  ByteBudget budget(kPlenty);
  BufferLayout layout;
  layout.keep_key = true;
  BlockBuffer buffer(budget, layout);
  Record record = make_record(1, "x");
  record.has_key = true;
  ASSERT_TRUE(buffer.try_append(record));
  EXPECT_TRUE(buffer.entries()[0].has_key());
  EXPECT_EQ(buffer.entries()[0].key(), "");
}

TEST(BlockBufferTest, WhatIsNotWantedIsNotCopied) {
  ByteBudget budget(kPlenty);
  BlockBuffer buffer(budget, {});
  const RecordHeader headers[] = {{"n", "v"}};
  Record record = make_record(1, "x");
  record.key = "key";
  record.has_key = true;
  record.headers = headers;
  ASSERT_TRUE(buffer.try_append(record));
  EXPECT_EQ(joined(buffer), "x\n");
}

TEST(BlockBufferTest, ASpentBudgetRefusesARecordAndChangesNothing) {
  ByteBudget budget(40'000);
  BlockBuffer buffer(budget, {});
  const std::string payload(10'000, 'x');
  ASSERT_TRUE(buffer.try_append(make_record(1, payload)));
  const std::size_t used = budget.used();
  const std::string too_much(30'000, 'y');
  EXPECT_FALSE(buffer.try_append(make_record(2, too_much)));
  EXPECT_EQ(budget.used(), used);
  EXPECT_EQ(buffer.records(), 1u);
  EXPECT_EQ(joined(buffer), payload + "\n");
  EXPECT_TRUE(buffer.try_append(make_record(2, "z"))) << "there is room in the open chunk";
}

TEST(BlockBufferTest, AFreshBlockTakesExactlyWhatBytesNeededSays) {
  for (const std::size_t size : {1u, 16'000u, 16'384u, 5'000'000u}) {
    for (const unsigned factor : {1u, 2u}) {
      const std::string payload(size, 'x');
      BufferLayout layout;
      layout.budget_factor = factor;
      const Record record = make_record(1, payload);
      const std::size_t needed = BlockBuffer::bytes_needed(record, layout);

      ByteBudget enough(needed);
      BlockBuffer buffer(enough, layout);
      EXPECT_TRUE(buffer.try_append(record)) << size;
      EXPECT_EQ(enough.used(), needed) << size;
      ByteBudget scarce(needed - 1);
      EXPECT_FALSE(BlockBuffer(scarce, layout).try_append(record)) << size;
    }
  }
}

TEST(BlockBufferTest, TheBudgetCoversAllThatIsHeldAndGetsItBack) {
  ByteBudget budget(kPlenty);
  {
    BlockBuffer buffer(budget, {});
    for (int i = 0; i < 50'000; ++i) ASSERT_TRUE(buffer.try_append(make_record(i, "0123456789")));
    EXPECT_GE(budget.used(), 50'000 * (11 + sizeof(RecordEntry)));
    EXPECT_EQ(budget.used(), buffer.reserved_bytes());
    const BlockBuffer moved(std::move(buffer));
    EXPECT_EQ(budget.used(), moved.reserved_bytes());
    EXPECT_EQ(moved.entries()[49'999].payload(), "0123456789");
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockBufferTest, ABodyBuiltBesideTheRecordsIsPaidForInAdvance) {
  ByteBudget budget(kPlenty);
  BufferLayout layout;
  layout.budget_factor = 2;
  BlockBuffer buffer(budget, layout);
  const std::string payload(1'000, 'x');
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(buffer.try_append(make_record(i, payload)));
  EXPECT_GE(buffer.reserved_for_body(), 1'001'000u);
  EXPECT_GE(budget.used(), 2 * buffer.reserved_for_body());
}

TEST(BlockBufferTest, MemoryThatIsUsedAgainCarriesNothingOfItsFormerBlock) {
  ByteBudget budget(kPlenty);
  for (const char letter : {'a', 'b', 'c'}) {
    BlockBuffer buffer(budget, {});
    std::string expected;
    const std::string payload(100'000 + static_cast<std::size_t>(letter), letter);
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(buffer.try_append(make_record(i, payload)));
      expected += payload + "\n";
    }
    EXPECT_EQ(joined(buffer), expected);
  }
}

TEST(BlockBufferTest, SixtyFourBytesBehindTheLastRecordOfAChunkCanBeRead) {
  ByteBudget budget(kPlenty);
  for (const std::size_t size : {16'384u - 65, 16'384u - 64, 20'000u}) {
    BlockBuffer buffer(budget, {});
    const std::string payload(size, 'x');
    ASSERT_TRUE(buffer.try_append(make_record(1, payload)));
    const std::string_view piece = buffer.pieces().front();
    // AddressSanitizer looks whether the bytes belong to the chunk.
    const volatile char* end = piece.data() + piece.size();
    for (int i = 0; i < 64; ++i) static_cast<void>(end[i]);
  }
}

}  // namespace
}  // namespace millrace
