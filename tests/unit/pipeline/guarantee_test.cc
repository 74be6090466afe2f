#include "pipeline/guarantee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::HasSubstr;

Guarantee of(const std::string& engine, const std::string& settings = "") {
  return exactly_once_guarantee("db.t",
                                {.engine = engine,
                                 .engine_full = engine + " ORDER BY a SETTINGS x = 1" + settings,
                                 .window = 0,
                                 .replicated_window = 10'000});
}

TEST(ExactlyOnceGuarantee, HoldsOnReplicatedTablesByDefault) {
  EXPECT_TRUE(of("ReplicatedMergeTree").holds);
  EXPECT_TRUE(of("ReplicatedReplacingMergeTree").holds);
  EXPECT_TRUE(of("SharedMergeTree").holds);
  EXPECT_FALSE(of("ReplicatedMergeTree", ", replicated_deduplication_window = 0").holds);
}

TEST(ExactlyOnceGuarantee, NeedsAWindowOnPlainTables) {
  const Guarantee none = of("MergeTree");
  EXPECT_FALSE(none.holds);
  EXPECT_THAT(none.text, HasSubstr("ALTER TABLE db.t MODIFY SETTING "
                                   "non_replicated_deduplication_window = 100000"));
  EXPECT_FALSE(none.possible);
  const Guarantee small = of("MergeTree", ", non_replicated_deduplication_window = 9999");
  EXPECT_FALSE(small.holds);
  EXPECT_TRUE(small.possible) << "repeats that come soon are recognised";
  EXPECT_TRUE(of("MergeTree", ", non_replicated_deduplication_window = 10000").holds);
  // Another setting's name ends like it.
  EXPECT_FALSE(of("MergeTree", ", replicated_deduplication_window = 100000").holds);
  EXPECT_TRUE(of("ReplicatedMergeTree", ", non_replicated_deduplication_window = 0").holds);
}

TEST(ExactlyOnceGuarantee, NeedsAnEngineThatRemembers) {
  for (const char* engine : {"Null", "Memory", "Log", "Buffer", "Distributed", "Kafka"}) {
    EXPECT_FALSE(of(engine).holds) << engine;
    EXPECT_THAT(of(engine).text, HasSubstr(engine));
  }
}

}  // namespace
}  // namespace millrace
