// What a client puts on the wire, and what it makes of an answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Answers every request with `response` and gives each header to the test.
class ClientOnTheWire : public testing::Test {
 protected:
  TransportRig& rig(ClientOptions options = {}, std::string response = http_response(200, "")) {
    rig_.emplace(std::vector{answer_all(std::move(response))}, std::move(options));
    return *rig_;
  }
  // Everything that was sent on the first connection.
  std::string sent() {
    rig_->pool.close_connections();
    return rig_->server.wait_ended(0).headers;
  }
  std::optional<TransportRig> rig_;
};

TEST_F(ClientOnTheWire, AnInsertHasItsStatementInTheUrlAndItsLengthInTheHeader) {
  rig({.user = "u", .password = "p w", .database = "db"})
      .client.raw_insert("d.my table", "{\"a\":1}\n",
                         {.columns = {"a", "b`c"},
                          .settings = {{"async_insert", "0"}},
                          .format = "JSONEachRow",
                          .deduplication_token = "g/t/0/1-2",
                          .query_id = "my id"});
  const std::string request = sent();
  EXPECT_THAT(request, HasSubstr("POST /?"));
  EXPECT_EQ(parameter(request, "query"),
            "INSERT+INTO+%60d%60.%60my+table%60+%28%60a%60%2C+%60b%5C%60c%60%29+FORMAT"
            "+JSONEachRow");
  EXPECT_EQ(parameter(request, "insert_deduplication_token"), "g%2Ft%2F0%2F1-2");
  EXPECT_EQ(parameter(request, "async_insert"), "0");
  EXPECT_EQ(parameter(request, "database"), "db");
  EXPECT_EQ(parameter(request, "query_id"), "my+id");
  EXPECT_EQ(parameter(request, "session_id"), rig_->client.session_id());
  EXPECT_EQ(parameter(request, "session_timeout"), "60");
  EXPECT_EQ(parameter(request, "wait_end_of_query"), "");
  EXPECT_THAT(request, HasSubstr("X-ClickHouse-User: u\r\n"));
  EXPECT_THAT(request, HasSubstr("X-ClickHouse-Key: p w\r\n"));
  EXPECT_THAT(request, HasSubstr("Host: " + rig_->server.endpoint().authority() + "\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(request, Not(HasSubstr("chunked")));
  EXPECT_THAT(request, Not(HasSubstr("p%20w")));
}

TEST_F(ClientOnTheWire, ColumnsThatAreQuotedAlreadyAreLeftAsTheyAre) {
  rig().client.raw_insert("t", "", {.columns = {"`a``b`", "\"c d\"", "`e", "``", "`f` g"}});
  EXPECT_EQ(parameter(sent(), "query"),
            "INSERT+INTO+%60t%60+%28%60a%60%60b%60%2C+%22c+d%22%2C+%60%5C%60e%60%2C+%60%5C%60%5C%60"
            "%60%2C+%60%5C%60f%5C%60+g%60%29+FORMAT+Native");
}

TEST_F(ClientOnTheWire, WithoutATimeOutItWaits) {
  for (const auto none : {std::chrono::milliseconds(0), std::chrono::milliseconds::max()}) {
    TransportRig& r = rig(with_request_timeout(none), http_response(200, "Ok."));
    EXPECT_EQ(r.client.raw_query("SELECT 1"), "Ok.");
    EXPECT_EQ(r.client.raw_stream("SELECT 1").next_chunk(), "Ok.");
    r.client.raw_insert("t", PushSource([](BodyWriter& out) { out.write("1"); }), {});
    r.client.ping();
  }
}

TEST_F(ClientOnTheWire, ATokenCanBeExchanged) {
  Client& client = rig({.access_token = "one"}).client;
  client.raw_query("SELECT 1");
  client.set_access_token("two");
  client.raw_query("SELECT 1");
  const std::string requests = sent();
  const auto first = requests.find("Authorization: Bearer one\r\n");
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(requests.find("Authorization: Bearer two\r\n", first), std::string::npos);
  EXPECT_THROW(client.set_access_token("a\nb"), UsageError);
  EXPECT_THROW(rig({.password = "p"}).client.set_access_token("x"), UsageError);
}

TEST_F(ClientOnTheWire, ACertificateStandsForItsUser) {
  rig({.user = "me", .certificate_auth = true}).client.raw_query("SELECT 1");
  const std::string request = sent();
  EXPECT_THAT(request, HasSubstr("X-ClickHouse-User: me\r\n"));
  EXPECT_THAT(request, HasSubstr("X-ClickHouse-SSL-Certificate-Auth: on\r\n"));
  EXPECT_THAT(request, Not(HasSubstr("X-ClickHouse-Key")));
  EXPECT_THAT(request, Not(HasSubstr("Authorization")));
  EXPECT_THROW(rig({.password = "p", .certificate_auth = true}), UsageError);
  EXPECT_THROW(rig({.access_token = "t", .certificate_auth = true}), UsageError);
  EXPECT_THROW(rig({.user = "", .certificate_auth = true}), UsageError);
}

// get_client()'s arguments.
TEST(ClientOptions, ADsnTakesTheNamesOfThePythonClient) {
  const ClientOptions options = ClientOptions::from_dsn(
      "clickhouse://h:1/?username=u&password=p&database=d&send_receive_timeout=7&connect_timeout=3&"
      "compress=true&interface=https&session_id=s&client_name=n&max_threads=2");
  EXPECT_EQ(options.user, "u");
  EXPECT_EQ(options.password, "p");
  EXPECT_EQ(options.database, "d");
  EXPECT_EQ(options.request_timeout, std::chrono::seconds(7));
  EXPECT_EQ(options.connect_timeout, std::chrono::seconds(3));
  EXPECT_NE(options.compress, Codec::kNone);
  EXPECT_TRUE(options.secure);
  EXPECT_EQ(options.settings, (Settings{{"max_threads", 2}}));
  for (const char* item : {"user_name=u", "user=u"}) {
    EXPECT_EQ(ClientOptions::from_dsn("http://h?" + std::string(item)).user, "u");
  }
  EXPECT_EQ(ClientOptions::from_dsn("http://h?compression=zstd").compress, Codec::kZstd);
  EXPECT_EQ(ClientOptions::from_dsn("http://h?compress=false").compress, Codec::kNone);
  for (const char* bad : {"interface=ftp", "port=0", "port=65536", "send_receive_timeout=x"}) {
    EXPECT_THROW(ClientOptions::from_dsn("http://h?" + std::string(bad)), UsageError) << bad;
  }
}

TEST(ClientOptions, WhatIsWrongIsAnErrorOfOurs) {
  EXPECT_THROW(Client({.http_proxy = "ftp://x"}), Error);
  EXPECT_THROW(Client({.http_proxy = "http://a", .https_proxy = "http://b"}), Error);
  EXPECT_THROW(parse_endpoint("nonsense"), Error);
  EXPECT_THROW(Coding("rar"), Error);
}

TEST(ClientsPool, HasTheClientsConnectTimeout) {
  ClientOptions options = ClientOptions::from_dsn("http://h?connect_timeout=3");
  EXPECT_TRUE(options.settings.empty());
  options.connect = false;
  const Client client(options);
  EXPECT_EQ(client.pool()->options().connect_timeout, std::chrono::seconds(3));
  EXPECT_NE(client.pool(), default_pool());
  options.pool_mgr = default_pool();
  EXPECT_THROW(Client{options}, UsageError);
  options.pool_mgr.reset();
  options.connect_timeout = std::chrono::milliseconds(0);
  EXPECT_THROW(Client{options}, UsageError);
}

TEST_F(ClientOnTheWire, ABodyInManyPiecesArrivesWhole) {
  std::vector<std::string> parts;
  parts.reserve(100);
  for (int i = 0; i < 100; ++i)
    parts.push_back(std::string(static_cast<std::size_t>(i * 997), 'x'));
  const std::vector<std::string_view> pieces(parts.begin(), parts.end());
  std::size_t total = 0;
  for (const auto& part : parts) total += part.size();
  rig().client.raw_insert("t", pieces, with_token());
  rig_->pool.close_connections();
  const auto seen = rig_->server.wait_ended(0);
  EXPECT_THAT(seen.headers, HasSubstr("Content-Length: " + std::to_string(total) + "\r\n"));
  EXPECT_EQ(seen.bytes, seen.headers.size() + total);
}

TEST_F(ClientOnTheWire, AQueryIsTheBodyAndWaitsForItsEnd) {
  rig().client.raw_query("SELECT 1 ; ", {.format = "CSV"});
  const std::string request = sent();
  EXPECT_EQ(parameter(request, "wait_end_of_query"), "1");
  EXPECT_EQ(parameter(request, "query"), "");
  EXPECT_THAT(request, HasSubstr("Content-Length: 22\r\n"));  // "SELECT 1  \n FORMAT CSV"
}

TEST_F(ClientOnTheWire, SettingsOfTheCallWinOverThoseOfTheClientOverOurOwn) {
  rig({.settings = {{"wait_end_of_query", "0"}, {"max_threads", "1"}, {"x", "a&b=c"}}})
      .client.raw_query("SELECT 1", {.settings = {{"max_threads", "2"}}});
  const std::string request = sent();
  EXPECT_EQ(parameter(request, "wait_end_of_query"), "0");
  EXPECT_EQ(parameter(request, "max_threads"), "2");
  EXPECT_EQ(parameter(request, "x"), "a%26b%3Dc");
}

TEST_F(ClientOnTheWire, AQueryIdCanComeAsASetting) {
  rig().client.raw_query("SELECT 1", {.settings = {{"query_id", "mine"}}});
  EXPECT_EQ(parameter(sent(), "query_id"), "mine");
}

TEST_F(ClientOnTheWire, WithoutAQueryIdOfOursTheServersIsTold) {
  TransportRig& r =
      rig({.autogenerate_query_id = false},
          http_response(404, "Code: 60. DB::Exception: no", "X-ClickHouse-Query-Id: theirs\r\n"));
  const auto error = thrown_by<ClickHouseError>([&] { r.client.raw_query("SELECT 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->info().query_id, "theirs");
  EXPECT_THAT(sent(), Not(HasSubstr("query_id")));
}

TEST_F(ClientOnTheWire, AHeaderOfTheCallersReplacesOursInAnyCase) {
  rig({.headers = {{"user-agent", "theirs"}}})
      .client.raw_insert("t", "{}", {.format = "CSV", .headers = {{"content-type", "text/csv"}}});
  const std::string request = sent();
  EXPECT_THAT(request, HasSubstr("text/csv"));
  EXPECT_THAT(request, Not(HasSubstr("octet-stream")));
  EXPECT_THAT(request, HasSubstr("theirs"));
  EXPECT_THAT(request, Not(HasSubstr("millrace/")));
}

TEST_F(ClientOnTheWire, WithoutADatabaseNoneIsSent) {
  rig().client.raw_query("SELECT 1", {.use_database = false});
  EXPECT_EQ(parameter(sent(), "database"), "");
}

TEST_F(ClientOnTheWire, WithPolicyNoneNoSessionIsSent) {
  rig({.session_policy = ClickHouseSessionPolicy::kNone}).client.raw_query("SELECT 1");
  EXPECT_THAT(sent(), Not(HasSubstr("session_")));
}

TEST_F(ClientOnTheWire, TheProxysPathIsKept) {
  TransportRig& r = rig();
  Endpoint endpoint = r.server.endpoint();
  endpoint.path = "/ch/";
  EndpointList endpoints({endpoint});
  Client client({}, endpoints, r.pool);
  client.raw_query("SELECT 1");
  EXPECT_THROW(client.ping(), NetworkError);  // it is not answered with Ok.
  const std::string requests = sent();
  EXPECT_THAT(requests, HasSubstr("POST /ch/?query_id="));
  EXPECT_THAT(requests, HasSubstr("GET /ch/ping HTTP/1.1\r\n"));
}

TEST_F(ClientOnTheWire, WhatNoRequestCanCarryIsRefusedBeforeSending) {
  TransportRig& r = rig();
  for (const char* name : {"query", "user", "password", "param_x", "close_session"}) {
    EXPECT_THROW(r.client.raw_query("SELECT 1", {.settings = {{name, "1"}}}), UsageError) << name;
    EXPECT_THROW(Client({.settings = {{name, "1"}}}, r.endpoints, r.pool), UsageError) << name;
  }
  EXPECT_THROW(r.client.raw_insert("t", "", {.format = "CSV; DROP TABLE t"}), UsageError);
  EXPECT_THROW(Client({.password = "from a file\n"}, r.endpoints, r.pool), UsageError);
  EXPECT_THROW(Client({.user = "x\r\nEvil: 1"}, r.endpoints, r.pool), UsageError);
}

TEST_F(ClientOnTheWire, TheSummaryOfTheServerIsRead) {
  const QuerySummary summary =
      rig({}, http_response(200, "",
                            "X-ClickHouse-Query-Id: theirs\r\nX-ClickHouse-Summary: "
                            "{\"read_rows\":\"7\",\"read_bytes\":\"70\",\"written_rows\":\"5\","
                            "\"written_bytes\":\"50\",\"elapsed_ns\":\"12345\"}\r\n"))
          .client.raw_insert("t", "{}", with_token());
  EXPECT_EQ(summary.query_id, "theirs");
  EXPECT_EQ(summary.read_rows, 7u);
  EXPECT_EQ(summary.read_bytes, 70u);
  EXPECT_EQ(summary.written_rows, 5u);
  EXPECT_EQ(summary.written_bytes, 50u);
  EXPECT_EQ(summary.elapsed_ns, 12345u);
  EXPECT_EQ(summary.endpoint, rig_->server.endpoint().to_string());
}

TEST_F(ClientOnTheWire, AnErrorIsReadFromHeaderAndBodyAndKeepsTheConnection) {
  TransportRig& r = rig({}, http_response(404,
                                          "Code: 60. DB::Exception: No (T) \xff (UNKNOWN_TABLE) "
                                          "(version 26.7.1 (official build))\n" +
                                              std::string(5000, '\n'),
                                          "X-ClickHouse-Exception-Code: 60\r\n"));
  const auto error = thrown_by<ClickHouseError>(
      [&] { r.client.raw_insert("t", "{}", {.format = "CSV", .query_id = "q"}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 60);
  EXPECT_EQ(error->details().name, "UNKNOWN_TABLE");
  EXPECT_EQ(error->details().http_status, 404);
  EXPECT_EQ(error->details().query_id, "q");
  EXPECT_EQ(error->details().message.size(), 1024u);
  EXPECT_THAT(error->details().message, HasSubstr("No (T) ? (UNKNOWN_TABLE)"));
  EXPECT_EQ(error->disposition(), Disposition::kWait);
  EXPECT_FALSE(error->may_have_been_applied());
  EXPECT_EQ(r.pool.stats().idle, 1u);
}

TEST_F(ClientOnTheWire, ACodeInTheBodyCountsWhenAProxyDroppedTheHeader) {
  const auto error = thrown_by<ClickHouseError>([&] {
    rig({}, http_response(500, "Code: 241. DB::Exception: Memory limit. (MEMORY_LIMIT_EXCEEDED)"))
        .client.raw_insert("t", "{}", with_token());
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 241);
  EXPECT_TRUE(error->may_have_been_applied());
}

TEST_F(ClientOnTheWire, AStatusWithoutACodeIsRetriedAndMayHaveBeenApplied) {
  const auto error = thrown_by<ClickHouseError>([&] {
    rig({}, http_response(503, "<html>busy</html>")).client.raw_insert("t", "{}", with_token());
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 0);
  EXPECT_EQ(error->disposition(), Disposition::kRetry);
  EXPECT_TRUE(error->may_have_been_applied());
}

TEST_F(ClientOnTheWire, ASessionThatTheServerHoldsLockedIsReplaced) {
  TransportRig& r = rig({}, http_response(500, "Code: 373. DB::Exception: locked",
                                          "X-ClickHouse-Exception-Code: 373\r\n"));
  const std::string before = r.client.session_id();
  EXPECT_THROW(r.client.raw_query("SELECT 1"), ClickHouseError);
  EXPECT_NE(r.client.session_id(), before);
}

TEST(ClientSession, ThatTheServerHoldsForAMomentIsWaitedFor) {
  std::atomic<int> refusals{2};
  TransportRig rig({[&](ScriptedConnection& connection) {
    for (;;) {
      connection.read_request();
      connection.send(refusals-- > 0 ? http_response(500, "Code: 373. DB::Exception: locked",
                                                     "X-ClickHouse-Exception-Code: 373\r\n")
                                     : http_response(200, "abc"));
    }
  }});
  const std::string id = rig.client.session_id();
  EXPECT_EQ(rig.client.raw_query("SELECT 1"), "abc");
  EXPECT_EQ(rig.client.session_id(), id);
}

TEST_F(ClientOnTheWire, PingWantsOk) {
  EXPECT_NO_THROW(rig({}, http_response(200, "Ok.\n")).client.ping());
  EXPECT_THAT(sent(), HasSubstr("GET /ping HTTP/1.1\r\n"));
  EXPECT_THROW(rig({}, http_response(404, "?")).client.ping(), ClickHouseError);
}

TEST_F(ClientOnTheWire, ATablesColumnsAreDescribed) {
  TransportRig& r =
      rig({}, http_response(200,
                            "id\tUInt64\t\t\t\t\t\nodd\\tname\tEnum8(\\'a\\' = 1)\tDEFAULT\t"
                            "concat(\\'\\\\\\\\\\', \\'x\\')\t\t\t\n"));
  const auto columns = r.client.describe_table("db.t");
  ASSERT_EQ(columns.size(), 2u);
  EXPECT_EQ(columns[0].name, "id");
  EXPECT_EQ(columns[0].type, "UInt64");
  EXPECT_EQ(columns[1].name, "odd\tname");
  EXPECT_EQ(columns[1].type, "Enum8('a' = 1)");
  EXPECT_EQ(columns[1].default_kind, "DEFAULT");
  EXPECT_EQ(columns[1].default_expression, "concat('\\\\', 'x')");
}

TEST(ClientWithSeveralHosts, GoesToTheNextWhenOneIsDown) {
  ScriptedServer healthy({answer_all(http_response(200, ""))});
  Endpoint dead;
  {
    const ScriptedServer gone({hold()});
    dead = gone.endpoint();
  }
  HttpSessionPool pool;
  EndpointList endpoints({dead, healthy.endpoint()});
  Client client({}, endpoints, pool);
  EXPECT_THROW(client.raw_insert("t", "{}", with_token()), NetworkError);
  EXPECT_NO_THROW(client.raw_insert("t", "{}", with_token()));
  EXPECT_NO_THROW(client.raw_insert("t", "{}", with_token()));  // round robin would fail here
}

TEST(Quoting, KeepsNamesNames) {
  EXPECT_EQ(quote_identifier("a`b\\c"), "`a\\`b\\\\c`");
  EXPECT_EQ(quote_table("t"), "`t`");
  EXPECT_EQ(quote_table("d.t"), "`d`.`t`");
  EXPECT_EQ(quote_table("d.t.x"), "`d`.`t.x`");
  EXPECT_EQ(quote_table("`d.x`.t"), "`d.x`.`t`");
  EXPECT_EQ(quote_table("\"d\".\"t\""), "\"d\".\"t\"");
  EXPECT_EQ(quote_table("`a`; DROP TABLE x; --`"), "`\\`a\\`; DROP TABLE x; --\\``");
}

TEST_F(ClientOnTheWire, ARedirectIsRefusedWithItsLocation) {
  TransportRig& r = rig(
      {}, http_response(302, "<html>moved</html>", "Location: https://db.example/?query=x\r\n"));
  try {
    r.client.raw_insert("t", "1\n", {.format = "TSV"});
    FAIL();
  } catch (const ClickHouseError& error) {
    EXPECT_THAT(error.what(), HasSubstr("redirects to https://db.example/?query=x"));
    EXPECT_EQ(error.disposition(), Disposition::kWait);
    EXPECT_FALSE(error.may_have_been_applied());
  }
}

}  // namespace
}  // namespace millrace::test
