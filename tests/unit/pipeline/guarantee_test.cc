#include "pipeline/guarantee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Guarantee of(const std::string& engine, const std::string& settings = "",
             Rows rows = Rows::kCanBeLookedFor) {
  return exactly_once_guarantee("db.t",
                                {.engine = engine,
                                 .engine_full = engine + " ORDER BY a SETTINGS x = 1" + settings,
                                 .window = 0,
                                 .replicated_window = 10'000,
                                 .replicated_window_seconds = 3'600},
                                rows);
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

// Of a plain table that was killed the rows must be looked for, or they may come twice.
TEST(ExactlyOnceGuarantee, NeedsRowsOfPlainTablesThatCanBeLookedFor) {
  const char* window = ", non_replicated_deduplication_window = 10000";
  const Guarantee none = of("MergeTree", window, Rows::kCanNotBeLookedFor);
  EXPECT_FALSE(none.holds);
  EXPECT_TRUE(none.possible);
  EXPECT_THAT(none.text, HasSubstr("columns.offset"));
  const Guarantee view = of("MergeTree", window, Rows::kBehindAView);
  EXPECT_FALSE(view.holds);
  EXPECT_THAT(view.text, Not(HasSubstr("columns.offset")));
  EXPECT_THAT(view.text, HasSubstr("Replicated"));
  EXPECT_FALSE(of("ReplacingMergeTree", window).holds) << "rows that are replaced can't be counted";
  const std::string ttl = std::string(window) + " TTL at + toIntervalDay(1)";
  EXPECT_FALSE(of("MergeTree", ttl).holds) << "rows that are gone by themselves neither";
  EXPECT_TRUE(of("ReplicatedMergeTree", "", Rows::kCanNotBeLookedFor).holds);
}

TEST(ExactlyOnceGuarantee, SaysHowLongAReplicatedTableRemembers) {
  EXPECT_EQ(of("ReplicatedMergeTree").window_seconds, 3'600u);
  EXPECT_EQ(
      of("ReplicatedMergeTree", ", replicated_deduplication_window_seconds = 60").window_seconds,
      60u);
  EXPECT_EQ(of("MergeTree", ", non_replicated_deduplication_window = 10000").window_seconds, 0u);
}

TEST(ExactlyOnceGuarantee, NeedsAnEngineThatRemembers) {
  for (const char* engine : {"Null", "Memory", "Log", "Buffer", "Distributed", "Kafka"}) {
    EXPECT_FALSE(of(engine).holds) << engine;
    EXPECT_THAT(of(engine).text, HasSubstr(engine));
  }
}

}  // namespace
}  // namespace millrace
