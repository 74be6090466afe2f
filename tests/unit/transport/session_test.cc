// ClickHouse sessions: which ID goes with a query, and that one query runs in each at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/transport/transport_rig.h"
#include "transport/common_settings.h"
#include "transport/session_lock.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr milliseconds kNoWait{0};

TEST(SessionLock, IsHeldByOneAtATime) {
  SessionLock first = SessionLock::take("lock-1", kNoWait);
  EXPECT_THROW(SessionLock::take("lock-1", kNoWait), SessionBusyError);
  const SessionLock other = SessionLock::take("lock-2", kNoWait);
  const SessionLock moved = std::move(first);
  EXPECT_THROW(SessionLock::take("lock-1", kNoWait), SessionBusyError);
}

TEST(SessionLock, IsFreeAgainWhenReleased) {
  SessionLock::take("lock-3", kNoWait);
  SessionLock lock = SessionLock::take("lock-3", kNoWait);
  lock.release();
  SessionLock::take("lock-3", kNoWait);
}

TEST(SessionLock, WithoutAnIdIsNeverBusy) {
  const SessionLock one = SessionLock::take("", kNoWait);
  const SessionLock two = SessionLock::take("", kNoWait);
}

TEST(SessionLock, CanBeWaitedFor) {
  std::optional<SessionLock> held = SessionLock::take("lock-4", kNoWait);
  std::thread waiter([] { SessionLock::take("lock-4", milliseconds(20'000)); });
  held.reset();
  waiter.join();
  const SessionLock again = SessionLock::take("lock-5", kNoWait);
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  EXPECT_THROW(SessionLock::take("lock-5", milliseconds(20'000), stop.get_token()), AbortedError);
  stopper.join();
}

TEST(ClientSession, IsBusyUntilTheResultIsRead) {
  TransportRig rig({answer_all(http_response(200, "abc"))});
  RawStream stream = rig.client.raw_stream("SELECT 1");
  const auto error = thrown_by<SessionBusyError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), HasSubstr("Attempt to execute concurrent queries within the same "
                                       "session. Please use a separate client instance per "
                                       "thread/process."));
  while (stream.next_chunk()) {
  }
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "abc");
  RawStream given_up = rig.client.raw_stream("SELECT 1");
  given_up.close();
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "abc");
}

TEST(ClientSession, IsFreeAfterAFailure) {
  TransportRig rig({answer_all(http_response(404, "Code: 60. DB::Exception: no"))});
  EXPECT_THROW(rig.client.raw_stream("SELECT 1"), ClickHouseError);
  EXPECT_THROW(rig.client.raw_query("SELECT 1"), ClickHouseError);
}

TEST(ClientSession, OfEachQueryOrOfNoneNeverCollides) {
  for (const auto policy : {ClickHouseSessionPolicy::kPerQuery, ClickHouseSessionPolicy::kNone}) {
    TransportRig rig({answer_all(http_response(200, "abc"))}, {.session_policy = policy});
    RawStream one = rig.client.raw_stream("SELECT 1");
    RawStream two = rig.client.raw_stream("SELECT 1");
    EXPECT_EQ(one.next_chunk(), "abc");
    EXPECT_EQ(two.next_chunk(), "abc");
  }
}

TEST(ClientSession, AnIdOfTheCallWinsOverThatOfTheClient) {
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_query("SELECT 1", {.session_id = "mine"});
  rig.client.raw_query("SELECT 1", {.settings = {{"session_id", "mine too"}}});
  rig.pool.close_connections();
  const std::string sent = rig.server.wait_ended(0).headers;
  EXPECT_THAT(sent, HasSubstr("session_id=mine&"));
  EXPECT_THAT(sent, HasSubstr("session_id=mine+too&"));
  EXPECT_THAT(sent, Not(HasSubstr(rig.client.session_id())));
}

TEST(ClientSession, TheCommonSettingIsReadWhenAClientIsMade) {
  TransportRig rig({answer_all(http_response(200, ""))});
  common::set_setting("autogenerate_session_id", false);
  const Client without({}, rig.endpoints, rig.pool);
  const Client with({.autogenerate_session_id = true}, rig.endpoints, rig.pool);
  common::set_setting("autogenerate_session_id", true);
  const Client later({}, rig.endpoints, rig.pool);
  EXPECT_EQ(without.session_id(), "");
  EXPECT_NE(with.session_id(), "");
  EXPECT_NE(later.session_id(), "");
  const Client fixed({.session_id = "mine"}, rig.endpoints, rig.pool);
  EXPECT_EQ(fixed.session_id(), "mine");
}

TEST(ClientSession, AGivenIdIsNeverReplaced) {
  TransportRig rig({answer_all(http_response(500, "Code: 373. DB::Exception: locked",
                                             "X-ClickHouse-Exception-Code: 373\r\n"))},
                   {.session_id = "mine"});
  EXPECT_THROW(rig.client.raw_query("SELECT 1"), ClickHouseError);
  EXPECT_EQ(rig.client.session_id(), "mine");
}

TEST(Session, KeepsItsIdAndEndsOnTheServer) {
  TransportRig rig({answer_all(http_response(200, "1"))});
  Session session = rig.client.new_session({}, std::chrono::seconds(300));
  session.command("CREATE TEMPORARY TABLE t (a Int8)");
  EXPECT_TRUE(session.check());
  session.close();
  rig.pool.close_connections();
  const std::string sent = rig.server.wait_ended(0).headers;
  const std::string id = "session_id=" + session.id();
  std::size_t times = 0;
  for (auto at = sent.find(id); at != std::string::npos; at = sent.find(id, at + 1)) ++times;
  EXPECT_EQ(times, 3u);
  EXPECT_THAT(sent, HasSubstr("session_timeout=300"));
  EXPECT_THAT(sent, HasSubstr("session_check=1"));
  EXPECT_THAT(sent, HasSubstr("close_session=1"));
}

TEST(Session, SaysWhenTheServerForgotIt) {
  TransportRig rig({answer_all(http_response(500, "Code: 372. DB::Exception: gone",
                                             "X-ClickHouse-Exception-Code: 372\r\n"))});
  EXPECT_FALSE(rig.client.new_session("mine").check());
}

}  // namespace
}  // namespace millrace::test
