#include "service/sources/kafka_policy.h"

#include <gtest/gtest.h>

#include "service/sources/kafka_check.h"
#include "service/sources/kafka_faults.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using Step = BudgetGate::Step;

KafkaSourceOptions options() {
  KafkaSourceOptions made;
  made.brokers = "127.0.0.1:1";
  made.topics = {"events"};
  return made;
}

TEST(FirstOffset, EarliestIsTheLowEnd) { EXPECT_EQ(first_offset("earliest", 7), 7); }

TEST(FirstOffset, ErrorGivesNone) { EXPECT_FALSE(first_offset("error", 7)); }

TEST(AfterOutOfRange, RecordsDeletedBeforeTheyWereReadAreCountedAndTheLaneGoesOn) {
  const OutOfRange next = after_out_of_range(10, 25, 90);
  EXPECT_EQ(next.go_on_at, 25);
  EXPECT_EQ(next.lost, 15);
  EXPECT_FALSE(next.new_lane);
}

TEST(AfterOutOfRange, OffsetsThatBeganAnewAreReadFromTheStartInANewLane) {
  const OutOfRange next = after_out_of_range(1'000, 3, 90);
  EXPECT_EQ(next.go_on_at, 3);
  EXPECT_EQ(next.lost, 0);
  EXPECT_TRUE(next.new_lane);
}

TEST(AfterOutOfRange, AnOffsetThatIsThereAfterAllIsReadAgain) {
  for (const std::int64_t offset : {25, 50, 90}) {
    const OutOfRange next = after_out_of_range(offset, 25, 90);
    EXPECT_EQ(next.go_on_at, offset);
    EXPECT_EQ(next.lost, 0);
    EXPECT_FALSE(next.new_lane);
  }
}

TEST(FitsBudget, WhatThePrefetchKeepsIsNotThere) {
  EXPECT_TRUE(fits_budget(70, 30, 100));
  EXPECT_FALSE(fits_budget(71, 30, 100));
  EXPECT_FALSE(fits_budget(0, 101, 100));
}

TEST(MayResumeLane, WaitsUntilHalfOfWhatWasInFlightIsDone) {
  EXPECT_FALSE(may_resume_lane(true, 0, 8));
  EXPECT_FALSE(may_resume_lane(false, 5, 8));
  EXPECT_TRUE(may_resume_lane(false, 4, 8));
  EXPECT_TRUE(may_resume_lane(false, 0, 1));
  EXPECT_TRUE(may_resume_lane(false, 0, 0));
}

TEST(BudgetGate, ShortWaitsPauseNothing) {
  BudgetGate gate;
  const SteadyTime start{};
  EXPECT_EQ(gate.refused(start), Step::kNone);
  EXPECT_EQ(gate.refused(start + BudgetGate::kPatience - milliseconds{1}), Step::kNone);
  EXPECT_EQ(gate.admitted(0, 100, false), Step::kNone);
  // The patience begins again with each wait.
  EXPECT_EQ(gate.refused(start + BudgetGate::kPatience), Step::kNone);
  EXPECT_FALSE(gate.paused());
}

TEST(BudgetGate, ALongWaitPausesAllOnce) {
  BudgetGate gate;
  (void)gate.refused(SteadyTime{});
  EXPECT_EQ(gate.refused(SteadyTime{} + BudgetGate::kPatience), Step::kPauseAll);
  EXPECT_EQ(gate.refused(SteadyTime{} + 2 * BudgetGate::kPatience), Step::kNone);
  EXPECT_TRUE(gate.paused());
}

TEST(BudgetGate, GoesOnWhenAQuarterIsFreeAgain) {
  BudgetGate gate;
  (void)gate.refused(SteadyTime{});
  (void)gate.refused(SteadyTime{} + BudgetGate::kPatience);
  EXPECT_EQ(gate.admitted(76, 100, false), Step::kNone);
  EXPECT_EQ(gate.admitted(75, 100, false), Step::kResumeAll);
  EXPECT_FALSE(gate.paused());
  EXPECT_EQ(gate.admitted(75, 100, false), Step::kNone);
}

TEST(BudgetGate, GoesOnWhenNothingOfOursIsInFlightHoweverFullItIs) {
  BudgetGate gate;
  (void)gate.refused(SteadyTime{});
  (void)gate.refused(SteadyTime{} + BudgetGate::kPatience);
  EXPECT_EQ(gate.admitted(99, 100, true), Step::kResumeAll);
}

TEST(RevokePatience, LeavesTheGroupHalfOfTheSessionTimeoutAndNeverTakesLong) {
  EXPECT_EQ(revoke_patience(milliseconds{6'000}), milliseconds{3'000});
  EXPECT_EQ(revoke_patience(milliseconds{45'000}), milliseconds{10'000});
}

TEST(PlanPrefetch, QueueAndOneFetchStayInsideTheReservation) {
  for (const std::size_t bytes : {8u << 20, 32u << 20, 256u << 20}) {
    const PrefetchPlan plan = plan_prefetch(bytes);
    EXPECT_LE(plan.queue_kbytes * 1024 + plan.fetch_bytes, bytes);
    EXPECT_GT(plan.queue_messages, 0u);
    EXPECT_GT(plan.queue_kbytes, 0u);
  }
}

TEST(ValidateKafkaOptions, PlainSettingsHaveNoFault) {
  EXPECT_TRUE(validate_kafka_options(options()).empty());
}

TEST(ValidateKafkaOptions, AnUnknownOptionIsNamed) {
  KafkaSourceOptions bad = options();
  bad.options = {{"fetch.wait.max", "5"}};
  const auto faults = validate_kafka_options(bad);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_NE(faults[0].find("fetch.wait.max"), std::string::npos) << faults[0];
}

TEST(ValidateKafkaOptions, ABadValueIsNamed) {
  KafkaSourceOptions bad = options();
  bad.options = {{"session.timeout.ms", "soon"}};
  bad.assignment = "fair";
  const auto faults = validate_kafka_options(bad);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_NE(faults[0].find("assignment"), std::string::npos) << faults[0];
  EXPECT_NE(faults[1].find("session.timeout.ms"), std::string::npos) << faults[1];
}

TEST(ValidateKafkaOptions, OptionsOnWhichItDependsThatNothingIsLostCannotBeSet) {
  for (const char* name : {"enable.auto.commit", "auto.offset.reset", "group.id",
                           "enable.auto.offset.store", "auto.commit.enable"}) {
    KafkaSourceOptions bad = options();
    bad.options = {{name, name == std::string("auto.offset.reset") ? "latest" : "true"}};
    const auto faults = validate_kafka_options(bad);
    ASSERT_FALSE(faults.empty()) << name;
    EXPECT_NE(faults[0].find(name), std::string::npos) << faults[0];
  }
}

TEST(ValidateKafkaOptions, ABrokenPatternIsNamed) {
  KafkaSourceOptions bad = options();
  bad.topics = {"^events(", "^events\\..*"};
  const auto faults = validate_kafka_options(bad);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_NE(faults[0].find("^events("), std::string::npos) << faults[0];
}

TEST(LatestStart, TheMemberWithTheFirstPartitionThatWasThereBeginsForAll) {
  using P = SubscribedPartition;
  const P there{.was_there = true}, mine{.was_there = true, .assigned = true};
  const P late{.assigned = true}, done{.committed = true, .was_there = true};
  EXPECT_EQ(latest_start({mine, there}), LatestStart::kBegin);
  EXPECT_EQ(latest_start({there, mine}), LatestStart::kWait);
  EXPECT_EQ(latest_start({late, mine}), LatestStart::kBegin);
  EXPECT_EQ(latest_start({late, there}), LatestStart::kWait);
  // Nothing was there: all of it is new.
  EXPECT_EQ(latest_start({late, late}), LatestStart::kBegun);
  EXPECT_EQ(latest_start({}), LatestStart::kBegun);
  // One offset is enough: what has none came later.
  EXPECT_EQ(latest_start({mine, there, done}), LatestStart::kBegun);
}

TEST(AssignmentRefusal, CooperativeStickyNeedsALibraryThatDoesNotEndTheProcess) {
  EXPECT_EQ(assignment_refusal("range", 0x020002ff), "");
  EXPECT_EQ(assignment_refusal("cooperative-sticky", 0x020300ff), "");
  const std::string refusal = assignment_refusal("cooperative-sticky", 0x020002ff);
  EXPECT_NE(refusal.find("needs librdkafka 2.3.0 or later: this one, 2.0.2,"), std::string::npos)
      << refusal;
}

TEST(RefillPolicy, WakesWhenHalfOfTheMostIsGone) {
  RefillPolicy refill;
  const SteadyTime start{std::chrono::hours(1)};
  EXPECT_FALSE(refill.due(100, start));
  EXPECT_FALSE(refill.due(1'000, start));
  EXPECT_FALSE(refill.due(500, start));
  EXPECT_TRUE(refill.due(499, start));
}

TEST(RefillPolicy, WakesOnceForAllThatWasHeld) {
  RefillPolicy refill;
  SteadyTime now{std::chrono::hours(1)};
  EXPECT_FALSE(refill.due(1'000, now));
  EXPECT_TRUE(refill.due(400, now));
  now += RefillPolicy::kLeastInterval;
  EXPECT_FALSE(refill.due(400, now));
  EXPECT_FALSE(refill.due(300, now));
  EXPECT_TRUE(refill.due(0, now));  // and again, should the first have been in vain
  now += RefillPolicy::kLeastInterval;
  EXPECT_FALSE(refill.due(0, now));
}

TEST(RefillPolicy, KeepsItsInterval) {
  RefillPolicy refill;
  const SteadyTime start{std::chrono::hours(1)};
  EXPECT_FALSE(refill.due(1'000, start));
  EXPECT_TRUE(refill.due(100, start));
  EXPECT_FALSE(refill.due(10, start + RefillPolicy::kLeastInterval / 2));
  EXPECT_TRUE(refill.due(10, start + RefillPolicy::kLeastInterval));
}

// What may be applied yet could come behind a later commit and take its plan back.
TEST(CommitFailure, TellsWhetherTheCommitMayBeAppliedYet) {
  for (const char* name : {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"}) {
    EXPECT_EQ(commit_failure(name), CommitFailure::kFenced) << name;
  }
  for (const char* name : {"_TIMED_OUT", "_TRANSPORT", "REQUEST_TIMED_OUT"}) {
    EXPECT_EQ(commit_failure(name), CommitFailure::kUnresolved) << name;
  }
  for (const char* name : {"REBALANCE_IN_PROGRESS", "NOT_COORDINATOR", "_WAIT_COORD",
                           "COORDINATOR_LOAD_IN_PROGRESS", "OFFSET_METADATA_TOO_LARGE"}) {
    EXPECT_EQ(commit_failure(name), CommitFailure::kRefused) << name;
  }
}

TEST(KafkaFaults, LogsAFaultOncePerChangeAndItsEnd) {
  std::vector<std::string> lines;
  KafkaFaults faults([&](const LogEvent& event) { lines.push_back(event.message); });
  faults.set("broker", "down");
  faults.set("broker", "down");
  faults.set("broker", "refuses us");
  EXPECT_EQ(faults.reason(), "refuses us");
  faults.clear("broker");
  faults.clear("broker");
  EXPECT_EQ(faults.reason(), "");
  EXPECT_EQ(lines.size(), 3u);
}

TEST(KafkaFaults, NamesAllThatIsWrong) {
  KafkaFaults faults({});
  faults.set("topic/a", "a is missing");
  faults.set("topic/b", "b is missing");
  EXPECT_EQ(faults.reason(), "a is missing; b is missing");
  EXPECT_EQ(faults.subjects("topic/"), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace millrace
