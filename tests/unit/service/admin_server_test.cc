#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <thread>

#include "tests/unit/service/admin_server_rig.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using namespace std::chrono_literals;

TEST_F(AdminServerTest, ServesEachPageWithItsType) {
  start(handlers());
  const std::string metrics = get("/metrics");
  EXPECT_THAT(metrics, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                             HasSubstr("Content-Type: text/plain; version=0.0.4"),
                             HasSubstr("Content-Length: 5\r\n"), HasSubstr("Connection: Close")));
  EXPECT_EQ(body_of(metrics), "up 1\n");
  EXPECT_THAT(get("/status"),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Type: application/json\r\n")));
  EXPECT_EQ(body_of(get("/status?pretty=1")), "{}");
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
  EXPECT_EQ(body_of(get("/readyz")), "ready\n");
  EXPECT_THAT(get("/"), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Type: text/html"),
                              HasSubstr("href=\"metrics\""), HasSubstr("href=\"status\"")));
}

// Nothing from elsewhere, nothing inline.
TEST_F(AdminServerTest, ThePageMayLoadItsOwnFilesOnly) {
  start(handlers());
  const std::string page = get("/");
  EXPECT_THAT(page,
              AllOf(HasSubstr("Content-Security-Policy: default-src 'none'; "),
                    Not(HasSubstr("unsafe")), Not(HasSubstr("<style")), Not(HasSubstr("style=")),
                    Not(HasSubstr("src=\"http")), Not(HasSubstr("href=\"http"))));
  EXPECT_THAT(get("/page.css"), HasSubstr("Content-Type: text/css"));
  for (const char* script : {"/page.js", "/rates.js", "/view.js"}) {
    EXPECT_THAT(get(script), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("text/javascript"),
                                   Not(HasSubstr("innerHTML")), Not(HasSubstr("insertAdjacent"))))
        << script;
  }
}

// Many a client gives up a reply that a reset follows.
TEST_F(AdminServerTest, ABodyThatNobodyNeedsCostsNoReply) {
  constexpr std::size_t kMostBytes = 65536;
  AdminHandlers with = handlers();
  std::atomic<int> drained = 0;
  with.actions.drain = [&] { ++drained; };
  start(with);
  const auto post = [&](std::size_t bytes) {
    Peer peer(server->port());
    peer.send("POST /drain HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(bytes) +
              "\r\n\r\n" + std::string(bytes, ' '));
    std::string reply = peer.receive();
    EXPECT_TRUE(bytes > kMostBytes || !peer.was_reset());
    return reply;
  };
  EXPECT_THAT(post(kMostBytes), StartsWith("HTTP/1.1 202 "));
  EXPECT_EQ(drained, 1);
  EXPECT_THAT(post(kMostBytes + 1), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(drained, 1);
}

TEST_F(AdminServerTest, HeadIsGetWithoutTheBody) {
  start(handlers());
  const std::string head = request(server->port(), "HEAD", "/metrics");
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Length: 5\r\n")));
  EXPECT_EQ(body_of(head), "");
}

TEST_F(AdminServerTest, AnUnknownPathIs404AndListsWhatThereIs) {
  start(handlers());
  for (const char* path : {"/metricsx", "/livez/", "/../status", "//"}) {
    const std::string response = get(path);
    EXPECT_THAT(response, StartsWith("HTTP/1.1 404 ")) << path;
    EXPECT_THAT(body_of(response), AllOf(HasSubstr("/metrics\n"), HasSubstr("/readyz\n"))) << path;
  }
}

TEST_F(AdminServerTest, OtherMethodsAre405AndSayWhichAreAllowed) {
  start(handlers());
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
    EXPECT_THAT(request(server->port(), method, "/status"),
                AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
}

TEST_F(AdminServerTest, ActionsAreTakenByPostOnly) {
  int drains = 0;
  AdminHandlers acting = handlers();
  acting.actions.drain = [&] { ++drains; };
  start(acting);
  EXPECT_THAT(get("/drain"), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: POST\r\n")));
  EXPECT_THAT(request(server->port(), "DELETE", "/drain"), StartsWith("HTTP/1.1 405 "));
  EXPECT_EQ(drains, 0);
  EXPECT_THAT(request(server->port(), "POST", "/drain"),
              AllOf(StartsWith("HTTP/1.1 202 "), HasSubstr("application/json")));
  EXPECT_EQ(drains, 1);
}

TEST_F(AdminServerTest, AnActionGetsTheQueryOfItsRequest) {
  std::string level;
  AdminHandlers acting = handlers();
  acting.actions.set_log_level = [&](const std::string& wanted) { level = wanted; };
  start(acting);
  EXPECT_EQ(body_of(request(server->port(), "POST", "/log-level?level=de%62ug")),
            "{\"level\":\"debug\"}\n");
  EXPECT_EQ(level, "debug");
}

TEST_F(AdminServerTest, AnActionWithoutItsTokenIs401AndChangesNothing) {
  bool drained = false;
  AdminHandlers guarded = handlers();
  guarded.actions.token = [] { return std::string("t0ken"); };
  guarded.actions.drain = [&] { drained = true; };
  start(guarded);
  EXPECT_THAT(request(server->port(), "POST", "/drain"),
              AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("WWW-Authenticate: Bearer\r\n")));
  EXPECT_FALSE(drained);
  Peer peer(server->port());
  peer.send("POST /drain HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer t0ken\r\n\r\n");
  EXPECT_THAT(peer.receive(), StartsWith("HTTP/1.1 202 "));
  EXPECT_TRUE(drained);
  EXPECT_EQ(body_of(get("/livez")), "ok\n") << "pages need no token";
}

TEST_F(AdminServerTest, AWebPageIsTurnedAway) {
  bool drained = false;
  AdminHandlers acting = handlers();
  acting.actions.drain = [&] { drained = true; };
  start(acting);
  Peer peer(server->port());
  peer.send("POST /drain HTTP/1.1\r\nHost: test\r\nOrigin: http://evil.example\r\n\r\n");
  EXPECT_THAT(peer.receive(), StartsWith("HTTP/1.1 403 "));
  EXPECT_FALSE(drained);
}

TEST_F(AdminServerTest, FaultsAndReasonsAre503WithOneALine) {
  AdminHandlers bad = handlers();
  bad.live_faults = [] { return std::vector<std::string>{"worker 2 died"}; };
  bad.ready_reasons = [] { return std::vector<std::string>{"ClickHouse: refused", "draining"}; };
  start(bad);
  EXPECT_THAT(get("/livez"), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(body_of(get("/livez")), "worker 2 died\n");
  EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(body_of(get("/readyz")), "ClickHouse: refused\ndraining\n");
}

TEST_F(AdminServerTest, AHandlerThatThrowsIs500AndTheServerGoesOn) {
  AdminHandlers bad = handlers();
  bad.metrics = []() -> std::string { throw std::runtime_error("boom"); };
  start(bad);
  for (int i = 0; i < 10; ++i) {  // more than there are threads
    EXPECT_THAT(get("/metrics"), AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("boom")));
  }
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
}

TEST_F(AdminServerTest, WhatIsNoHttpIsRefusedAndTheServerGoesOn) {
  start(handlers(), 100ms);
  for (const std::string& garbage :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string(100'000, 'x'),
        std::string("\x16\x03\x01\x02\x00\x01\x00", 7),
        std::string("GET / HTTP/9.9\r\nA\r\n\r\n")}) {
    Peer peer(server->port());
    peer.send(garbage);
    EXPECT_THAT(peer.receive(), Not(StartsWith("HTTP/1.1 2")));
  }
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
}

TEST_F(AdminServerTest, ATakenAddressIsAnErrorThatNamesTheSetting) {
  start(handlers());
  AdminConfig taken = any_port();
  taken.port = server->port();
  AdminServer second(taken, handlers());
  try {
    second.start();
    FAIL() << "two servers on one port";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("admin.listen"),
                      HasSubstr("127.0.0.1:" + std::to_string(taken.port)), HasSubstr("in use")));
  }
}

TEST_F(AdminServerTest, AnAddressThatIsNotOursIsAnErrorThatNamesTheSetting) {
  AdminConfig foreign = any_port();
  foreign.host = "203.0.113.1";  // RFC 5737: nobody's
  AdminServer wrong(foreign, handlers());
  try {
    wrong.start();
    FAIL() << "listens on an address that this machine does not have";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("admin.listen: cannot listen on 203.0.113.1:0"));
  }
}

TEST_F(AdminServerTest, AnswersManyClientsAtOnce) {
  start(handlers());
  std::atomic<int> right = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        if (body_of(get("/metrics")) == "up 1\n") ++right;
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(right, 400);
}

TEST_F(AdminServerTest, ClientsThatSayNothingDoNotBlockOthers) {
  start(handlers(), 1s);
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 12; ++i) {  // three times the threads
    silent.push_back(std::make_unique<Peer>(server->port()));
    if (i % 2 == 1) silent.back()->send("GET /metr");
  }
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
}

TEST_F(AdminServerTest, ClientsThatTrickleDoNotBlockOthers) {
  start(handlers(), 1s);
  std::atomic<bool> answered = false;
  std::vector<std::thread> trickling;
  std::latch started(8);
  for (int i = 0; i < 8; ++i) {
    trickling.emplace_back([&] {
      Peer peer(server->port());
      peer.send("GET /metrics HTTP/1.1\r\nX-Slow: ");
      started.count_down();
      // A byte every few milliseconds: each read of the server succeeds in time.
      while (!answered && peer.send("x")) std::this_thread::sleep_for(5ms);
    });
  }
  started.wait();
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
  answered = true;
  for (auto& client : trickling) client.join();
}

TEST_F(AdminServerTest, AClientThatDoesNotReadIsCut) {
  AdminHandlers large = handlers();
  large.metrics = [] { return std::string(64u << 20, 'x'); };  // more than the kernel keeps for it
  start(large, 1s);
  std::vector<std::unique_ptr<Peer>> deaf;
  for (int i = 0; i < 4; ++i) {  // all threads
    deaf.push_back(std::make_unique<Peer>(server->port()));
    deaf.back()->send("GET /metrics HTTP/1.1\r\n\r\n");
  }
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
}

TEST_F(AdminServerTest, StopLetsARunningHandlerEndAndClosesThePort) {
  std::latch running(1), go_on(1);
  AdminHandlers slow = handlers();
  std::atomic<bool> ended = false;
  slow.metrics = [&] {
    running.count_down();
    go_on.wait();
    ended = true;
    return std::string("late\n");
  };
  start(slow);
  const std::uint16_t port = server->port();
  auto answer = std::async(std::launch::async, [&] { return request(port, "GET", "/metrics"); });
  running.wait();
  auto stopped = std::async(std::launch::async, [&] {
    server->stop();
    return ended.load();
  });
  go_on.count_down();
  EXPECT_TRUE(stopped.get()) << "stop() returned while a handler ran";
  answer.get();  // cut or late: but it ends
  EXPECT_FALSE(Peer(port).connected());
}

TEST_F(AdminServerTest, StopDoesNotWaitForClients) {
  start(handlers(), 1h);
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(std::make_unique<Peer>(server->port()));
  silent.front()->send("GET /met");
  server->stop();
  for (auto& peer : silent) EXPECT_EQ(peer->receive(), "");
}

TEST_F(AdminServerTest, StopIsSafeFromManyThreadsAndBeforeStart) {
  AdminServer never(any_port(), handlers());
  never.stop();
  start(handlers());
  std::vector<std::thread> stopping;
  for (int i = 0; i < 4; ++i) stopping.emplace_back([&] { server->stop(); });
  for (auto& thread : stopping) thread.join();
  server.reset();
}

}  // namespace
}  // namespace millrace
