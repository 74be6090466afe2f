#include "service/waiting_reasons.h"

#include <gmock/gmock.h>

namespace millrace {
namespace {

LaneStatus lane(std::int32_t partition, Disposition disposition, int code,
                const std::string& reason) {
  LaneStatus made;
  made.id = {"g", "t", partition};
  made.table = "db.t";
  made.waiting = true;
  made.wait.disposition = disposition;
  made.wait.code = code;
  made.wait.reason = reason;
  return made;
}

TEST(WaitingReasons, AreALineForEachTableAndReasonWithWhatToDo) {
  const auto reasons = waiting_reasons("p", {lane(3, Disposition::kWait, 60, "UNKNOWN_TABLE"),
                                             lane(4, Disposition::kWait, 497, "ACCESS_DENIED"),
                                             lane(5, Disposition::kWait, 60, "UNKNOWN_TABLE")});
  using testing::StartsWith;
  EXPECT_THAT(reasons,
              testing::ElementsAre(
                  StartsWith("pipeline p: lane t/4 waits for somebody to act, ACCESS_DENIED: "),
                  StartsWith("pipeline p: lane t/3 and 1 more wait for somebody to act, "
                             "UNKNOWN_TABLE: create table db.t")));
}

TEST(WaitingReasons, DoNotSpeakOfWhatPassesByItself) {
  LaneStatus flows = lane(1, Disposition::kWait, 60, "UNKNOWN_TABLE");
  flows.waiting = false;
  EXPECT_TRUE(
      waiting_reasons("p", {flows, lane(2, Disposition::kRetry, 252, "TOO_MANY_PARTS")}).empty());
}

TEST(WaitingReasons, StayOneLineWhateverTheAdviceHolds) {
  LaneStatus odd = lane(1, Disposition::kWait, 0, "NOT_EXACTLY_ONCE");
  odd.wait.advice = "run\nALTER \x1b[2J";
  EXPECT_THAT(waiting_reasons("p", {odd}),
              testing::ElementsAre(testing::EndsWith(": run\\nALTER \\x1b[2J")));
}

}  // namespace
}  // namespace millrace
