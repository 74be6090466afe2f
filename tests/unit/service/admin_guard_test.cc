// What the admin server keeps from those who ask, and that nobody keeps it from probes.
#include <latch>

#include "service/admin_connections.h"
#include "tests/unit/service/admin_server_rig.h"
#include "transport/compression.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

// Each descriptor of ours is one of the server's, too: as many as it takes at all.
TEST_F(AdminServerTest, ProbesAndScrapersAreAnsweredWhateverOthersHoldOpen) {
  start(handlers(), 1h);
  std::vector<std::unique_ptr<Peer>> others;
  for (int i = 0; i < 400; ++i) {
    others.push_back(std::make_unique<Peer>(server->port()));
    if (i % 2 == 1) others.back()->send("GET /metrics HTTP/1.1\r\nX-Slow: ");
    if (i % 50 != 0) continue;
    EXPECT_EQ(body_of(get("/livez")), "ok\n");
  }
  EXPECT_EQ(body_of(get("/readyz")), "ready\n");
  EXPECT_EQ(body_of(get("/metrics")), "up 1\n");
  EXPECT_EQ(others.front()->receive(), "") << "the oldest made room";
}

// All threads that answer scrapers are held.
TEST_F(AdminServerTest, ProbesDoNotWaitForScrapers) {
  std::latch go_on(1);
  AdminHandlers slow = handlers();
  slow.metrics = [&] {
    go_on.wait();
    return std::string("late\n");
  };
  slow.status = [&] { return slow.metrics(); };
  start(slow);
  std::vector<std::unique_ptr<Peer>> scrapers;
  for (int i = 0; i < 60; ++i) {
    scrapers.push_back(std::make_unique<Peer>(server->port()));
    scrapers.back()->send(i % 2 == 0 ? "GET /metrics HTTP/1.1\r\n\r\n"
                                     : "GET /status HTTP/1.1\r\n\r\n");
  }
  EXPECT_EQ(body_of(get("/livez")), "ok\n");
  EXPECT_EQ(body_of(get("/readyz")), "ready\n");
  go_on.count_down();
  for (auto& scraper : scrapers) EXPECT_EQ(body_of(scraper->receive()), "late\n");
}

// A page elsewhere whose name was given our address (DNS rebinding).
TEST_F(AdminServerTest, AnotherHostThanOursIsRefused) {
  bool drained = false;
  AdminHandlers acting = handlers();
  acting.actions.drain = [&] { drained = true; };
  AdminConfig config = any_port();
  config.allowed_hosts = {"millrace.example", "*.svc.cluster.local"};
  start(acting, 30s, config);
  const auto ask = [&](const std::string& start, const std::string& host) {
    Peer peer(server->port());
    peer.send(start + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    return peer.receive();
  };
  for (const char* path : {"GET /status", "GET /", "GET /readyz", "POST /drain"}) {
    EXPECT_THAT(ask(path, "evil.example:9464"),
                AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("admin.allowed_hosts")))
        << path;
  }
  EXPECT_FALSE(drained);
  for (const char* host : {"127.0.0.1:9464", "[::1]:9464", "localhost", "MILLRACE.example:80",
                           "m.n.svc.cluster.local"})
    EXPECT_THAT(ask("GET /status", host), StartsWith("HTTP/1.1 200 ")) << host;
}

TEST_F(AdminServerTest, ProtectedReadsNeedTheTokenProbesAndMetricsDoNot) {
  AdminHandlers guarded = handlers();
  guarded.actions.token = [] { return std::string("t0ken"); };
  guarded.actions.drain = [] {};
  AdminConfig config = any_port();
  config.protect_reads = true;
  start(guarded, 30s, config);
  for (const char* path : {"/status", "/", "/view.js"}) {
    EXPECT_THAT(get(path),
                AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("WWW-Authenticate: Basic realm=")))
        << path;
  }
  for (const char* path : {"/livez", "/readyz", "/metrics"})
    EXPECT_THAT(get(path), StartsWith("HTTP/1.1 200 ")) << path;
  const auto ask = [&](const std::string& start, const std::string& authorization) {
    Peer peer(server->port());
    peer.send(start + " HTTP/1.1\r\nHost: test\r\nAuthorization: " + authorization + "\r\n\r\n");
    return peer.receive();
  };
  EXPECT_THAT(ask("GET /status", "Bearer t0ken"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET /status", "Basic bWU6dDBrZW4="), StartsWith("HTTP/1.1 200 ")) << "me:t0ken";
  EXPECT_THAT(ask("GET /status", "Basic bWU6d3Jvbmc="), StartsWith("HTTP/1.1 401 "));
  // A browser sends a password along with whatever a page elsewhere makes it ask.
  EXPECT_THAT(ask("POST /drain", "Basic bWU6dDBrZW4="), StartsWith("HTTP/1.1 401 "));
}

TEST_F(AdminServerTest, MetricsAreCompressedForThoseWhoTakeIt) {
  AdminHandlers large = handlers();
  large.metrics = [] { return std::string(100'000, 'x'); };
  start(large);
  Peer peer(server->port());
  peer.send("GET /metrics HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip;q=1.0\r\n\r\n");
  const std::string reply = peer.receive();
  EXPECT_THAT(reply, AllOf(HasSubstr("Content-Encoding: gzip\r\n"), HasSubstr("Vary: Accept-Enc")));
  std::string text(200'000, ' ');
  const std::string body = body_of(reply);
  std::string_view in = body;
  text.resize(Decompressor::make(Codec::kGzip)->decompress(in, text.data(), text.size()));
  EXPECT_EQ(text, std::string(100'000, 'x'));
  EXPECT_EQ(body_of(get("/metrics")), std::string(100'000, 'x'));
}

TEST_F(AdminServerTest, ReadySaysForWhomItWaits) {
  AdminHandlers waiting = handlers();
  waiting.waiting = [] { return std::vector<std::string>{"lane t/0 waits: create table t"}; };
  start(waiting);
  EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(body_of(get("/readyz")), "ready\nlane t/0 waits: create table t\n");
}

TEST(AdminConnectionLimits, LeaveMostDescriptorsToOthersAndHaveRoomForManyScrapers) {
  EXPECT_EQ(admin_connection_limits(1'048'576),
            (AdminConnectionLimits{.most = 1024, .idle_of_peer = 256, .busy_of_peer = 512}));
  EXPECT_GE(admin_connection_limits(1024).busy_of_peer, 200u);
  EXPECT_EQ(admin_connection_limits(256).most, 64u);
  EXPECT_GE(admin_connection_limits(0).idle_of_peer, 1u);
}

}  // namespace
}  // namespace millrace
