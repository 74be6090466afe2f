#include "pipeline/body_limit.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

constexpr std::size_t kMiB = 1u << 20;

TEST(BodyLimitTest, NothingIsKnownAtFirst) {
  const BodyLimit limit;
  EXPECT_EQ(limit.body_bytes(), 0u);
  EXPECT_EQ(limit.block_bytes(), 0u);
}

// As a proxy of 1 MiB refuses a block and its halves.
TEST(BodyLimitTest, EachSmallerBodyThatIsRefusedHalvesIt) {
  BodyLimit limit;
  EXPECT_TRUE(limit.refused(8 * kMiB, 16 * kMiB));
  EXPECT_EQ(limit.body_bytes(), 4 * kMiB);
  EXPECT_EQ(limit.block_bytes(), 8 * kMiB);
  EXPECT_TRUE(limit.refused(4 * kMiB, 8 * kMiB));
  EXPECT_TRUE(limit.refused(2 * kMiB, 4 * kMiB));
  EXPECT_EQ(limit.body_bytes(), kMiB);
  EXPECT_EQ(limit.block_bytes(), 2 * kMiB);
}

TEST(BodyLimitTest, ALargerBodyThanIsKnownSaysOnlyHowMuchOfABlockFits) {
  BodyLimit limit;
  limit.refused(2 * kMiB, 2 * kMiB);
  EXPECT_FALSE(limit.refused(4 * kMiB, 2 * kMiB)) << "rows that make twice as much";
  EXPECT_EQ(limit.body_bytes(), kMiB);
  EXPECT_EQ(limit.block_bytes(), kMiB / 2);
}

TEST(BodyLimitTest, IsNeverNothing) {
  BodyLimit limit;
  for (int i = 0; i < 3; ++i) limit.refused(1, 1);
  EXPECT_EQ(limit.body_bytes(), 1u);
  EXPECT_EQ(limit.block_bytes(), 1u);
}

}  // namespace
}  // namespace millrace
