// Behind the proxies that people have, with their default limits: nginx (bodies of 1 MiB, request
// lines of 8 KiB) and haproxy (headers of 16 KiB). Everything arrives, or the lane says what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/advice.h"
#include "pipeline/failure.h"
#include "tests/integration/servers.h"
#include "tests/support/real_proxy.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;

constexpr const char* kQuickProbes =
    "workers: {retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n";
constexpr double kMiB = 1 << 20;

class ProxyTest : public WithServers {
 protected:
  RealProxy proxy(const std::string& rules = {}, ProxyKind kind = ProxyKind::kNginx,
                  const std::string& sub = "proxy") const {
    return RealProxy(
        {.folder = folder(sub), .kind = kind, .upstream = clickhouse().port(), .rules = rules});
  }
  std::string config_for(const RealProxy& proxy, const std::string& pipeline_more = {}) const {
    return "clickhouse: {endpoints: ['" + proxy.url() + "']}\n" +
           pipelines_yaml("options: {session.timeout.ms: '6000'}", pipeline_more) + kQuickProbes;
  }
  void create_table(const std::string& columns) const {
    clickhouse().query("CREATE TABLE " + name() + " (" + columns +
                       ") ENGINE = MergeTree ORDER BY id SETTINGS "
                       "non_replicated_deduplication_window = 1000");
  }
  void produce(const std::vector<std::string>& messages) const {
    kafka().produce_texts(name(), messages);
  }
  // {"id":7,"s":"xxx…"}, of so many letters.
  static std::vector<std::string> rows(int first, int end, std::size_t letters) {
    std::vector<std::string> all;
    for (int id = first; id < end; ++id)
      all.push_back("{\"id\":" + std::to_string(id) + ",\"s\":\"" +
                    std::string(letters, static_cast<char>('a' + id % 26)) + "\"}");
    return all;
  }
  testing::AssertionResult has_each_row_once(int rows) const {
    const std::string wanted = std::to_string(rows) + "\t" + std::to_string(rows);
    return eventually(
        [&] {
          return clickhouse().query("SELECT count(), uniqExact(id) FROM " + name()) == wanted;
        },
        kPatience, wanted + " rows and different ones");
  }
  static testing::AssertionResult waits_for(const Millrace& millrace, const std::string& reason) {
    return eventually(
        [&] {
          return millrace.metric("millrace_lanes_waiting", {"reason=\"" + reason + "\""})
                     .value_or(0) > 0;
        },
        kPatience, "a lane waits for " + reason);
  }
};

// The statement of 9 KB would make a request line of 12.
TEST_F(ProxyTest, ATableOfManyColumnsIsFilledThroughEachOfThem) {
  std::string columns = "id UInt64", values;
  for (int i = 0; i < 300; ++i) {
    const std::string column = "sensor_" + std::to_string(1000 + i) + "_xxxxxxxxxxxxxxx";
    columns += ", " + column + " Float64";
    values += ",\"" + column + "\":" + std::to_string(i);
  }
  create_table(columns);
  kafka().create_topic(name(), 1);
  int rows = 0;
  for (const ProxyKind kind : {ProxyKind::kNginx, ProxyKind::kHaproxy}) {
    const std::string sub = kind == ProxyKind::kNginx ? "nginx" : "haproxy";
    const RealProxy before = proxy({}, kind, sub);
    std::vector<std::string> messages;
    for (int end = rows + 3; rows < end; ++rows)
      messages.push_back("{\"id\":" + std::to_string(rows) + values + "}");
    produce(messages);
    Millrace millrace(folder(sub + "-millrace"), config_for(before));
    millrace.start();
    EXPECT_TRUE(has_each_row_once(rows)) << sub << millrace.get("/status").body;
    EXPECT_EQ(millrace.metric("millrace_encoded_blocks_total", {"format=\"Native\""}).value_or(0),
              1);
    EXPECT_EQ(millrace.stop(), 0);
  }
}

TEST_F(ProxyTest, BlocksAboveTheProxysLimitGoInPartsAndLaterOnesStayBelowIt) {
  create_table("id UInt64, s String");
  kafka().create_topic(name(), 1);
  produce(rows(0, 3'000, 1'000));
  const RealProxy nginx = proxy();
  Millrace millrace(folder(), config_for(nginx));
  millrace.start();
  EXPECT_TRUE(has_each_row_once(3'000)) << millrace.get("/status").body;
  const auto limit = [&] { return millrace.metric("millrace_body_limit_bytes").value_or(0); };
  EXPECT_GT(limit(), kMiB / 4);
  EXPECT_LE(limit(), kMiB);
  EXPECT_THAT(millrace.get("/status").body,
              HasSubstr("\"body_limit_bytes\":" + std::to_string(static_cast<int>(limit()))));
  EXPECT_THAT(millrace.log(), HasSubstr("refuses a body of"));
  EXPECT_THAT(millrace.log(), HasSubstr("client_max_body_size"));

  // nginx's log has a line for each body that it refuses.
  const std::string refusals = read_file(folder("proxy") / "log");
  produce(rows(3'000, 8'000, 1'000));
  EXPECT_TRUE(has_each_row_once(8'000)) << millrace.get("/status").body;
  EXPECT_EQ(read_file(folder("proxy") / "log"), refusals) << "what is known is not tried again";
  EXPECT_EQ(millrace.metric("millrace_retries_total").value_or(0), 0);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(ProxyTest, ARecordThatIsTooLargeAloneWaitsForTheOperator) {
  create_table("id UInt64, s String");
  kafka().create_topic(name(), 1);
  std::vector<std::string> messages = rows(0, 20, 1'000);
  messages.push_back(rows(20, 21, 200'000).front());
  for (std::string& row : rows(21, 40, 1'000)) messages.push_back(std::move(row));
  produce(messages);
  RealProxy nginx = proxy("client_max_body_size 100k;");
  Millrace millrace(folder(), config_for(nginx));
  millrace.start();
  ASSERT_TRUE(waits_for(millrace, "HTTP_413")) << millrace.get("/status").body;
  const std::string status = millrace.get("/status").body;
  EXPECT_THAT(status, HasSubstr("offset 20"));
  EXPECT_THAT(status, HasSubstr("client_max_body_size"));
  EXPECT_THAT(status, HasSubstr("batch.target_bytes"));
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), 0u) << "of its block";
  // Started again behind a proxy that takes more, the block goes as a whole: nothing is twice.
  millrace.kill9();
  nginx.restart("client_max_body_size 10m;");
  millrace.start();
  EXPECT_TRUE(has_each_row_once(40)) << millrace.get("/status").body;
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(ProxyTest, DeadLettersAboveTheLimitAreKeptInParts) {
  create_table("id UInt64, s String");
  kafka().create_topic(name(), 1);
  std::vector<std::string> messages = rows(0, 10, 1'000);
  for (int i = 0; i < 300; ++i) messages.push_back("{\"id\":\"" + std::string(1'000, 'x') + "\"}");
  produce(messages);
  const RealProxy nginx = proxy("client_max_body_size 100k;");
  Millrace millrace(folder(), config_for(nginx, "dead_letters: {table: " + name() + "_letters}"));
  millrace.start();
  EXPECT_TRUE(has_rows(name() + "_letters", 300)) << millrace.get("/status").body;
  EXPECT_TRUE(has_each_row_once(10));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(ProxyTest, AProxyThatForbidsMakesTheLaneWaitUntilItAllows) {
  create_table("id UInt64, s String");
  kafka().create_topic(name(), 1);
  produce(rows(0, 10, 10));
  RealProxy nginx = proxy("if ($arg_query ~ INSERT) { return 403; }");
  Millrace millrace(folder(), config_for(nginx));
  millrace.start();
  ASSERT_TRUE(waits_for(millrace, "HTTP_403")) << millrace.get("/status").body;
  EXPECT_THAT(millrace.get("/status").body, HasSubstr("web application firewall"));
  nginx.restart("");
  EXPECT_TRUE(has_each_row_once(10)) << millrace.get("/status").body;
  EXPECT_EQ(millrace.stop(), 0);
}

// What proxies answer by themselves, and what is made of it.
class ProxyAnswers : public ProxyTest {
 protected:
  static LaneWait failure_behind(const RealProxy& proxy, const InsertOptions& options = {},
                                 const std::string& body = "1\n") {
    Client client({.host = "127.0.0.1",
                   .port = proxy.port(),
                   .autogenerate_session_id = false,
                   .connect = false});
    try {
      client.raw_insert("t", body, options);
    } catch (const TransportError& error) {
      EXPECT_NE(error.what(), std::string());
      return describe_failure(error);
    }
    ADD_FAILURE() << "no error";
    return {};
  }
  static void expect_advice(const LaneWait& failure, const std::string& reason,
                            Disposition disposition) {
    EXPECT_EQ(failure.reason, reason);
    EXPECT_EQ(failure.disposition, disposition) << reason;
    const AdviceRow* row = find_advice(failure);
    ASSERT_NE(row, nullptr) << reason;
    EXPECT_EQ(row->reason, reason) << "its own, and not that of its kind";
  }
};

TEST_F(ProxyAnswers, EachStatusHasAReasonAndAnAdviceOfItsOwn) {
  RealProxy nginx = proxy("return 400;");
  for (const int status :
       {400, 401, 403, 404, 405, 411, 413, 414, 415, 429, 431, 500, 501, 502, 503, 504}) {
    const bool passes = status == 429 || (status >= 500 && status != 501);
    nginx.restart("return " + std::to_string(status) + ";");
    expect_advice(failure_behind(nginx), "HTTP_" + std::to_string(status),
                  passes ? Disposition::kRetry : Disposition::kWait);
  }
  for (const int status : {301, 302, 303, 307, 308}) {
    nginx.restart("return " + std::to_string(status) + " https://clickhouse.example/;");
    const LaneWait failure = failure_behind(nginx);
    expect_advice(failure, "HTTP_" + std::to_string(status), Disposition::kWait);
    EXPECT_THAT(failure.message, HasSubstr("redirects to https://clickhouse.example/"));
  }
}

TEST_F(ProxyAnswers, WhatTheyRefuseByThemselves) {
  const RealProxy nginx = proxy();
  const InsertOptions long_url{.format = "TSV", .deduplication_token = std::string(9'000, 't')};
  expect_advice(failure_behind(nginx, long_url), "HTTP_414", Disposition::kWait);
  expect_advice(failure_behind(nginx, {.format = "TSV"}, std::string(2'000'000, '1')), "HTTP_413",
                Disposition::kWait);
  const InsertOptions long_header{.format = "TSV",
                                  .headers = {{"X-Long", std::string(9'000, 'h')}}};
  expect_advice(failure_behind(nginx, long_header), "HTTP_400", Disposition::kWait);
  const RealProxy haproxy = proxy({}, ProxyKind::kHaproxy, "haproxy");
  const InsertOptions longer{.format = "TSV", .deduplication_token = std::string(17'000, 't')};
  expect_advice(failure_behind(haproxy, longer), "HTTP_400", Disposition::kWait);
  // Nothing listens behind them.
  const RealProxy alone({.folder = folder("alone"), .upstream = free_port()});
  expect_advice(failure_behind(alone, {.format = "TSV"}), "HTTP_502", Disposition::kRetry);
  const RealProxy lonely(
      {.folder = folder("lonely"), .kind = ProxyKind::kHaproxy, .upstream = free_port()});
  expect_advice(failure_behind(lonely, {.format = "TSV"}), "HTTP_503", Disposition::kRetry);
}

}  // namespace
}  // namespace millrace::test
