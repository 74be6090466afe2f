#include "pipeline/checkpoint.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace millrace {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

Checkpoint sample() {
  return {.position = 1'000,
          .ends = {1'036, 1'037, 2'333},
          .incarnation = "k3x",
          .written = sys_seconds(seconds(1'767'225'600)),
          .config = "c0ffee"};
}

TEST(PlanText, IsShortAndReadable) {
  EXPECT_EQ(plan_text(sample()), "m1;k3x;t85s00;c0ffee;10,1,100");
  Checkpoint empty = sample();
  empty.ends.clear();
  EXPECT_EQ(plan_text(empty), "m1;k3x;t85s00;c0ffee;");
  empty.source = "7.3";
  EXPECT_EQ(plan_text(empty), "m1;k3x;t85s00;c0ffee.7.3;");
}

TEST(PlanText, IsReadBack) {
  for (const auto& ends : {std::vector<std::int64_t>{}, {1'001}, {1'036, 1'037, 2'333}}) {
    Checkpoint checkpoint = sample();
    checkpoint.ends = ends;
    EXPECT_EQ(parse_plan(checkpoint.position, plan_text(checkpoint)), checkpoint);
  }
  Checkpoint no_config = sample();
  no_config.config.clear();
  EXPECT_EQ(parse_plan(1'000, plan_text(no_config)), no_config);
  Checkpoint of_source = sample();
  of_source.source = "mk0.1.x.2";
  EXPECT_EQ(parse_plan(1'000, plan_text(of_source)), of_source);
}

TEST(PlanText, OfSomebodyElseIsNoPlan) {
  for (const char* text :
       {"", "m2;k3x;1;c;10", "m1", "m1;", "m1;;1;c;10", "m1;k3x;;c;10", "m1;k3x;-1;c;10",
        "m1;k3x;1;c;0", "m1;k3x;1;c;-5", "m1;k3x;1;c;10,", "m1;k3x;1;c;10,,2", "m1;k3x;1;c;1 0",
        "m1;k3x;1;c;1y2p0ij32e8e7,1y2p0ij32e8e7", "{\"offset\":5}"}) {
    const auto plan = parse_plan(1'000, text);
    // A comma at the end says nothing more: the one thing that is forgiven.
    EXPECT_EQ(plan.has_value(), std::string_view(text) == "m1;k3x;1;c;10,") << text;
  }
}

TEST(PlanText, OfTheMostBlocksFitsBesideAnOffset) {
  Checkpoint checkpoint = sample();
  checkpoint.config = std::string(16, 'c');
  checkpoint.incarnation = std::string(13, 'z');
  checkpoint.source = std::string(4 * 13 + 3, 's');
  checkpoint.ends.clear();
  const std::int64_t longest =
      (std::numeric_limits<std::int64_t>::max() - 1'000) / std::int64_t{kMaxPlannedBlocks};
  for (std::size_t i = 1; i <= kMaxPlannedBlocks; ++i) {
    checkpoint.ends.push_back(1'000 + static_cast<std::int64_t>(i) * longest);
  }
  EXPECT_LT(plan_text(checkpoint).size(), 4'096u);
  EXPECT_EQ(parse_plan(checkpoint.position, plan_text(checkpoint)), checkpoint);
}

TEST(Incarnation, IsAnotherOneEachTime) {
  std::set<std::string> drawn;
  for (int i = 0; i < 1'000; ++i) drawn.insert(draw_incarnation());
  EXPECT_EQ(drawn.size(), 1'000u);
}

}  // namespace
}  // namespace millrace
