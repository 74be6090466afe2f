// Limits, waiting, order and counters. Leases here carry no request: keep() stands for a good end.
#include "transport/http_session_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <future>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <tuple>

#include "tests/support/eventually.h"
#include "tests/unit/transport/transport_rig.h"
#include "transport/http_session.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Reason = HttpSessionCloseReason;

SteadyTime soon() { return std::chrono::steady_clock::now() + seconds(20); }

HttpSessionPoolOptions limits(std::size_t hard, std::size_t store) {
  HttpSessionPoolOptions options;
  options.soft_limit = hard;
  options.hard_limit = hard;
  options.store_limit = store;
  return options;
}

class Pool : public testing::Test {
 protected:
  HttpSessionLease acquire(HttpSessionPool& pool, bool fresh = false) {
    return pool.acquire(server_.endpoint(), soon(), fresh);
  }
  static std::uint64_t closed(const HttpSessionPool& pool, Reason reason) {
    return pool.stats().closed[static_cast<std::size_t>(reason)];
  }
  static void wait_for_waiters(const HttpSessionPool& pool, std::size_t count) {
    ASSERT_TRUE(eventually([&] { return pool.stats().waiting == count; }, kPatience, "a waiter",
                           milliseconds(1)));
  }
  std::thread acquire_in_thread(HttpSessionPool& pool, std::function<void(HttpSessionLease)> then) {
    return std::thread([this, &pool, then = std::move(then)] { then(acquire(pool)); });
  }

  ScriptedServer server_{{hold()}};
};

TEST_F(Pool, HandsOutTheLastUsedFirst) {
  HttpSessionPool pool(limits(3, 3));
  auto a = acquire(pool), b = acquire(pool), c = acquire(pool);
  const HttpSession *first = &a.session(), *second = &b.session(), *third = &c.session();
  std::move(b).keep();
  std::move(c).keep();
  std::move(a).keep();
  auto x = acquire(pool), y = acquire(pool), z = acquire(pool);
  EXPECT_EQ(&x.session(), first);
  EXPECT_EQ(&y.session(), third);
  EXPECT_EQ(&z.session(), second);
  EXPECT_TRUE(x.reused());
  EXPECT_EQ(pool.stats().created, 3u);
  EXPECT_EQ(pool.stats().reused, 3u);
}

TEST_F(Pool, AtTheHardLimitGivesUpAtTheAcquireTimeout) {
  HttpSessionPoolOptions options = limits(1, 1);
  options.acquire_timeout = milliseconds(30);
  HttpSessionPool pool(options);
  auto lease = acquire(pool);
  const auto error = thrown_by<PoolTimeoutError>([&] { acquire(pool); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), HasSubstr("hard_limit"));
  EXPECT_THAT(error->what(), HasSubstr(server_.endpoint().authority()));
  EXPECT_FALSE(error->may_have_been_applied());
  const auto stats = pool.stats();
  EXPECT_EQ(stats.acquire_timeouts, 1u);
  EXPECT_EQ(stats.waits, 1u);
  EXPECT_GT(stats.wait_seconds, 0);
  EXPECT_EQ(stats.waiting, 0u);
  EXPECT_EQ(stats.open, 1u);
}

TEST_F(Pool, AtTheHardLimitGivesUpAtTheRequestsDeadlineToo) {
  HttpSessionPool pool(limits(1, 1));
  auto lease = acquire(pool);
  EXPECT_THROW(pool.acquire(server_.endpoint(), std::chrono::steady_clock::now()),
               PoolTimeoutError);
}

TEST_F(Pool, ServesWaitersInTheOrderOfTheirArrival) {
  HttpSessionPool pool(limits(1, 1));
  std::optional<HttpSessionLease> lease = acquire(pool);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.push_back(acquire_in_thread(pool, [&, i](HttpSessionLease mine) {
      {
        const std::lock_guard lock(mutex);
        order.push_back(i);
      }
      std::move(mine).keep();
    }));
    wait_for_waiters(pool, static_cast<std::size_t>(i) + 1);
  }
  std::move(*lease).keep();
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(pool.stats().created, 1u) << "handed on, not reopened";
  EXPECT_EQ(pool.stats().waits, 4u);
}

TEST_F(Pool, AReturnedConnectionGoesToTheWaiterAndNotToALatecomer) {
  HttpSessionPool pool(limits(1, 1));
  std::optional<HttpSessionLease> lease = acquire(pool);
  std::promise<HttpSessionLease> got;
  std::thread waiter =
      acquire_in_thread(pool, [&](HttpSessionLease mine) { got.set_value(std::move(mine)); });
  wait_for_waiters(pool, 1);
  std::move(*lease).keep();
  EXPECT_THROW(pool.acquire(server_.endpoint(), std::chrono::steady_clock::now()),
               PoolTimeoutError);
  EXPECT_TRUE(got.get_future().get().reused());
  waiter.join();
}

TEST_F(Pool, AClosedConnectionLetsAWaiterOpenOne) {
  HttpSessionPool pool(limits(1, 1));
  std::optional<HttpSessionLease> lease = acquire(pool);
  std::promise<bool> reused;
  std::thread waiter =
      acquire_in_thread(pool, [&](HttpSessionLease mine) { reused.set_value(mine.reused()); });
  wait_for_waiters(pool, 1);
  lease.reset();  // neither kept nor closed: as after an exception
  EXPECT_FALSE(reused.get_future().get());
  waiter.join();
  EXPECT_EQ(pool.stats().created, 2u);
  EXPECT_EQ(closed(pool, Reason::kFailed), 2u);
  EXPECT_EQ(pool.stats().open, 0u);
}

TEST_F(Pool, AWaiterForAFreshConnectionGetsAFreshOne) {
  HttpSessionPool pool(limits(1, 1));
  std::optional<HttpSessionLease> lease = acquire(pool);
  std::promise<bool> reused;
  std::thread waiter([&] { reused.set_value(acquire(pool, true).reused()); });
  wait_for_waiters(pool, 1);
  std::move(*lease).keep();
  EXPECT_FALSE(reused.get_future().get());
  waiter.join();
}

TEST_F(Pool, AFreshOneTakesThePlaceOfAnIdleOneAtTheHardLimit) {
  HttpSessionPool pool(limits(1, 1));
  acquire(pool).keep();
  EXPECT_FALSE(acquire(pool, true).reused());
  EXPECT_EQ(closed(pool, Reason::kSurplus), 1u);
}

TEST_F(Pool, KeepsNoMoreThanTheStoreLimit) {
  HttpSessionPool pool(limits(3, 1));
  {
    auto a = acquire(pool), b = acquire(pool);
    std::move(a).keep();
    std::move(b).keep();
  }
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_EQ(closed(pool, Reason::kSurplus), 1u);
}

TEST_F(Pool, TheLimitsAreOfEachEndpoint) {
  ScriptedServer other({hold()});
  HttpSessionPool pool(limits(1, 1));
  auto here = acquire(pool);
  auto there = pool.acquire(other.endpoint(), soon());
  EXPECT_EQ(pool.stats().leased, 2u);
}

TEST_F(Pool, AFailedConnectGivesItsPlaceBack) {
  Endpoint nobody;
  {
    const ScriptedServer gone({hold()});
    nobody = gone.endpoint();
  }
  HttpSessionPool pool(limits(1, 1));
  for (int i = 0; i < 3; ++i) EXPECT_THROW(pool.acquire(nobody, soon()), NetworkError);
  EXPECT_EQ(pool.stats().connect_failures, 3u);
  EXPECT_EQ(pool.stats().open, 0u);
}

TEST_F(Pool, AnAddressThatDoesNotAnswerIsGivenUpAtTheConnectTimeout) {
  const FullListener nobody;
  HttpSessionPoolOptions options;
  options.connect_timeout = milliseconds(50);
  HttpSessionPool pool(options);
  const auto error = thrown_by<NetworkError>([&] { pool.acquire(nobody.endpoint(), soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kConnect);
}

TEST_F(Pool, AHostThatDoesNotResolveIsNamed) {
  Endpoint endpoint = server_.endpoint();
  endpoint.host = "no-such-host.invalid";
  HttpSessionPoolOptions options;
  options.connect_timeout = milliseconds(500);
  HttpSessionPool pool(options);
  const auto error = thrown_by<NetworkError>([&] { pool.acquire(endpoint, soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kConnect);
  EXPECT_THAT(error->what(), HasSubstr("no-such-host.invalid"));
}

TEST_F(Pool, ANameIsResolved) {
  Endpoint endpoint = server_.endpoint();
  endpoint.host = "localhost";  // on most machines ::1 first, where nobody listens
  HttpSessionPool pool;
  EXPECT_NO_THROW(pool.acquire(endpoint, soon()));
}

TEST_F(Pool, ForgetsEndpointsWithoutConnections) {
  ScriptedServer b({hold()}), c({hold()}), d({hold()});
  HttpSessionPoolOptions options;
  options.max_hosts = 2;
  HttpSessionPool pool(options);
  for (const ScriptedServer* const server : {&server_, &b, &c, &d}) {
    pool.acquire(server->endpoint(), soon()).close(Reason::kServerAsked);
    EXPECT_LE(pool.stats().hosts, 2u);
  }
  pool.acquire(b.endpoint(), soon()).keep();
  auto leased = pool.acquire(c.endpoint(), soon());
  acquire(pool).close(Reason::kServerAsked);
  EXPECT_EQ(pool.stats().hosts, 3u) << "those with connections stay";
  EXPECT_TRUE(pool.acquire(b.endpoint(), soon()).reused());
  EXPECT_EQ(pool.stats().leased, 1u);
}

TEST_F(Pool, AStopEndsTheWaitForAPlace) {
  HttpSessionPoolOptions options = limits(1, 1);
  options.acquire_timeout = seconds(60);
  HttpSessionPool pool(options);
  auto lease = acquire(pool);
  std::stop_source stop;
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  auto ended = std::async(std::launch::async, [&] {
    EXPECT_THROW(pool.acquire(server_.endpoint(), deadline, false, stop.get_token()), AbortedError);
  });
  wait_for_waiters(pool, 1);
  stop.request_stop();
  EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
  ended.get();
  EXPECT_EQ(pool.stats().waiting, 0u);
  EXPECT_EQ(pool.stats().acquire_timeouts, 0u);
  EXPECT_THROW(pool.acquire(server_.endpoint(), deadline, false, stop.get_token()), AbortedError);
}

TEST_F(Pool, AStopEndsConnecting) {
  const FullListener nobody;
  HttpSessionPoolOptions options;
  options.connect_timeout = seconds(60);
  HttpSessionPool pool(options);
  std::stop_source stop;
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  auto ended = std::async(std::launch::async, [&] {
    EXPECT_THROW(pool.acquire(nobody.endpoint(), deadline, false, stop.get_token()), AbortedError);
  });
  EXPECT_TRUE(
      eventually([&] { return pool.stats().open == 1; }, kPatience, "connecting", milliseconds(1)));
  stop.request_stop();
  EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
  ended.get();
  EXPECT_EQ(pool.stats().open, 0u);
}

TEST_F(Pool, SetsTheKeepAliveNumbersOfItsSockets) {
  const auto numbers = [&](const HttpSessionPoolOptions& options) {
    HttpSessionPool pool(options);
    auto lease = acquire(pool);
    const auto number = [&](int name) {
      int value = -1;
      socklen_t length = sizeof value;
      ::getsockopt(lease.session().fd(), IPPROTO_TCP, name, &value, &length);
      return value;
    };
    return std::vector{number(TCP_KEEPIDLE), number(TCP_KEEPINTVL), number(TCP_KEEPCNT)};
  };
  HttpSessionPoolOptions options;
  EXPECT_THAT(numbers(options), ElementsAre(30, 30, 3));
  options.tcp_keep_alive = seconds(7);
  EXPECT_THAT(numbers(options), ElementsAre(7, 7, 3));
  options.tcp_keep_alive_interval = seconds(5);
  options.tcp_keep_alive_count = 9;
  EXPECT_THAT(numbers(options), ElementsAre(7, 5, 9));
}

TEST_F(Pool, ClosingConnectionsEndsIdleOnesNowAndLeasedOnesWhenTheyReturn) {
  HttpSessionPool pool(limits(2, 2));
  auto leased = acquire(pool);
  acquire(pool).keep();
  EXPECT_EQ(pool.stats().idle, 1u);
  pool.close_connections();
  EXPECT_EQ(pool.stats().idle, 0u);
  std::move(leased).keep();
  EXPECT_EQ(pool.stats().idle, 0u);
  EXPECT_EQ(closed(pool, Reason::kDrained), 2u);
  acquire(pool).keep();
  EXPECT_EQ(pool.stats().idle, 1u) << "new ones are kept again";
}

TEST_F(Pool, ALeaseMayOutliveThePool) {
  std::optional<HttpSessionLease> lease;
  {
    HttpSessionPool pool;
    lease = acquire(pool);
  }
  std::move(*lease).keep();
  EXPECT_TRUE(server_.wait_ended(0).client_closed);
}

TEST_F(Pool, OptionsChangeWhileItRuns) {
  HttpSessionPool pool(limits(1, 1));
  auto first = acquire(pool);
  std::promise<HttpSessionLease> got;
  std::thread waiter =
      acquire_in_thread(pool, [&](HttpSessionLease mine) { got.set_value(std::move(mine)); });
  wait_for_waiters(pool, 1);
  pool.set_options(limits(2, 2));  // raised: the waiter gets a place at once
  auto second = got.get_future().get();
  waiter.join();
  pool.set_options(limits(1, 1));  // lowered: the surplus goes when it returns
  std::move(first).keep();
  EXPECT_EQ(pool.stats().open, 1u);
  std::move(second).keep();
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_EQ(closed(pool, Reason::kSurplus), 1u);
  pool.set_options(limits(1, 0));
  EXPECT_EQ(pool.stats().idle, 0u);
}

TEST(PoolOptions, EachLimitMayBeGivenAlone) {
  const auto made = [](HttpSessionPoolOptions options) {
    options = HttpSessionPool(options).options();
    return std::tuple(options.soft_limit, options.hard_limit, options.store_limit);
  };
  EXPECT_EQ(made({}), std::tuple(32u, 64u, 32u));
  EXPECT_EQ(made({.store_limit = 100}), std::tuple(32u, 100u, 100u));
  EXPECT_EQ(made({.soft_limit = 100}), std::tuple(100u, 100u, 32u));
  EXPECT_EQ(made({.hard_limit = 4}), std::tuple(4u, 4u, 4u));
  EXPECT_EQ(made({.hard_limit = 16, .store_limit = 8}), std::tuple(16u, 16u, 8u));
}

TEST(PoolOptions, ContradictionsAreRefusedByName) {
  const auto refused = [](auto change) {
    HttpSessionPoolOptions options;
    change(options);
    try {
      HttpSessionPool pool(options);
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refused([](auto& o) { o.hard_limit = 0; }), HasSubstr("hard_limit"));
  EXPECT_THAT(refused([](auto& o) { o.soft_limit = 66, o.hard_limit = 65; }),
              HasSubstr("soft_limit"));
  EXPECT_THAT(refused([](auto& o) { o.store_limit = 66, o.hard_limit = 65; }),
              HasSubstr("store_limit"));
  EXPECT_THAT(refused([](auto& o) { o.http_proxy = "ftp://x"; }), HasSubstr("proxy"));
  EXPECT_THAT(refused([](auto& o) { o.acquire_timeout = {}; }), HasSubstr("acquire_timeout"));
  EXPECT_THAT(refused([](auto& o) { o.idle_timeout = {}; }), HasSubstr("idle_timeout"));
  EXPECT_THAT(refused([](auto& o) { o.max_age = milliseconds(-1); }), HasSubstr("max_age"));
  EXPECT_THAT(refused([](auto& o) { o.max_hosts = 0; }), HasSubstr("max_hosts"));
  EXPECT_THAT(refused([](auto& o) { o.tcp_keep_alive_count = 0; }), HasSubstr("keep_alive_count"));
  EXPECT_EQ(refused([](auto& o) { o.max_age = {}; }), "accepted");
}

TEST(PoolUnderLoad, NeverExceedsTheHardLimitAndLosesNoPlace) {
  // Each connection answers 20 requests and then closes without a warning.
  ScriptedServer server({[](ScriptedConnection& connection) {
    for (int i = 0; i < 20; ++i) {
      connection.read_request();
      connection.send(http_response(200, ""));
    }
  }});
  HttpSessionPool pool(limits(3, 3));
  EndpointList endpoints({server.endpoint()});
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      Client client({}, endpoints, pool);
      for (int i = 0; i < 100; ++i) {
        client.raw_insert("t", "{}", with_token());
        EXPECT_LE(pool.stats().open, 3u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto stats = pool.stats();
  EXPECT_EQ(stats.leased, 0u);
  EXPECT_EQ(stats.waiting, 0u);
  EXPECT_EQ(stats.open, stats.idle);
  EXPECT_EQ(stats.created, server.accepted());
  EXPECT_GT(stats.waits, 0u);
}

}  // namespace
}  // namespace millrace::test
