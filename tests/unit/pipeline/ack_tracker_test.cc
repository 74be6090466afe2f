#include "pipeline/ack_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/unit/pipeline/seed.h"

namespace millrace {
namespace {

TEST(AckTrackerTest, PositionStandsBeforeAHoleAndJumpsOverAllThatIsDoneBehindIt) {
  AckTracker acks(0);
  acks.open({0, 100});
  acks.open({100, 250});
  acks.open({250, 400});
  EXPECT_TRUE(acks.finish({0, 100}));
  EXPECT_FALSE(acks.finish({250, 400}));
  EXPECT_EQ(acks.position(), 100);
  EXPECT_EQ(acks.unfinished(), 1u);
  EXPECT_TRUE(acks.finish({100, 250}));
  EXPECT_EQ(acks.position(), 400);
  EXPECT_EQ(acks.unfinished(), 0u);
}

TEST(AckTrackerTest, PlanNamesFinishedCutsBehindAHole) {
  AckTracker acks(7);
  acks.open({7, 9});
  acks.open({9, 20});
  acks.finish({9, 20});
  EXPECT_EQ(acks.planned_ends(), (std::vector<std::int64_t>{9, 20}));
  acks.finish({7, 9});
  EXPECT_TRUE(acks.planned_ends().empty());
}

TEST(AckTrackerTest, CutsThatOverlapOrLeaveAGapAreRefused) {
  AckTracker acks(10);
  EXPECT_THROW(acks.open({9, 12}), std::logic_error);
  EXPECT_THROW(acks.open({11, 12}), std::logic_error);
  EXPECT_THROW(acks.open({10, 10}), std::logic_error);
  acks.open({10, 12});
  EXPECT_THROW(acks.open({10, 12}), std::logic_error);
  EXPECT_EQ(acks.last_end(), 12);
}

TEST(AckTrackerTest, FinishingWhatIsNotOpenIsRefusedAndMovesNothing) {
  AckTracker acks(0);
  acks.open({0, 5});
  acks.open({5, 10});
  EXPECT_THROW(acks.finish({0, 6}), std::logic_error);
  EXPECT_THROW(acks.finish({10, 12}), std::logic_error);
  acks.finish({5, 10});
  EXPECT_THROW(acks.finish({5, 10}), std::logic_error) << "twice, behind the position's hole";
  acks.finish({0, 5});
  EXPECT_THROW(acks.finish({0, 5}), std::logic_error) << "twice, below the position";
  EXPECT_EQ(acks.position(), 10);
}

// What the tracker promises, said in the plainest way: the position is the end of the longest run
// of finished cuts from the start.
class Model {
 public:
  void open(Cut cut) { cuts_[cut.first] = {cut, false}; }
  void finish(Cut cut) { cuts_[cut.first].second = true; }
  std::int64_t position(std::int64_t start) const {
    while (cuts_.contains(start) && cuts_.at(start).second) start = cuts_.at(start).first.end;
    return start;
  }
  std::vector<std::int64_t> planned_ends(std::int64_t start) const {
    std::vector<std::int64_t> ends;
    for (auto at = cuts_.lower_bound(position(start)); at != cuts_.end(); ++at) {
      ends.push_back(at->second.first.end);
    }
    return ends;
  }

 private:
  std::map<std::int64_t, std::pair<Cut, bool>> cuts_;
};

TEST(AckTrackerTest, RandomOrdersAgreeWithThePlainModel) {
  std::mt19937_64 random(testing::test_seed());
  for (int round = 0; round < 300; ++round) {
    const auto start = static_cast<std::int64_t>(random() % 1'000);
    AckTracker acks(start);
    Model model;
    std::vector<Cut> in_flight;
    for (int step = 0; step < 100; ++step) {
      if (in_flight.empty() || random() % 2 == 0) {
        const Cut cut{acks.last_end(),
                      acks.last_end() + 1 + static_cast<std::int64_t>(random() % 9)};
        acks.open(cut);
        model.open(cut);
        in_flight.push_back(cut);
      } else {
        std::swap(in_flight[random() % in_flight.size()], in_flight.back());
        acks.finish(in_flight.back());
        model.finish(in_flight.back());
        in_flight.pop_back();
      }
      ASSERT_EQ(acks.position(), model.position(start));
      ASSERT_EQ(acks.planned_ends(), model.planned_ends(start));
      ASSERT_EQ(acks.unfinished(), in_flight.size());
    }
  }
}

}  // namespace
}  // namespace millrace
