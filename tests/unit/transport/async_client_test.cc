// Calls side by side: their results by future and callback, their bounds, their end.
#include "transport/async_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stop_token>
#include <thread>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;
using testing::Not;

ClientOptions no_session() { return {.session_policy = ClickHouseSessionPolicy::kNone}; }

TEST(AsyncClient, GivesFutures) {
  TransportRig rig({answer_all(http_response(200, "1"))}, no_session());
  AsyncClient client(rig.client);
  auto query = client.raw_query("SELECT 1");
  auto insert = client.raw_insert("t", std::string("1\n"), {.format = "TSV"});
  auto command = client.command("SYSTEM X");
  auto stream = client.raw_stream("SELECT 1");
  EXPECT_EQ(query.get(), "1");
  EXPECT_FALSE(insert.get().query_id.empty());
  EXPECT_EQ(command.get(), "1");
  EXPECT_EQ(stream.get().next_chunk(), "1");
}

TEST(AsyncClient, GivesErrorsWhereResultsWouldBe) {
  TransportRig rig({answer_all(http_response(404, "Code: 60. DB::Exception: no"))}, no_session());
  AsyncClient client(rig.client);
  EXPECT_THROW(client.raw_query("SELECT 1").get(), ClickHouseError);
  std::promise<Outcome<std::string>> called;
  client.raw_query("SELECT 1", {},
                   [&](Outcome<std::string> outcome) { called.set_value(std::move(outcome)); });
  Outcome<std::string> outcome = called.get_future().get();
  EXPECT_FALSE(outcome);
  EXPECT_THROW(outcome.value(), ClickHouseError);
  EXPECT_EQ(client.ping().get(), false);
}

TEST(AsyncClient, HasNoSessionUnlessAskedFor) {
  ScriptedServer server({answer_all(http_response(200, "1"))});
  auto pool = std::make_shared<HttpSessionPool>();
  ClientOptions options;
  options.host = server.endpoint().host;
  options.port = server.endpoint().port;
  options.pool_mgr = pool;
  options.connect = false;
  AsyncClient without(options);
  without.raw_query("SELECT 1").get();
  options.autogenerate_session_id = true;
  AsyncClient with(options);
  with.raw_query("SELECT 1").get();
  pool->close_connections();
  const std::string sent = server.wait_ended(0).headers;
  const auto second = sent.find("\r\n\r\n") + 4;
  EXPECT_THAT(sent.substr(0, second), Not(HasSubstr("session_id")));
  EXPECT_THAT(sent.substr(second), HasSubstr("session_id"));
}

TEST(AsyncClient, ManyCallsShareAFewConnections) {
  constexpr int kCalls = 5'000;
  TransportRig rig({answer_all(http_response(200, "1"))}, no_session(),
                   {.soft_limit = 4, .hard_limit = 4, .store_limit = 4});
  std::atomic<int> done{0};
  {
    AsyncClient client(rig.client, {.threads = 16, .max_queued = 100});
    for (int i = 0; i < kCalls; ++i) {
      client.raw_query("SELECT 1", {}, [&](Outcome<std::string> outcome) {
        if (outcome && outcome.value() == "1") ++done;
      });
    }
  }
  EXPECT_EQ(done, kCalls);
  EXPECT_LE(rig.server.accepted(), 4u);
  EXPECT_EQ(rig.pool.stats().leased, 0u);
}

TEST(AsyncClient, RunsCallsSideBySide) {
  constexpr int kSides = 4;
  std::latch all_arrived(kSides);
  const auto meet = [&](ScriptedConnection& connection) {
    connection.read_request();
    all_arrived.arrive_and_wait();
    connection.send(http_response(200, "1"));
    connection.wait_for_close();
  };
  TransportRig rig({meet}, no_session());
  AsyncClient client(rig.client, {.threads = kSides});
  std::vector<std::future<std::string>> results;
  for (int i = 0; i < kSides; ++i) results.push_back(client.raw_query("SELECT 1"));
  for (auto& result : results) EXPECT_EQ(result.get(), "1");
}

TEST(AsyncClient, AStopTokenEndsCallsThatRunAndThatWait) {
  Gate started;
  TransportRig rig({[&](ScriptedConnection& connection) {
                     connection.read_request();
                     started.open();
                     connection.wait_for_close();
                   }},
                   no_session());
  AsyncClient client(rig.client, {.threads = 1});
  std::stop_source stop;
  auto running = client.raw_query("SELECT 1", {.stop = stop.get_token()});
  auto waiting = client.raw_query("SELECT 1", {.stop = stop.get_token()});
  ASSERT_TRUE(started.wait());
  stop.request_stop();
  EXPECT_THROW(running.get(), AbortedError);
  EXPECT_THROW(waiting.get(), AbortedError);
}

TEST(AsyncClient, TakesNothingAfterItsEndAndDrainsBefore) {
  TransportRig rig({answer_all(http_response(200, "1"))}, no_session());
  AsyncClient client(rig.client);
  std::atomic<int> done{0};
  for (int i = 0; i < 50; ++i) client.raw_query("SELECT 1", {}, [&](auto) { ++done; });
  client.close();
  EXPECT_EQ(done, 50);
  EXPECT_THROW(client.raw_query("SELECT 1"), UsageError);
}

TEST(AsyncClient, MayBeClosedOrDestroyedInACallback) {
  TransportRig rig({answer_all(http_response(200, "1"))}, no_session());
  auto client = std::make_unique<AsyncClient>(rig.client);
  std::promise<bool> refused;
  client->raw_query("SELECT 1", {}, [&](auto) {
    bool threw = false;
    try {
      client->close();
    } catch (const UsageError&) {
      threw = true;
    }
    client.reset();
    refused.set_value(threw);
  });
  EXPECT_TRUE(refused.get_future().get());
}

// Runs everything on one thread of the test's own.
class OneThread final : public Executor {
 public:
  void post(std::function<void()> task) override {
    ++posted;
    thread = std::thread(std::move(task));
  }
  int posted = 0;
  std::thread thread;
};

TEST(AsyncClient, RunsOnTheCallersExecutor) {
  TransportRig rig({answer_all(http_response(200, "1"))}, no_session());
  const auto executor = std::make_shared<OneThread>();
  AsyncClient client(rig.client, {.executor = executor});
  EXPECT_EQ(client.raw_query("SELECT 1").get(), "1");
  executor->thread.join();
  EXPECT_EQ(executor->posted, 1);
}

}  // namespace
}  // namespace millrace::test
