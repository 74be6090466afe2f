// Kept connections that the server ended meanwhile, and requests that were left half-sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;
using Kind = NetworkError::Kind;

const std::string kOk = http_response(200, "");

// Answers once, then does `end` when the gate opens.
ScriptedServer::Script answer_once_then(const Gate& gate,
                                        std::function<void(ScriptedConnection&)> end) {
  return [&gate, end = std::move(end)](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(kOk);
    if (gate.wait()) end(connection);
  };
}

// Answers once, reads the next request as far as `read` does, and closes without an answer.
ScriptedServer::Script close_on_second(std::function<void(ScriptedConnection&)> read) {
  return [read = std::move(read)](ScriptedConnection& connection) {
    connection.read_request();
    connection.send(kOk);
    read(connection);
  };
}

TEST(StaleConnection, ClosedWhileIdleIsReplacedBeforeAnythingIsSent) {
  Gate gate;
  TransportRig rig({answer_once_then(gate, [](auto&) {}), answer_all(kOk)});
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  gate.open();
  EXPECT_EQ(rig.server.wait_ended(0).ended, true);
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});  // has no token: must not need one
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kStale), 1u);
  EXPECT_EQ(rig.pool.stats().created, 2u);
  EXPECT_EQ(rig.pool.stats().idle, 1u);
}

TEST(StaleConnection, ResetWhileIdleIsReplacedBeforeAnythingIsSent) {
  Gate gate;
  TransportRig rig(
      {answer_once_then(gate, [](auto& connection) { connection.reset(); }), answer_all(kOk)});
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  gate.open();
  rig.server.wait_ended(0);
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kStale), 1u);
  EXPECT_EQ(rig.server.accepted(), 2u);
}

TEST(StaleConnection, AnUnaskedAnswerIsNotTakenForTheNextOne) {
  Gate gate, sent;
  TransportRig rig({answer_once_then(gate,
                                     [&](auto& connection) {
                                       connection.send(http_response(408, "too slow"));
                                       sent.open();
                                       connection.wait_for_close();
                                     }),
                    answer_all(kOk)});
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  gate.open();
  ASSERT_TRUE(sent.wait());
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kStale), 1u);
}

TEST(StaleConnection, ClosedUnderTheRequestIsRetriedOnceOnAFreshOneWithTheSameToken) {
  TransportRig rig({close_on_second([](auto& c) { c.read_request(); }), answer_all(kOk)});
  EXPECT_FALSE(rig.client.raw_insert("t", "{}", with_token("first")).repeated);
  EXPECT_TRUE(rig.client.raw_insert("t", "{}", with_token("second")).repeated);
  const auto old = rig.server.wait_ended(0).headers;
  const std::string lost = old.substr(old.rfind("POST "));
  rig.pool.close_connections();
  const std::string retried = rig.server.wait_ended(1).headers;
  EXPECT_EQ(parameter(retried, "insert_deduplication_token"), "second");
  EXPECT_EQ(parameter(retried, "session_id"), parameter(lost, "session_id"));
  EXPECT_NE(parameter(retried, "query_id"), parameter(lost, "query_id"));
  EXPECT_EQ(rig.server.accepted(), 2u);
  EXPECT_EQ(rig.pool.stats().created, 2u);
}

TEST(StaleConnection, ResetUnderALargeBodyIsRetriedOnceToo) {
  TransportRig rig({close_on_second([](auto& c) {
                      c.read_header();
                      c.reset();
                    }),
                    answer_all(kOk)});
  rig.client.raw_insert("t", "{}", with_token());
  rig.client.raw_insert("t", big_body(), with_token());
  rig.pool.close_connections();
  EXPECT_GT(rig.server.wait_ended(1).bytes, big_body().size());
}

TEST(StaleConnection, WithoutATokenAnInsertIsNotRepeated) {
  TransportRig rig({close_on_second([](auto& c) { c.read_request(); }), answer_all(kOk)});
  rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "{}", {.format = "JSONEachRow"}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kClosed);
  EXPECT_TRUE(error->may_have_been_applied());
  EXPECT_EQ(rig.server.accepted(), 1u);
}

TEST(StaleConnection, AReadIsRepeatedAndAStatementThatMayChangeSomethingIsNot) {
  TransportRig rig({close_on_second([](auto& c) { c.read_request(); }),
                    close_on_second([](auto& c) { c.read_request(); })});
  rig.client.raw_query("SELECT 1");
  rig.client.raw_query(" (SELECT 2)");  // the first connection dies under it, the second answers
  EXPECT_EQ(rig.server.accepted(), 2u);
  EXPECT_THROW(rig.client.command("DROP TABLE t"), NetworkError);
  EXPECT_EQ(rig.server.accepted(), 2u);
}

TEST(StaleConnection, AFreshConnectionThatFailsIsNoReasonToRepeat) {
  TransportRig rig({[](auto& connection) { connection.read_request(); }, answer_all(kOk)});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kClosed);
  EXPECT_EQ(error->disposition(), Disposition::kRetry);
  EXPECT_EQ(rig.server.accepted(), 1u);
  EXPECT_EQ(rig.closed(HttpSessionCloseReason::kFailed), 1u);
}

TEST(StaleConnection, TheRetryIsMadeOnlyOnce) {
  const auto no_answer = [](ScriptedConnection& connection) { connection.read_request(); };
  TransportRig rig({close_on_second(no_answer), no_answer, answer_all(kOk)});
  rig.client.raw_insert("t", "{}", with_token());
  EXPECT_THROW(rig.client.raw_insert("t", "{}", with_token()), NetworkError);
  EXPECT_EQ(rig.server.accepted(), 2u);
}

TEST(StaleConnection, ARefusalOfTheRetryDoesNotMeanThatTheFirstTryWasRefused) {
  TransportRig rig({close_on_second([](auto& c) { c.read_request(); }),
                    answer_all(http_response(404, "Code: 60. DB::Exception: gone"))});
  rig.client.raw_insert("t", "{}", with_token());
  const auto error =
      thrown_by<ClickHouseError>([&] { rig.client.raw_insert("t", "{}", with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 60);
  EXPECT_TRUE(error->may_have_been_applied());
}

TEST(StaleConnection, ARetryThatFindsNobodyLeavesTheFirstTrysOutcomeOpen) {
  Gate answered;
  std::optional<ScriptedServer> server;
  // The server goes away with the second request in its hands.
  server.emplace(std::vector{close_on_second([&](auto& c) {
    c.read_request();
    answered.open();
    c.wait_for_close();
  })});
  HttpSessionPool pool;
  EndpointList endpoints({server->endpoint()});
  Client client({}, endpoints, pool);
  client.raw_insert("t", "{}", with_token());
  std::thread killer([&] {
    EXPECT_TRUE(answered.wait());
    server.reset();
  });
  const auto error = thrown_by<NetworkError>([&] { client.raw_insert("t", "{}", with_token()); });
  killer.join();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->may_have_been_applied()) << error->what();
}

TEST(HalfSentRequest, IsNeverFollowedByAnotherOnTheSameConnection) {
  Gate gate;
  TransportRig rig({[&](auto& connection) {
                      connection.read_header();
                      if (gate.wait()) connection.wait_for_close();
                    },
                    answer_all(kOk)},
                   with_request_timeout(std::chrono::milliseconds(300)));
  const std::string session = rig.client.session_id();
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTimeout);
  EXPECT_TRUE(error->may_have_been_applied());
  EXPECT_NE(rig.client.session_id(), session) << "the server may still hold the old one";

  Client patient({}, rig.endpoints, rig.pool);
  patient.raw_insert("t", "{}", with_token());
  EXPECT_EQ(rig.server.accepted(), 2u);
  gate.open();
  const auto seen = rig.server.wait_ended(0);
  EXPECT_TRUE(seen.client_closed);
  EXPECT_EQ(seen.headers.find("POST", 4), std::string::npos) << "a second request line";
  EXPECT_LT(seen.bytes, big_body().size()) << "the server must not see a complete body";
}

TEST(HalfSentRequest, ToAServerThatTakesNoMoreNamesTheSettingThatEndedIt) {
  HttpSessionPoolOptions pool_options;
  pool_options.tcp_user_timeout = std::chrono::milliseconds(200);
  Gate gate;
  TransportRig rig({[&](auto& connection) {
                     connection.read_header();
                     gate.wait();
                   }},
                   with_request_timeout(kScriptPatience), pool_options);
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  gate.open();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kTimeout);
  EXPECT_THAT(error->what(), HasSubstr("tcp_user_timeout"));
}

TEST(RefusedConnection, NamesTheHostAndWasNotApplied) {
  Endpoint nobody;
  {
    const ScriptedServer gone({hold()});
    nobody = gone.endpoint();
  }
  HttpSessionPool pool;
  EndpointList endpoints({nobody});
  Client client({}, endpoints, pool);
  const auto error = thrown_by<NetworkError>([&] { client.ping(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), Kind::kConnect);
  EXPECT_FALSE(error->may_have_been_applied());
  EXPECT_THAT(error->what(), HasSubstr(nobody.authority()));
  EXPECT_THAT(error->what(), HasSubstr("refused"));
  EXPECT_EQ(pool.stats().open, 0u);
  EXPECT_EQ(pool.stats().connect_failures, 1u);
}

}  // namespace
}  // namespace millrace::test
