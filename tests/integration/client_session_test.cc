// ClickHouse sessions, calls side by side, and the pool of connections, on a real server.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/clickhouse_only.h"
#include "tests/support/http_get.h"
#include "transport/async_client.h"
#include "transport/client.h"
#include "transport/common_settings.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ClientSession : public WithClickHouse {
 protected:
  static ClientOptions options_with(ClickHouseSessionPolicy policy) {
    ClientOptions options = WithClickHouse::options();
    options.session_policy = policy;
    return options;
  }
};
using ClientAsync = ClientSession;
using ClientPool = ClientSession;

TEST_F(ClientSession, KeepsTemporaryTablesAndSettings) {
  Client client = this->client();
  Session session = client.new_session();
  session.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  session.raw_insert("mine", "1\n2\n", {.format = "TSV", .use_database = false});
  session.command("SET max_block_size = 4321");
  EXPECT_EQ(session.raw_query("SELECT sum(n) FROM mine"), "3\n");
  EXPECT_EQ(session.raw_stream("SELECT getSetting('max_block_size')").next_chunk(), "4321\n");
  EXPECT_EQ(session.raw_query("SELECT {a:UInt8}", {.parameters = Named{{"a", 5}}}), "5\n");
}

TEST_F(ClientSession, ServerKnowsNothingOfItOutside) {
  Client client = this->client();
  Session one = client.new_session(), other = client.new_session();
  EXPECT_NE(one.id(), other.id());
  one.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { other.raw_query("SELECT * FROM mine"); }).code(), 60);
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { client.raw_query("SELECT * FROM mine"); }).code(), 60);
}

TEST_F(ClientSession, ParametersMayBeSetInIt) {
  Session session = client().new_session();
  session.command("SET param_a = 13");
  EXPECT_EQ(session.raw_query("SELECT {a:UInt8}"), "13\n");
}

TEST_F(ClientSession, ClientOfItsOwnHasOneForItsLife) {
  Client client(options_with(ClickHouseSessionPolicy::kPerClient));
  EXPECT_FALSE(client.session_id().empty());
  client.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  EXPECT_EQ(client.raw_query("EXISTS TEMPORARY TABLE mine"), "1\n");
  const std::string id = client.session_id();
  EXPECT_EQ(http_request(server().port(), "/?session_id=" + id, "EXISTS TEMPORARY TABLE mine").body,
            "1\n");
}

TEST_F(ClientSession, FixedIdIsShared) {
  ClientOptions fixed = options_with(ClickHouseSessionPolicy::kPerClient);
  fixed.session_id = "a fixed one";
  Client one(fixed), other(fixed);
  one.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  EXPECT_EQ(other.raw_query("EXISTS TEMPORARY TABLE mine"), "1\n");
}

TEST_F(ClientSession, NoneWhenNotWanted) {
  ClientOptions without = options_with(ClickHouseSessionPolicy::kPerClient);
  without.autogenerate_session_id = false;
  Client one(without);
  common::set_setting("autogenerate_session_id", false);
  without.autogenerate_session_id.reset();
  Client other(without);
  common::set_setting("autogenerate_session_id", true);
  for (Client* client : {&one, &other}) {
    EXPECT_EQ(client->session_id(), "");
    EXPECT_EQ(thrown_by<ClickHouseError>([&] {
                client->command("CREATE TEMPORARY TABLE mine (n UInt8)");
                client->raw_query("SELECT * FROM mine");
              }).code(),
              60);
  }
}

TEST_F(ClientSession, SharedClientsRunQueriesOfManyThreads) {
  for (const auto policy : {ClickHouseSessionPolicy::kPerQuery, ClickHouseSessionPolicy::kNone}) {
    Client client(options_with(policy));
    std::atomic<int> right{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
          for (int i = 0; i < 20; ++i) {
            const std::string n = std::to_string(1000 * t + i);
            if (client.raw_query("SELECT " + n) == n + "\n") ++right;
          }
        });
      }
    }
    EXPECT_EQ(right, 8 * 20) << to_string(policy);
  }
}

TEST_F(ClientSession, SecondQueryAtATimeIsRefusedHereBeforeItIsSent) {
  Client client(options_with(ClickHouseSessionPolicy::kPerClient));
  RawStream stream =
      client.raw_stream("SELECT number FROM system.numbers", {.query_id = "given-up"});
  const auto error = thrown_by<SessionBusyError>(
      [&] { client.raw_query("SELECT 1", {.query_id = "never-sent"}); });
  EXPECT_NE(std::string(error.what()).find("session"), std::string::npos) << error.what();
  const std::string id = client.session_id();
  stream.close();
  ASSERT_TRUE(vanishes("given-up"));  // until then the session is busy on the server
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(client.session_id(), id);
}

TEST_F(ClientSession, SecondQueryMayWaitForTheFirst) {
  ClientOptions waiting = options_with(ClickHouseSessionPolicy::kPerClient);
  waiting.session_wait = seconds(60);
  Client client(waiting);
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) right += client.raw_query("SELECT 1") == "1\n" ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(right, 40);
}

TEST_F(ClientSession, SessionThatAnotherProcessUsesIsAnErrorOfTheServer) {
  Client client = this->client();
  Session session = client.new_session("of-two");
  std::jthread holder([] {
    http_request(server().port(), "/?session_id=of-two&query_id=holder",
                 "SELECT count() FROM system.numbers");
  });
  ASSERT_TRUE(eventually([] { return runs("holder"); }, kPatience, "the holder runs"));
  const auto error = thrown_by<ClickHouseError>([&] { session.raw_query("SELECT 1"); });
  server().query("KILL QUERY WHERE query_id = 'holder' SYNC");
  EXPECT_EQ(error.code(), 373);
  EXPECT_EQ(error.name(), "SESSION_IS_LOCKED");
  holder.join();
  EXPECT_EQ(session.raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientSession, EndsByItsTimeOut) {
  Session lasting = client().new_session();
  lasting.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  EXPECT_TRUE(lasting.check());
  Session session = client().new_session({}, seconds(1));
  session.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  // Each check begins its time anew.
  EXPECT_TRUE(eventually([&] { return !session.check(); }, kPatience, "the session is gone",
                         milliseconds(2500)));
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { session.raw_query("SELECT * FROM mine"); }).code(),
            60);
}

TEST_F(ClientSession, CloseEndsItOnTheServer) {
  Session session = client().new_session();
  session.command("CREATE TEMPORARY TABLE mine (n UInt8)");
  session.close();
  EXPECT_FALSE(session.check());
}

TEST_F(ClientSession, TimeOutBeyondTheServersLimitIsRefused) {
  Session session = client().new_session({}, seconds(1'000'000));
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { session.raw_query("SELECT 1"); }).code(), 374);
}

TEST_F(ClientSession, ClientTakesANewIdAfterATimeOut) {
  ClientOptions impatient = options_with(ClickHouseSessionPolicy::kPerClient);
  impatient.request_timeout = seconds(10);
  impatient.connect = false;
  Client client(impatient);
  client.raw_query("SELECT 1");
  const std::string before = client.session_id();
  const auto error = thrown_by<NetworkError>(
      [&] { client.raw_query("SELECT count() FROM system.numbers", {.query_id = "too-slow"}); });
  EXPECT_EQ(error.kind(), NetworkError::Kind::kTimeout);
  EXPECT_EQ(error.query_id(), "too-slow");
  EXPECT_NE(client.session_id(), before);
  server().query("KILL QUERY WHERE query_id = 'too-slow' SYNC");
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientAsync, GivesFuturesAndCallbacks) {
  make_table("n UInt32");
  AsyncClient client(options());
  std::promise<std::uint64_t> inserted;
  client.raw_insert(name(), std::string("1\n2\n"), {.format = "TSV"},
                    [&](Outcome<QuerySummary> done) {
                      inserted.set_value(done ? done.value().written_rows : 0);
                    });
  EXPECT_EQ(inserted.get_future().get(), 2u);
  auto sum = client.raw_query("SELECT sum(n) FROM " + name());
  auto refused = client.raw_query("SELECT nonsense");
  auto stream = client.raw_stream("SELECT n FROM " + name() + " ORDER BY n");
  EXPECT_EQ(sum.get(), "3\n");
  EXPECT_EQ(stream.get().next_chunk(), "1\n2\n");
  EXPECT_EQ(thrown_by<ClickHouseError>([&] { refused.get(); }).code(), 47);
  EXPECT_TRUE(client.ping().get());
  std::promise<std::exception_ptr> failed;
  client.command("DROP TABLE nowhere", {},
                 [&](const Outcome<std::string>& done) { failed.set_value(done.error()); });
  const auto error = failed.get_future().get();
  EXPECT_THROW(std::rethrow_exception(error), ClickHouseError);
}

TEST_F(ClientAsync, ManyQueriesShareFewConnections) {
  ClientOptions few = options();
  few.pool_mgr = std::make_shared<HttpSessionPool>(HttpSessionPoolOptions{
      .soft_limit = 4, .hard_limit = 4, .store_limit = 4, .acquire_timeout = seconds(60)});
  std::vector<std::future<std::string>> answers;
  std::atomic<int> called{0};
  {
    AsyncClient client(few, {.threads = 8});
    for (int i = 0; i < 5000; ++i) {
      if (i % 5 == 0) {
        client.raw_query("SELECT 1", {}, [&](Outcome<std::string> done) {
          if (done && done.value() == "1\n") ++called;
        });
      } else {
        answers.push_back(client.raw_query("SELECT " + std::to_string(i)));
      }
    }
  }
  std::set<std::string> different;
  for (auto& answer : answers) different.insert(answer.get());
  EXPECT_EQ(different.size(), 4000u);
  EXPECT_EQ(called, 1000);
  const HttpSessionPoolStats stats = few.pool_mgr->stats();
  EXPECT_LE(stats.open, 4u);
  EXPECT_GE(stats.reused, 4900u);
}

TEST_F(ClientAsync, StopEndsCallsThatRunAndCallsThatWait) {
  std::stop_source stop;
  AsyncClient client(options(), {.threads = 1});
  auto running = client.raw_query("SELECT count() FROM system.numbers",
                                  {.query_id = "asynchronous", .stop = stop.get_token()});
  auto waiting = client.raw_query("SELECT 1", {.stop = stop.get_token()});
  ASSERT_TRUE(eventually([] { return runs("asynchronous"); }, kPatience, "the query runs"));
  stop.request_stop();
  EXPECT_THROW(running.get(), AbortedError);
  EXPECT_THROW(waiting.get(), AbortedError);
  server().query("KILL QUERY WHERE query_id = 'asynchronous' SYNC");
}

TEST_F(ClientPool, IsSharedByClientsAndCounts) {
  auto pool = std::make_shared<HttpSessionPool>(HttpSessionPoolOptions{});
  ClientOptions sharing = options();
  sharing.pool_mgr = pool;
  Client one(sharing), other(sharing);
  for (int i = 0; i < 10; ++i) (i % 2 == 0 ? one : other).raw_query("SELECT 1");
  EXPECT_EQ(pool->stats().created, 1u);
  EXPECT_GE(pool->stats().reused, 9u);
  EXPECT_EQ(pool->stats().idle, 1u);
  const RawStream stream = one.raw_stream("SELECT number FROM system.numbers");
  other.raw_query("SELECT 1");
  EXPECT_EQ(pool->stats().created, 2u);
  EXPECT_EQ(pool->stats().leased, 1u);
  EXPECT_EQ(one.pool(), other.pool());
}

TEST_F(ClientPool, CloseConnectionsEndsIdleOnesAndBusyOnesLater) {
  ClientOptions own = options();
  own.pool_mgr = std::make_shared<HttpSessionPool>(HttpSessionPoolOptions{});
  Client client(own);
  RawStream stream = client.raw_stream("SELECT number FROM numbers(1000000)");
  client.raw_query("SELECT 1");
  client.close_connections();
  EXPECT_EQ(client.pool()->stats().idle, 0u);
  while (stream.next_chunk()) {  // still whole
  }
  EXPECT_EQ(client.pool()->stats().open, 0u);
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientPool, LimitsMayBeChangedWhileItIsUsed) {
  HttpSessionPoolOptions narrow{
      .soft_limit = 1, .hard_limit = 1, .store_limit = 1, .acquire_timeout = milliseconds(50)};
  ClientOptions own = options();
  own.pool_mgr = std::make_shared<HttpSessionPool>(narrow);
  Client client(own);
  const RawStream stream = client.raw_stream("SELECT number FROM system.numbers");
  EXPECT_THROW(client.raw_query("SELECT 1"), PoolTimeoutError);
  EXPECT_EQ(client.pool()->stats().acquire_timeouts, 1u);
  narrow.hard_limit = 2;
  client.pool()->set_options(narrow);
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

}  // namespace
}  // namespace millrace::test
