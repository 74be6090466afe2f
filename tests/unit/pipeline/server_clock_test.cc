// How old a try is, whatever the hosts' clocks say.
#include "pipeline/server_clock.h"

#include <gtest/gtest.h>

#include "pipeline/restart_check.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;

const SteadyTime kNow = SteadyTime{} + 1h;
constexpr sys_seconds kServer{1'800'000'000s};

TEST(ServerClockTest, IsNotKnownBeforeTheServerSaidIt) {
  EXPECT_EQ(ServerClock().at(kNow), std::nullopt);
}

// The answer was made before it came: what is said is never later than the server's own clock.
TEST(ServerClockTest, GoesOnWithTheSteadyClock) {
  ServerClock clock;
  clock.note(kServer + 900ms, kNow);
  EXPECT_EQ(clock.at(kNow), kServer);
  EXPECT_EQ(clock.at(kNow + 100ms), kServer + 1s);
  EXPECT_EQ(clock.at(kNow + 10h), kServer + 10h);
  clock.note(kServer - 30min, kNow + 1s);  // it was set back
  EXPECT_EQ(clock.at(kNow + 1s), kServer - 30min);
}

TEST(AgeOfTest, OursIsBySteadyClockRoundedUp) {
  for (const auto server : {kServer, kServer - 24h, kServer + 24h}) {
    EXPECT_EQ(age_of(kNow - 1500ms, kNow, server), 3s);
    EXPECT_EQ(age_of(kNow, kNow, server), 1s);
    EXPECT_EQ(age_of(kNow + 5s, kNow, server), 1s);
  }
}

TEST(AgeOfTest, OfAFormerOwnerItIsByTheServersClock) {
  for (const auto age : {0s, 4s, 1800s, 86'400s})
    EXPECT_EQ(age_of(kServer - age, SteadyTime{}, kServer), age + 1s);
  EXPECT_LE(age_of(kServer + 4s, SteadyTime{}, kServer), 0s);
}

// Owners write plans whose hosts' clocks are wrong by so much: the age is the same.
TEST(AgeOfTest, NoHostsClockComesIn) {
  for (const auto skew : {-86'400s, -1800s, -4s, 0s, 4s, 1800s, 86'400s}) {
    const SteadyTime former_now = kNow + skew;  // steady clocks have nothing in common either
    ServerClock of_former;
    of_former.note(kServer, former_now);
    const sys_seconds written = *of_former.at(former_now + 10s);
    const auto age = age_of(written, kNow - skew, kServer + 25s);
    EXPECT_EQ(age, 16s) << skew.count();
    EXPECT_TRUE(may_have_restarted(16s, age));
    EXPECT_FALSE(may_have_restarted(17s, age));
  }
}

TEST(MayHaveRestartedTest, WhenTheServersClockWasSetBackNobodyKnows) {
  EXPECT_TRUE(may_have_restarted(24h, age_of(kServer + 30min, kNow, kServer)));
  EXPECT_TRUE(may_have_restarted(24h, age_of(kServer + 4s, kNow, kServer)));
}

// A former owner's rows are looked for wherever they can be, whatever any clock says.
TEST(JudgeRepeatTest, RowsOfAFormerOwnerAreLookedForWhereTheyCanBe) {
  const FirstTry ours = kNow, planned = kServer;
  for (const bool restarted : {false, true}) {
    EXPECT_EQ(judge_repeat(planned, restarted, Look::kCan), RepeatProof::kLook);
    EXPECT_EQ(judge_repeat(planned, restarted, Look::kCanNot),
              restarted ? RepeatProof::kNone : RepeatProof::kComplete);
  }
  EXPECT_EQ(judge_repeat(ours, false, Look::kCan), RepeatProof::kComplete);
  EXPECT_EQ(judge_repeat(ours, true, Look::kCan), RepeatProof::kLook);
  EXPECT_EQ(judge_repeat(ours, true, Look::kCanNot), RepeatProof::kNone);
}

TEST(MayBeForgottenTest, WhatIsOfAnUnknownAgeMayBe) {
  EXPECT_TRUE(may_be_forgotten({.inserts = 1'000, .seconds = 3'600}, {.unknown = true}));
}

}  // namespace
}  // namespace millrace
