// A forked child and its parent do not meet on a connection, and no lock stays behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/tls_authority.h"
#include "tests/support/tls_front.h"
#include "tests/unit/transport/connect_rig.h"
#include "transport/client.h"
#include "transport/common_settings.h"
#include "transport/session_lock.h"

namespace millrace::test {
namespace {

const std::string kOk = http_response(200, "fine");

// A forked process that runs `work`, which says whether all was well. No gtest in there.
class Child {
 public:
  explicit Child(const std::function<bool()>& work) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::alarm(60);  // ends it if it hangs
    bool well = false;
    try {
      well = work();
    } catch (const std::exception& e) {
      (void)!::write(STDERR_FILENO, e.what(), std::string_view(e.what()).size());
    }
    ::_exit(well ? 0 : 1);
  }
  ~Child() {
    if (pid_ > 0 && !waited_) wait();
  }
  bool wait() {
    waited_ = true;
    int status = -1;
    return ::waitpid(pid_, &status, 0) == pid_ && status == 0;
  }

 private:
  pid_t pid_;
  bool waited_ = false;
};

// A plain server, and one behind TLS, in a process of their own. Their threads must not be in this
// one: what a thread was about in malloc or OpenSSL when another one forks is lost in the child,
// unless it asked for a ForkHold as ours do.
class Servers {
 public:
  explicit Servers(const TestAuthority::Identity& identity) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::bad_alloc();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      serve(ends[1], identity);
      ::_exit(0);
    }
    ::close(ends[1]);
    control_ = ends[0];
    now_ = ask();
  }
  ~Servers() {
    ::close(control_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

  Endpoint plain() const { return {.host = "127.0.0.1", .port = now_.plain_port}; }
  Endpoint tls() const { return {.host = "127.0.0.1", .port = now_.tls_port, .secure = true}; }
  std::size_t accepted() const { return ask().accepted; }  // of both

 private:
  struct State {
    std::uint16_t plain_port = 0, tls_port = 0;
    std::size_t accepted = 0;
  };
  static void serve(int control, const TestAuthority::Identity& identity) {
    const ScriptedServer server({answer_all(kOk)});
    const TlsFront front(server.endpoint().port, {.identity = identity});
    char question = 0;
    while (::read(control, &question, 1) == 1) {
      const State state{server.endpoint().port, front.port(), server.accepted()};
      if (::write(control, &state, sizeof state) != sizeof state) return;
    }
  }
  State ask() const {
    State state;
    if (::write(control_, "?", 1) != 1 || ::read(control_, &state, sizeof state) != sizeof state) {
      throw std::runtime_error("the servers are gone");
    }
    return state;
  }

  pid_t pid_ = -1;
  int control_ = -1;
  State now_;
};

class Fork : public testing::Test {
 protected:
  HttpSessionPoolOptions options() const {
    HttpSessionPoolOptions result;
    result.tls.ca_cert = authority_.certificate();
    return result;
  }

  TestAuthority authority_;
  Servers servers_{authority_.issue()};
  HttpSessionPool pool_{options()};
};

TEST_F(Fork, TheChildOpensItsOwnConnectionAndTheParentKeepsIts) {
  std::size_t accepted = 0;
  for (const Endpoint& endpoint : {servers_.plain(), servers_.tls()}) {
    request(pool_, endpoint);
    const auto parents = pool_.stats();
    Child child([&] {
      const auto before = pool_.stats();
      const bool fine = request(pool_, endpoint).body == "fine";
      const auto after = pool_.stats();
      // Ends all it has, in all ways there are.
      pool_.close_connections();
      pool_.abort();
      return fine && before.open == 0 && before.created == 0 && after.created == 1 &&
             after.reused == 0 && after.idle == 1;
    });
    EXPECT_TRUE(child.wait());
    EXPECT_EQ(request(pool_, endpoint).body, "fine");
    EXPECT_EQ(pool_.stats().reused, parents.reused + 1);
    accepted += 2;
    EXPECT_EQ(servers_.accepted(), accepted);
  }
}

TEST_F(Fork, ALeaseInTheChildIsADeadEndAndHarmless) {
  for (const Endpoint& endpoint : {servers_.plain(), servers_.tls()}) {
    std::optional<HttpSessionLease> kept = pool_.acquire(endpoint, soon());
    std::optional<HttpSessionLease> dropped = pool_.acquire(endpoint, soon());
    Child child([&] {
      bool refused = false;
      try {
        post(dropped->session(), {});
      } catch (const NetworkError&) {
        refused = true;
      }
      dropped->session().shut_down();
      dropped.reset();
      std::move(*kept).keep();
      kept.reset();
      const auto stats = pool_.stats();
      return refused && stats.open == 0 && stats.leased == 0 && stats.idle == 0 &&
             stats.closed == HttpSessionPoolStats().closed;
    });
    EXPECT_TRUE(child.wait());
    EXPECT_EQ(post(dropped->session(), {}).body, "fine");
    EXPECT_EQ(post(kept->session(), {}).body, "fine");
    EXPECT_EQ(pool_.stats().leased, 2u);
  }
}

// Once they run, the busy threads allocate nothing outside a ForkHold: AddressSanitizer's allocator
// has locks, too.
TEST_F(Fork, WhileOtherThreadsUseThePoolLeavesNoLockBehind) {
  auto tls = pool_.acquire(servers_.tls(), soon());
  std::atomic<bool> stop{false};
  std::atomic<int> running{0};
  std::vector<std::thread> threads;
  const auto keep_busy = [&](std::function<void()> work) {
    threads.emplace_back([&stop, &running, work = std::move(work)] {
      work();
      for (++running; !stop;) work();
    });
  };
  for (int i = 0; i < 2; ++i) keep_busy([&] { pool_.stats(); });
  keep_busy([&] { tls.session().silent(); });
  ASSERT_TRUE(eventually([&] { return running == 3; }, kPatience, "the threads to run"));
  for (int i = 0; i < 20; ++i) {
    Child child([&] {
      const auto stats = pool_.stats();
      return stats.open == 0 && stats.leased == 0 && default_pool() != nullptr &&
             request(pool_, servers_.plain()).body == "fine" &&
             request(pool_, servers_.tls()).body == "fine";
    });
    EXPECT_TRUE(child.wait());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_.stats().leased, 1u);
  EXPECT_TRUE(tls.session().silent());
}

// Its locks are free in the child, whatever threads of the parent were about.
TEST_F(Fork, SessionsThatAreBusyInTheParentAreFreeInTheChild) {
  SessionLock held = SessionLock::take("held", {});
  std::atomic<bool> stop{false};
  std::atomic<bool> running{false};
  std::thread busy([&] {
    const std::string id = "busy";
    while (!stop) {
      const SessionLock lock = SessionLock::take(id, std::chrono::seconds(60));
      common::get_setting("max_error_size");
      running = true;
    }
  });
  ASSERT_TRUE(eventually([&] { return running.load(); }, kPatience, "the thread to run"));
  for (int i = 0; i < 20; ++i) {
    Child child([&] {
      {
        const SessionLock mine = SessionLock::take("held", {});
        held.release();  // the parent's: not this one
        try {
          SessionLock::take("held", std::chrono::milliseconds(1));
          return false;
        } catch (const SessionBusyError&) {
        }
      }
      common::set_setting("product_name", "child");
      for (const char* id : {"held", "busy"})
        SessionLock::take(id, {});  // throws if it is not free
      return true;
    });
    EXPECT_TRUE(child.wait());
  }
  stop = true;
  busy.join();
  EXPECT_THROW(SessionLock::take("held", {}), SessionBusyError);
}

TEST_F(Fork, AClientHasAnotherSessionInTheChild) {
  EndpointList endpoints({servers_.plain()});
  Client client({}, endpoints, pool_);
  ASSERT_EQ(client.raw_query("SELECT 1"), "fine");
  const std::string parents = client.session_id();
  Child child([&] {
    const std::string mine = client.session_id();
    return mine != parents && client.raw_query("SELECT 1") == "fine" && client.session_id() == mine;
  });
  EXPECT_TRUE(child.wait());
  EXPECT_EQ(client.session_id(), parents);
}

TEST(DefaultPool, IsOneInAProcessAndAnotherInAChild) {
  const auto pool = default_pool();
  EXPECT_EQ(pool, default_pool());
  EXPECT_EQ(pool->options().store_limit, 8u);
  EXPECT_TRUE(pool->options().proxy_from_environment);
  pool->abort();
  Child child([&] {
    const auto mine = default_pool();
    return mine != pool && mine == default_pool() && !mine->aborted();
  });
  EXPECT_TRUE(child.wait());
  EXPECT_EQ(pool, default_pool());
}

}  // namespace
}  // namespace millrace::test
