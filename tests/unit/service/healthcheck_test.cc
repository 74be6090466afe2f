// `millrace healthcheck` against a real admin port.
#include <gtest/gtest.h>

#include <sstream>

#include "service/admin_server.h"
#include "service/commands/commands.h"

namespace millrace {
namespace {

class Healthcheck : public testing::Test {
 protected:
  Healthcheck() { server_.start(); }

  ExitCode ask(bool ready, const std::string& host = "127.0.0.1") {
    said_.str("");
    return healthcheck({.host = host, .port = server_.port()}, ready, said_);
  }

  std::vector<std::string> faults_, reasons_;
  AdminServer server_{{.host = "127.0.0.1", .port = 0},
                      {.metrics = nullptr,
                       .status = nullptr,
                       .live_faults = [this] { return faults_; },
                       .ready_reasons = [this] { return reasons_; }}};
  std::ostringstream said_;
};

TEST_F(Healthcheck, AServiceThatWaitsForClickHouseLives) {
  reasons_ = {"ClickHouse: cannot connect"};
  EXPECT_EQ(ask(false), ExitCode::kOk);
  EXPECT_EQ(ask(true), ExitCode::kFailure);
  EXPECT_EQ(said_.str(), "ClickHouse: cannot connect\n");
}

TEST_F(Healthcheck, ADeadThreadIsAFailure) {
  faults_ = {"pipeline events: a reader died"};
  EXPECT_EQ(ask(false), ExitCode::kFailure);
  EXPECT_EQ(said_.str(), "pipeline events: a reader died\n");
}

TEST_F(Healthcheck, APortOnAllAddressesIsAskedOnThisMachine) {
  EXPECT_EQ(ask(true, "0.0.0.0"), ExitCode::kOk);
  EXPECT_EQ(said_.str(), "ready\n");
}

TEST_F(Healthcheck, NobodyListening) {
  server_.stop();
  EXPECT_EQ(ask(false), ExitCode::kFailure);
  EXPECT_NE(said_.str().find("admin.listen"), std::string::npos) << said_.str();
}

}  // namespace
}  // namespace millrace
