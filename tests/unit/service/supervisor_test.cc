#include "service/supervisor.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "tests/support/files.h"

namespace millrace {
namespace {

using testing::StartsWith;
using namespace std::chrono_literals;

// The socket of a supervisor, in a folder of its own.
class Listener {
 public:
  Listener() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string text = path();
    std::memcpy(address.sun_path, text.data(), text.size());
    const timeval limit{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bound_ = ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool bound() const { return bound_; }
  std::string path() const { return (folder_ / "notify").string(); }
  std::string next() {
    char buffer[256];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    return got < 0 ? "nothing came" : std::string(buffer, static_cast<std::size_t>(got));
  }
  bool empty() {
    char byte = 0;
    return ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
  }

 private:
  const test::TempDir folder_{"notify"};
  const int fd_;
  bool bound_ = false;
};

TEST(Supervisor, IsToldEachState) {
  Listener listener;
  ASSERT_TRUE(listener.bound());
  const Supervisor supervisor(listener.path(), 0us);
  supervisor.ready();
  EXPECT_EQ(listener.next(), "READY=1");
  supervisor.reloading();
  EXPECT_THAT(listener.next(), StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  supervisor.stopping();
  EXPECT_EQ(listener.next(), "STOPPING=1");
}

TEST(Supervisor, GetsSignsOfLifeAsLongAsThereIsLife) {
  Listener listener;
  Supervisor supervisor(listener.path(), 2ms);
  std::atomic<bool> alive = true;
  std::atomic<int> asked_when_dead = 0;
  supervisor.start_watchdog([&] {
    if (!alive) ++asked_when_dead;
    return alive.load();
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(listener.next(), "WATCHDOG=1");
  alive = false;
  while (asked_when_dead < 2) std::this_thread::yield();
  while (!listener.empty()) listener.next();  // those from before
  const int asked = asked_when_dead;
  while (asked_when_dead < asked + 2) std::this_thread::yield();
  EXPECT_TRUE(listener.empty());
  supervisor.stop();
}

TEST(Supervisor, OneThatIsNotThereIsNoFault) {
  for (const std::string& path :
       {std::string(), std::string("/nowhere/notify"), std::string("@x"), std::string(200, 'x')}) {
    Supervisor supervisor(path, 1us);
    supervisor.ready();
    supervisor.start_watchdog([] { return true; });
  }
}

}  // namespace
}  // namespace millrace
