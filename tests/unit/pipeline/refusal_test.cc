// Which tables keep a part of what they refuse.
#include "pipeline/refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClickHouseError refusal(int code, const std::string& message) {
  return ClickHouseError({.code = code, .message = message});
}

TEST(RefusalTest, WhatIsOneInsertOfOneTableLeavesNothing) {
  for (const char* engine : {"MergeTree", "ReplacingMergeTree", "ReplicatedMergeTree",
                             "SharedMergeTree", "Memory", "Log", "TinyLog", "StripeLog", "Null"})
    EXPECT_THAT(why_it_keeps_parts({.engine = engine}), IsEmpty()) << engine;
}

TEST(RefusalTest, WhatPassesRowsOnMayHaveDoneSo) {
  for (const char* engine : {"Distributed", "Buffer", "MaterializedView", "Merge", "Kafka", "MySQL",
                             "PostgreSQL", "EngineOfNextYear"})
    EXPECT_THAT(why_it_keeps_parts({.engine = engine}), HasSubstr(engine));
  EXPECT_THAT(why_it_keeps_parts({}), HasSubstr("not known"));
}

TEST(RefusalTest, OfDistributedTheShardsAreNamed) {
  EXPECT_THAT(why_it_keeps_parts({.engine = "Distributed",
                                  .shards = {"shard 1: s1.ev on a:9000", "shard 2: s2.ev on b:1"}}),
              HasSubstr("(shard 1: s1.ev on a:9000; shard 2: s2.ev on b:1)"));
}

TEST(RefusalTest, AnExpressionOfAPartitionedTableIsComputedWhenOthersAreIn) {
  const RefusalFacts by_part{.engine = "MergeTree", .computes_by_part = true};
  const auto thrown = refusal(395, "Value passed to 'throwIf' function is non-zero");
  EXPECT_THAT(why_part_may_be_in(by_part, thrown), HasSubstr("partitioned"));
  EXPECT_THAT(why_part_may_be_in({.engine = "MergeTree"}, thrown), IsEmpty());
}

// These are found before the first part is written.
TEST(RefusalTest, ParsingConstraintsAndTheNumberOfPartitionsComeFirst) {
  const RefusalFacts by_part{.engine = "MergeTree", .computes_by_part = true};
  for (const auto& first :
       {refusal(27, "Cannot parse input: (at row 3)"),
        refusal(469, "Constraint `c` for table t is violated at row 26. Expression: x"),
        refusal(252, "Too many partitions for single INSERT block")})
    EXPECT_THAT(why_part_may_be_in(by_part, first), IsEmpty()) << first.what();
  EXPECT_THAT(why_part_may_be_in({.engine = "Distributed"}, refusal(27, "(at row 3)")),
              HasSubstr("Distributed"));
}

TEST(RefusalTest, ReadsTheArgumentsOfDistributed) {
  EXPECT_EQ(parse_distributed("Distributed('two', '', 'ev', id)"),
            (DistributedEngine{"two", "", "ev", "id"}));
  EXPECT_EQ(parse_distributed("Distributed('two', 'default', 'e\\'v', cityHash64(a, 'x'), 'p')"),
            (DistributedEngine{"two", "default", "e'v", "cityHash64(a, 'x')"}));
  EXPECT_EQ(parse_distributed("Distributed('two', 'd', 'ev') SETTINGS a = 1"),
            (DistributedEngine{"two", "d", "ev", ""}));
  EXPECT_EQ(parse_distributed("MergeTree ORDER BY id"), std::nullopt);
}

TEST(RefusalTest, ARandomShardingKeyIsKnown) {
  const auto at_random = [](const std::string& engine, std::vector<std::string> shards) {
    return shards_at_random({.engine_full = engine, .shards = std::move(shards)});
  };
  const std::vector<std::string> two{"a", "b"};
  EXPECT_TRUE(at_random("Distributed('c', '', 't', rand())", two));
  EXPECT_TRUE(at_random("Distributed('c', '', 't', intHash64(rand64() + id))", two));
  EXPECT_TRUE(at_random("Distributed('c', '', 't', generateUUIDv4())", {}));
  EXPECT_TRUE(at_random("Distributed('c', '', 't')", two));
  EXPECT_FALSE(at_random("Distributed('c', '', 't', rand())", {"a"}));
  EXPECT_FALSE(at_random("Distributed('c', '', 't', cityHash64(brand, known))", two));
  EXPECT_FALSE(at_random("MergeTree ORDER BY rand()", two));
}

}  // namespace
}  // namespace millrace
