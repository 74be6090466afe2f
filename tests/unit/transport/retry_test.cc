// What is tried again, how often, and what never is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stop_token>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;

ClientOptions with_retries(unsigned retries) { return {.query_retries = retries}; }

// Answers a request with `status` on a connection that stays.
std::vector<ScriptedServer::Script> answers(std::vector<std::string> responses) {
  return {[responses = std::move(responses)](ScriptedConnection& connection) {
    for (const std::string& response : responses) {
      connection.read_request();
      connection.send(response);
    }
    connection.wait_for_close();
  }};
}

// Takes a request and closes without a word.
void close_unanswered(ScriptedConnection& connection) { connection.read_request(); }

class StatusThatPasses : public testing::TestWithParam<int> {};

TEST_P(StatusThatPasses, AReadIsTriedAgain) {
  const std::string busy = http_response(GetParam(), "busy");
  TransportRig rig(answers({busy, busy, http_response(200, "1")}), with_retries(2));
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "1");
}

TEST_P(StatusThatPasses, AReadEndsWithTheErrorWhenNoTryIsLeft) {
  const std::string busy = http_response(GetParam(), "busy");
  TransportRig rig(answers({busy, busy, busy, http_response(200, "1")}), with_retries(2));
  const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->attempts(), 3u);
  EXPECT_EQ(error->http_status(), GetParam());
}

TEST_P(StatusThatPasses, WhatMayChangeSomethingIsSentOnce) {
  for (const char* sql : {"INSERT INTO t SELECT 1", "ALTER TABLE t DROP COLUMN a"}) {
    TransportRig rig(answers({http_response(GetParam(), "busy")}), with_retries(2));
    const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query(sql); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->attempts(), 1u);
  }
  TransportRig rig(answers({http_response(GetParam(), "busy")}), with_retries(2));
  EXPECT_THROW(rig.client.raw_insert("t", "1", with_token()), ClickHouseError);
}

TEST_P(StatusThatPasses, TheCallerMaySayThatAStatementCanBeSentTwice) {
  TransportRig rig(answers({http_response(GetParam(), "busy"), http_response(200, "")}),
                   with_retries(2));
  rig.client.raw_query("OPTIMIZE TABLE t", {.idempotent = true});
}

INSTANTIATE_TEST_SUITE_P(, StatusThatPasses, testing::Values(429, 503, 504));

TEST(Retry, OtherStatusesAreFinal) {
  for (const int status : {400, 404, 500, 501, 502}) {
    TransportRig rig(answers({http_response(status, "no")}), with_retries(2));
    const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query("SELECT 1"); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->attempts(), 1u) << status;
  }
}

TEST(Retry, AReadSurvivesConnectionsThatCloseUnanswered) {
  TransportRig rig({close_unanswered, close_unanswered, answer_all(http_response(200, "1"))},
                   with_retries(2));
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "1");
  TransportRig never({close_unanswered}, with_retries(2));
  const auto error = thrown_by<NetworkError>([&] { never.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kClosed);
  EXPECT_EQ(error->attempts(), 3u);
  EXPECT_EQ(never.server.accepted(), 3u);
}

TEST(Retry, AnInsertWithoutATokenIsSentOnceToANewConnection) {
  TransportRig rig({close_unanswered}, with_retries(2));
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "1", {.format = "TSV"}); });
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->may_have_been_applied());
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(Retry, EachTryHasAQueryIdOfItsOwnUnlessOneIsGiven) {
  const std::string busy = http_response(503, "busy");
  for (const std::string& given : {std::string(), std::string("mine")}) {
    TransportRig rig(answers({busy, http_response(200, "")}), with_retries(1));
    rig.client.raw_query("SELECT 1", {.query_id = given});
    rig.pool.close_connections();
    const std::string sent = rig.server.wait_ended(0).headers;
    const std::string second = sent.substr(sent.find("\r\n\r\n") + 4);
    EXPECT_EQ(parameter(sent, "query_id") == parameter(second, "query_id"), !given.empty());
  }
}

TEST(Retry, AStopIsObeyedBetweenTwoTries) {
  std::stop_source stop;
  TransportRig rig({[&](ScriptedConnection& connection) {
                     connection.read_request();
                     stop.request_stop();
                     connection.send(http_response(503, "busy"));
                     connection.wait_for_close();
                   }},
                   with_retries(100));
  EXPECT_THROW(rig.client.raw_query("SELECT 1", {.stop = stop.get_token()}), AbortedError);
}

TEST(Retry, ARejectedTokenIsAskedForOnceMore) {
  int asked = 0;
  ClientOptions options;
  options.token_provider = [&] { return "token" + std::to_string(++asked); };
  const std::string rejected =
      http_response(403, "Code: 516. DB::Exception: no", "X-ClickHouse-Exception-Code: 516\r\n");
  TransportRig rig(answers({rejected, http_response(200, "1"), rejected, rejected}),
                   std::move(options));
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "1");
  EXPECT_THROW(rig.client.raw_query("SELECT 1"), ClickHouseError);
  rig.pool.close_connections();
  const std::string sent = rig.server.wait_ended(0).headers;
  EXPECT_THAT(sent, HasSubstr("Authorization: Bearer token1\r\n"));
  EXPECT_THAT(sent, HasSubstr("Authorization: Bearer token2\r\n"));
}

TEST(Retry, AProxysPageIsAnErrorWithItsStatus) {
  TransportRig rig(
      answers({http_response(502, "<html>Bad Gateway</html>", "Content-Type: text/html\r\n")}));
  const auto error = thrown_by<ClickHouseError>([&] { rig.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 0);
  EXPECT_EQ(error->http_status(), 502);
  EXPECT_THAT(error->what(), HasSubstr("proxy"));
  EXPECT_THAT(error->message(), HasSubstr("Bad Gateway"));
}

}  // namespace
}  // namespace millrace::test
