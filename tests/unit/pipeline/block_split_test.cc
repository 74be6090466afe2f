#include "pipeline/block_split.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/unit/pipeline/fakes.h"
#include "tests/unit/pipeline/seed.h"

namespace millrace {
namespace {

// What a server says of a part with a record at fault.
enum class Names { kRow, kNothing, kWrongRow };

struct Outcome {
  std::map<std::size_t, int> inserted, dead;  // how often, by record
  std::size_t inserts = 0;                    // attempts after the first one
};

// Sends until all is settled, to a server that refuses these records.
Outcome settle(std::size_t records, const std::set<std::size_t>& bad, Names names) {
  Outcome outcome;
  BlockSplit split(records);
  for (std::size_t attempts = 0; !split.done(); ++attempts) {
    if (attempts > 8 * records + 8) {
      ADD_FAILURE() << "it does not come to an end";
      break;
    }
    outcome.inserts = attempts;
    const BlockPart part = split.next();
    std::size_t first_bad = 0;  // its row, from 1
    for (std::size_t n = 0; n < part.records() && first_bad == 0; ++n) {
      if (bad.contains(part.record(n))) first_bad = n + 1;
    }
    if (first_bad == 0) {
      for (std::size_t n = 0; n < part.records(); ++n) ++outcome.inserted[part.record(n)];
      split.accept();
    } else if (part.records() == 1) {
      ++outcome.dead[part.record(0)];
      split.drop();
    } else {
      split.refuse(names == Names::kNothing ? 0
                   : names == Names::kRow   ? first_bad
                                            : first_bad % part.records() + 1);
    }
  }
  return outcome;
}

void expect_exact(const Outcome& outcome, std::size_t records, const std::set<std::size_t>& bad) {
  for (std::size_t record = 0; record < records; ++record) {
    const bool is_bad = bad.contains(record);
    const auto times = [record](const std::map<std::size_t, int>& in) {
      const auto found = in.find(record);
      return found == in.end() ? 0 : found->second;
    };
    ASSERT_EQ(times(outcome.inserted), is_bad ? 0 : 1) << "record " << record;
    ASSERT_EQ(times(outcome.dead), is_bad ? 1 : 0) << "record " << record;
  }
}

TEST(BlockSplit, ABlockWithoutFaultIsSentOnce) {
  const Outcome outcome = settle(100, {}, Names::kRow);
  expect_exact(outcome, 100, {});
  EXPECT_EQ(outcome.inserts, 0u);
}

TEST(BlockSplit, ANamedRowCostsTwoMoreInsertsWhateverTheSizeOfTheBlock) {
  for (const std::size_t bad : {std::size_t{0}, std::size_t{50'000}, std::size_t{99'999}}) {
    const Outcome outcome = settle(100'000, {bad}, Names::kRow);
    expect_exact(outcome, 100'000, {bad});
    EXPECT_EQ(outcome.inserts, 2u);
  }
}

TEST(BlockSplit, ARowThatNobodyNamesIsFoundByHalving) {
  for (const std::size_t bad : {std::size_t{0}, std::size_t{50'000}, std::size_t{99'999}}) {
    const Outcome outcome = settle(100'000, {bad}, Names::kNothing);
    expect_exact(outcome, 100'000, {bad});
    EXPECT_LE(outcome.inserts, 40u);
  }
}

TEST(BlockSplit, ARowThatIsNamedWronglyIsFoundAllTheSame) {
  for (const std::size_t bad : {std::size_t{0}, std::size_t{500}, std::size_t{999}}) {
    const Outcome outcome = settle(1'000, {bad}, Names::kWrongRow);
    expect_exact(outcome, 1'000, {bad});
    EXPECT_LE(outcome.inserts, 30u);
  }
}

TEST(BlockSplit, AllRowsAtFaultAreDeadLetters) {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < 1'000; ++i) all.insert(i);
  for (const Names names : {Names::kRow, Names::kNothing, Names::kWrongRow}) {
    const Outcome outcome = settle(1'000, all, names);
    expect_exact(outcome, 1'000, all);
    EXPECT_LE(outcome.inserts, 4'000u);
  }
}

TEST(BlockSplit, EveryRecordIsSettledOnceWhateverIsAtFault) {
  std::minstd_rand random(testing::test_seed());
  for (int round = 0; round < 300; ++round) {
    const std::size_t records = 1 + random() % 200;
    std::set<std::size_t> bad;
    for (std::size_t i = random() % (records + 1); i > 0; --i) bad.insert(random() % records);
    const auto names = static_cast<Names>(random() % 3);
    expect_exact(settle(records, bad, names), records, bad);
  }
}

TEST(BlockSplit, ASingleRecordCanNotBeSplit) {
  BlockSplit split(1);
  EXPECT_THROW(split.refuse(1), std::logic_error);
}

TEST(BlockPart, CountsTheRecordsThatAreInIt) {
  const BlockPart part{2, 8, {2, 4, 5}};
  ASSERT_EQ(part.records(), 3u);
  EXPECT_EQ(part.record(0), 3u);
  EXPECT_EQ(part.record(1), 6u);
  EXPECT_EQ(part.record(2), 7u);
}

// As ClickHouse 26.7 says it.
TEST(NamedRow, IsReadFromTheMessage) {
  EXPECT_EQ(named_row("Cannot parse input: expected '{' before: 'garbage': (at row 3)\n: While "
                      "executing JSONEachRowRowInputFormat."),
            3u);
  EXPECT_EQ(named_row("Constraint `c` for table default.t (5459b754) is violated at row 12. "
                      "Expression: (n < 1000). Column values: n = 5000."),
            12u);
  EXPECT_EQ(named_row("Cannot parse input: '(at row 7)': (at row 2)"), 2u);
  EXPECT_EQ(named_row("Too many partitions for single INSERT block (more than 100)"), 0u);
  EXPECT_EQ(named_row("(at row many)"), 0u);
  EXPECT_EQ(named_row(""), 0u);
}

// A crash between two parts builds the same parts again: they must have the same tokens, and two
// different ones never the same.
TEST(BlockTokens, NameThePart) {
  ByteBudget budget(1u << 20);
  const auto block =
      testing::make_block(budget, testing::make_lane(100), {100, 104}, {"{}", "{}", "{}", "{}"});
  const std::string whole = "g/t/0/inc/100-104";
  EXPECT_EQ(block->token_of({0, 4, {}}), whole);
  EXPECT_EQ(block->token_of({0, 4, {2}}), whole) << "a refusal leaves nothing behind";
  EXPECT_EQ(block->token_of({0, 4, {0, 1, 2}}), whole);
  EXPECT_EQ(block->token_of({0, 2, {}}), whole + "#100-102");
  EXPECT_EQ(block->token_of({2, 4, {}}), whole + "#102-104");
  EXPECT_EQ(block->token_of({2, 3, {}}), whole + "#102-103");
  EXPECT_EQ(block->token_of({1, 3, {1}}), whole + "#102-103");
  EXPECT_EQ(block->token_of_record(2), whole + "#102-103");
}

TEST(BlockSplitTest, OfWhatIsTooLargeTheHalfWithTheLargestRecordIsNext) {
  for (std::size_t largest = 0; largest < 9; ++largest) {
    BlockSplit split(9);
    while (split.next().records() > 1) split.refuse_size(largest);
    EXPECT_EQ(split.next().record(0), largest);
    std::set<std::size_t> sent;
    for (; !split.done(); split.accept())
      split.next().for_each_record([&](std::size_t record) { sent.insert(record); });
    EXPECT_EQ(sent.size(), 9u);
  }
}

}  // namespace
}  // namespace millrace
