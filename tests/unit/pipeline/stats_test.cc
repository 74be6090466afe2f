#include "pipeline/stats.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(StatsTest, AValueOnABoundCountsBelowIt) {
  Histogram histogram{1, 10};
  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) histogram.observe(value);
  const Histogram::Snapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.counts, (std::vector<std::uint64_t>{2, 2, 1}));
  EXPECT_DOUBLE_EQ(snapshot.sum, 24.0);
}

TEST(StatsTest, LabelsAreBoundedAndNothingIsUncounted) {
  LabelledCounter counter;
  for (int i = 0; i < 100; ++i) counter.add("label" + std::to_string(i));
  counter.add("label0", 5);
  const auto values = counter.values();
  EXPECT_EQ(values.size(), 65u);
  EXPECT_EQ(values.at("other"), 36u);
  EXPECT_EQ(values.at("label0"), 6u) << "a known label is counted on after the bound is reached";
}

TEST(StatsTest, OnlyTheNewestDeadLettersAreKeptWithoutTheirPayload) {
  NewestDeadLetters newest;
  for (int i = 0; i < 50; ++i) {
    DeadLetter letter;
    letter.offset = i;
    letter.payload = "secret";
    letter.message = std::string(10'000, 'x');
    newest.add(letter);
  }
  const auto notes = newest.notes();
  ASSERT_EQ(notes.size(), NewestDeadLetters::kMost);
  EXPECT_EQ(notes.front().offset, 49);
  EXPECT_LT(notes.front().message.size(), 1000u);
}

}  // namespace
}  // namespace millrace
