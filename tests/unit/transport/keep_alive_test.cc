// Which connections come back, by what the server said and by time.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/transport/transport_rig.h"
#include "transport/http_exchange.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Reason = HttpSessionCloseReason;

// A clock that moves when told. Thread-safe.
class FakeClock {
 public:
  void advance(milliseconds by) { now_ms_ += by.count(); }
  std::function<SteadyTime()> reader() {
    return [this] { return SteadyTime(milliseconds(now_ms_.load())); };
  }

 private:
  std::atomic<std::int64_t> now_ms_{1'000'000};
};

class KeepAlive : public testing::Test {
 protected:
  // The connection that `response` leaves behind is in the pool, or it is not.
  void answer(const std::string& response, const HttpSessionPoolOptions& options = {}) {
    server_.emplace(std::vector{answer_all(response)});
    pool_.emplace(options, clock_.reader());
  }
  void request() {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    auto lease = pool_->acquire(server_->endpoint(), deadline);
    bool reusable = false;
    {
      HttpExchange exchange(lease.session(), {.deadline = deadline});
      exchange.send({.target = "/"});
      exchange.receive_head();
      while (!exchange.read().empty()) {
      }
      reusable = exchange.reusable();
    }
    if (reusable) {
      std::move(lease).keep();
    } else {
      std::move(lease).close(Reason::kServerAsked);
    }
  }
  std::uint64_t closed(Reason reason) {
    return pool_->stats().closed[static_cast<std::size_t>(reason)];
  }

  FakeClock clock_;
  std::optional<ScriptedServer> server_;
  std::optional<HttpSessionPool> pool_;
};

TEST_F(KeepAlive, IdleTimeEndsAtFourFifthsOfWhatTheServerAnnounces) {
  for (const int announced : {3, 30}) {
    answer(http_response(200, "", "Keep-Alive: timeout=" + std::to_string(announced) + "\r\n"));
    request();
    clock_.advance(milliseconds(announced * 800 - 1));
    request();
    EXPECT_EQ(server_->accepted(), 1u) << announced;
    clock_.advance(milliseconds(announced * 800));
    request();
    EXPECT_EQ(server_->accepted(), 2u) << announced;
    EXPECT_EQ(closed(Reason::kIdle), 1u) << announced;
  }
}

TEST_F(KeepAlive, OurOwnIdleTimeHoldsWhenItIsShorter) {
  HttpSessionPoolOptions options;
  options.idle_timeout = seconds(5);
  answer(http_response(200, "", "Keep-Alive: timeout=30\r\n"), options);
  request();
  clock_.advance(milliseconds(4'999));
  EXPECT_EQ(pool_->stats().idle, 1u);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(pool_->stats().idle, 0u) << "stats alone closes what expired";
}

TEST_F(KeepAlive, AboveTheSoftLimitIdleTimeShrinksToAnEighth) {
  HttpSessionPoolOptions options;
  options.soft_limit = 0;
  options.idle_timeout = milliseconds(800);
  answer(http_response(200, ""), options);
  request();
  clock_.advance(milliseconds(99));
  EXPECT_EQ(pool_->stats().idle, 1u);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(pool_->stats().idle, 0u);
}

TEST_F(KeepAlive, TheLastRequestThatTheServerAllowsIsTheLast) {
  server_.emplace(std::vector<ScriptedServer::Script>{[](auto& connection) {
    connection.read_request();
    connection.send(http_response(200, "", "Keep-Alive: timeout=30, max=1\r\n"));
    connection.read_request();
    connection.send(http_response(200, "", "Keep-Alive: timeout=30, max=0\r\n"));
    connection.wait_for_close();
  }});
  pool_.emplace(HttpSessionPoolOptions(), clock_.reader());
  request();
  EXPECT_EQ(pool_->stats().idle, 1u);
  request();
  EXPECT_EQ(pool_->stats().idle, 0u);
  EXPECT_EQ(closed(Reason::kServerAsked), 1u);
}

TEST_F(KeepAlive, ConnectionsEndAtTheirMaximumAgeHoweverBusy) {
  HttpSessionPoolOptions options;
  options.max_age = seconds(100);
  answer(http_response(200, ""), options);
  request();
  for (int i = 0; i < 8; ++i) {  // 88 s: below the age minus 10 %
    clock_.advance(seconds(11));
    request();
  }
  EXPECT_EQ(server_->accepted(), 1u);
  clock_.advance(seconds(22));  // 110 s: above the age plus 10 %
  request();
  EXPECT_EQ(server_->accepted(), 2u);
  EXPECT_EQ(closed(Reason::kAge), 1u);
}

TEST_F(KeepAlive, AServerThatClosesOrCannotKeepIsBelieved) {
  for (const std::string& response :
       {http_response(200, "", "Connection: close\r\n"),
        std::string("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")}) {
    answer(response);
    request();
    request();
    EXPECT_EQ(server_->accepted(), 2u) << response;
    EXPECT_EQ(closed(Reason::kServerAsked), 2u) << response;
    EXPECT_EQ(pool_->stats().open, 0u) << response;
  }
}

TEST_F(KeepAlive, NoConnectionIsOpenedBehindThePoolsBack) {
  answer(http_response(200, ""));
  for (int i = 0; i < 100; ++i) request();
  EXPECT_EQ(server_->accepted(), pool_->stats().created);
  EXPECT_EQ(pool_->stats().reused, 99u);
}

}  // namespace
}  // namespace millrace::test
