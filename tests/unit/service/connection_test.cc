#include "service/commands/connection.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/files.h"
#include "transport/error.h"

namespace millrace {
namespace {

class Connection : public testing::Test {
 protected:
  // With these arguments and environment_.
  ClientOptions options(const std::string& config_file = {}, const std::string& url = {},
                        const std::string& user = {}) const {
    ConnectionArguments arguments;
    arguments.config_file = config_file;
    arguments.url = url;
    arguments.user = user;
    return connection_options(arguments, [this](const std::string& name) {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::string() : found->second;
    });
  }
  std::string config(const std::string& client) const {
    const auto file = folder_.path() / "millrace.yaml";
    test::write_file(file, "clickhouse: {endpoints: ['https://of-config:1/path'], " + client +
                               "}\npipelines: [{name: t, source: {kafka: {brokers: 'x:1', "
                               "topics: [t]}}}]\n");
    return file.string();
  }

  test::TempDir folder_{"connection"};
  std::map<std::string, std::string, std::less<>> environment_;
};

TEST_F(Connection, ClosestToTheCallerWins) {
  const std::string file = config("user: u1, password: p1, database: d1");
  ClientOptions of = options(file);
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u1p1d1of-config");
  EXPECT_EQ(of.proxy_path, "/path");
  EXPECT_TRUE(of.secure);

  environment_["CLICKHOUSE_URL"] = "http://u2:p2@h2/d2";
  of = options(file);
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u2p2d2h2");
  EXPECT_EQ(of.port, 0);  // an address is one thing: nothing of the other is left
  EXPECT_EQ(of.proxy_path, "");
  EXPECT_FALSE(of.secure);

  environment_["CLICKHOUSE_USER"] = "u3";
  environment_["CLICKHOUSE_PASSWORD"] = "p3";
  environment_["CLICKHOUSE_DATABASE"] = "d3";
  of = options(file);
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u3p3d3h2");

  of = options(file, "http://u4:p4@h4/d4");
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u4p4d4h4");
  of = options(file, "http://h4");
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u3p3d3h4");

  of = options({}, "http://u4:p4@h4/d4", "u5");
  EXPECT_EQ(of.user + of.password + of.database + of.host, "u5p4d4h4");
}

TEST_F(Connection, UrlMaySayWhatIsTheDefault) {
  const ClientOptions of = options(config("user: u1, password: p1, database: d1, "
                                          "settings: {max_threads: 1}"),
                                   "http://default:@h/default?max_threads=2");
  EXPECT_EQ(of.user, "default");
  EXPECT_EQ(of.password, "");
  EXPECT_EQ(of.database, "default");
  EXPECT_EQ(of.settings.at("max_threads"), "2");
}

TEST_F(Connection, UrlMaySayAllThatADsnMay) {
  const ClientOptions of =
      options({},
              "https://h?verify=false&ca_cert=/ca.pem&access_token=t&query_retries=7"
              "&request_timeout=9&compress=zstd&connect_timeout=4&client_name=me&max_threads=3");
  EXPECT_FALSE(of.tls.verify);
  EXPECT_EQ(of.tls.ca_cert, "/ca.pem");
  EXPECT_EQ(of.access_token, "t");
  EXPECT_EQ(of.query_retries, 7u);
  EXPECT_EQ(of.request_timeout, std::chrono::seconds(9));
  EXPECT_EQ(of.compress, Codec::kZstd);
  EXPECT_EQ(of.connect_timeout, std::chrono::seconds(4));
  EXPECT_EQ(of.client_name, "me");
  EXPECT_EQ(of.settings, (Settings{{"max_threads", "3"}}));
  EXPECT_EQ(options().query_retries, 2u);
  EXPECT_EQ(options().client_name, "millrace-cli");
}

TEST_F(Connection, BadUrlIsRefusedWithoutItsPassword) {
  try {
    options({}, "http://u:hunter2%zz@h");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace millrace
