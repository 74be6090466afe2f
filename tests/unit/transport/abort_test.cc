// Stopping at once: abort() ends whatever the threads of a pool are blocked in. The scripted server
// never moves here, so a thread that abort() does not wake would stay until its deadline of
// minutes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/unit/transport/transport_rig.h"
#include "transport/http_exchange.h"
#include "transport/socket.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What `call` throws on a thread of its own, once `blocked()` holds and the pool is aborted.
template <class Blocked, class Call>
void expect_aborted(HttpSessionPool& pool, Blocked&& blocked, Call&& call) {
  auto ended = std::async(std::launch::async, [&] { thrown_by<AbortedError>(call); });
  EXPECT_TRUE(eventually(blocked, kPatience, "the call to block", milliseconds(1)));
  pool.abort();
  EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
  ended.get();
  EXPECT_TRUE(pool.aborted());
  EXPECT_EQ(pool.stats().open, 0u);
}

TEST(Abort, EndsASend) {
  Gate started, release;
  TransportRig rig({[&](auto& connection) {
    connection.read_header();
    started.open();
    release.wait();
  }});
  const std::string session = rig.client.session_id();
  std::atomic<bool> blocked{false};
  std::thread watch([&] { blocked = started.wait(); });
  expect_aborted(
      rig.pool, [&] { return blocked.load(); },
      [&] { rig.client.raw_insert("t", big_body(), with_token()); });
  watch.join();
  release.open();
  EXPECT_NE(rig.client.session_id(), session);
}

TEST(Abort, EndsAReceive) {
  Gate started;
  TransportRig rig({[&](auto& connection) {
    connection.read_request();
    started.open();
    connection.wait_for_close();
  }});
  std::atomic<bool> blocked{false};
  std::thread watch([&] { blocked = started.wait(); });
  expect_aborted(
      rig.pool, [&] { return blocked.load(); }, [&] { rig.client.raw_query("SELECT 1"); });
  watch.join();
  EXPECT_TRUE(rig.server.wait_ended(0).client_closed);
}

TEST(Abort, EndsAConnect) {
  const FullListener nobody;
  HttpSessionPoolOptions options;
  options.connect_timeout = seconds(60);
  HttpSessionPool pool(options);
  EndpointList endpoints({nobody.endpoint()});
  Client client({}, endpoints, pool);
  expect_aborted(
      pool, [&] { return pool.stats().open == 1; }, [&] { client.ping(); });
}

TEST(Abort, EndsAWaitForASession) {
  ScriptedServer server({hold()});
  HttpSessionPoolOptions options;
  options.soft_limit = options.hard_limit = options.store_limit = 1;
  options.acquire_timeout = seconds(60);
  HttpSessionPool pool(options);
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  {
    std::optional<HttpSessionLease> lease = pool.acquire(server.endpoint(), deadline);
    auto ended = std::async(std::launch::async, [&] {
      thrown_by<AbortedError>([&] { pool.acquire(server.endpoint(), deadline); });
    });
    EXPECT_TRUE(eventually([&] { return pool.stats().waiting == 1; }, kPatience, "a waiter",
                           milliseconds(1)));
    pool.abort();
    EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
  }
  EXPECT_EQ(pool.stats().open, 0u);
}

TEST(Abort, RefusesWhatComesLater) {
  TransportRig rig({answer_all(http_response(200, ""))});
  rig.client.raw_insert("t", "{}", with_token());
  rig.pool.abort();
  EXPECT_EQ(rig.pool.stats().idle, 0u);
  const auto error =
      thrown_by<AbortedError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->may_have_been_applied());
}

// A descriptor number that the pool has closed may be anybody's the next moment: abort() must shut
// down only what is still the pool's.
TEST(Abort, NeverTouchesADescriptorThatIsNoLongerThePools) {
  ScriptedServer server({answer_all(http_response(200, "", "Connection: close\r\n"))});
  EndpointList endpoints({server.endpoint()});
  std::atomic<bool> stop{false};
  std::atomic<int> broken{0}, pairs{0};
  std::thread bystander([&] {
    while (!stop) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) continue;
      char byte = 'x';
      const bool well =
          ::send(ends[0], &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(ends[1], &byte, 1, 0) == 1;
      if (!well) ++broken;
      ++pairs;
      ::close(ends[0]);
      ::close(ends[1]);
    }
  });
  for (int round = 0; round < 20; ++round) {
    HttpSessionPool pool;
    std::vector<std::thread> threads;
    threads.reserve(4);
    std::atomic<int> requests{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        Client client({}, endpoints, pool);
        try {
          for (;;) {
            client.raw_insert("t", "{}", with_token());
            ++requests;
          }
        } catch (const AbortedError&) {
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return requests > 20; }, kPatience, "requests", milliseconds(1)));
    pool.abort();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pool.stats().open, 0u);
  }
  stop = true;
  bystander.join();
  EXPECT_EQ(broken, 0);
  EXPECT_GT(pairs, 0);
}

TEST(Abort, RefusesASocketThatComesTooLate) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const auto registry = std::make_shared<SocketRegistry>();
  registry->abort();
  EXPECT_THROW(Socket(registry, ends[0]), AbortedError);
  char byte = 0;
  EXPECT_EQ(::recv(ends[1], &byte, 1, MSG_DONTWAIT), 0) << "and closes it";
  ::close(ends[1]);
}

// Sending on a socket that abort() shut down is EPIPE, and SIGPIPE if nobody takes care.
TEST(Signals, ABrokenPipeIsAnErrorAndNotTheEndOfTheProcess) {
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  struct sigaction default_action {
  }, old_action{};
  default_action.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGPIPE, &default_action, &old_action), 0);
  ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &pipe_signal, &before), 0);  // Poco blocks it
  TransportRig rig({hold()});
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  auto lease = rig.pool.acquire(rig.server.endpoint(), deadline);
  rig.pool.abort();
  const auto error = thrown_by<NetworkError>([&] {
    HttpExchange exchange(lease.session(), {.deadline = deadline});
    exchange.send({.target = "/"});
    exchange.receive_head();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::sigaction(SIGPIPE, &old_action, nullptr);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kClosed);
}

TEST(ChildProcesses, InheritNoConnection) {
  TransportRig rig({hold()});
  const auto lease =
      rig.pool.acquire(rig.server.endpoint(), std::chrono::steady_clock::now() + seconds(20));
  int found = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 ||
        peer.sin_family != AF_INET || ntohs(peer.sin_port) != rig.server.endpoint().port) {
      continue;
    }
    ++found;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace millrace::test
