// Something else than ClickHouse answers 200 for a while, through real proxies: nothing is taken
// for an insert, no row is lost, and the reason is said.
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/real_proxy.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

constexpr const char* kPage = "default_type text/html; return 200 '<html>we are back soon</html>';";
constexpr const char* kEmpty = "default_type ''; return 200 '';";
constexpr const char* kOk = "default_type text/plain; return 200 OK;";
constexpr const char* kHaproxyPage =
    "http-request return status 200 content-type text/html string '<html>soon</html>'";
constexpr const char* kHideHeaders =
    "proxy_hide_header X-ClickHouse-Query-Id; proxy_hide_header X-ClickHouse-Summary; "
    "proxy_hide_header X-ClickHouse-Server-Display-Name; proxy_hide_header X-ClickHouse-Timezone; "
    "proxy_hide_header X-ClickHouse-Format; proxy_hide_header X-ClickHouse-Exception-Tag;";
constexpr const char* kNotClickHouse = " is not ClickHouse: 200";

class NotClickHouse : public WithServers {
 protected:
  RealProxy proxy(ProxyKind kind = ProxyKind::kNginx, const std::string& rules = {}) const {
    return RealProxy(
        {.folder = folder("proxy"), .kind = kind, .upstream = clickhouse().port(), .rules = rules});
  }
  std::string config_through(const RealProxy& proxy, const std::string& more = {}) const {
    return "clickhouse: {endpoints: ['" + proxy.url() + "']" + more + "}\n" +
           pipelines_yaml({}, "delivery: exactly_once") +
           "workers: {count: 2, retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n";
  }
  std::int64_t position() const { return total(kafka().committed_offsets(name(), name())); }
  // A page stands before the server while rows come: they wait, and it is said why.
  void expect_rows_wait(RealProxy& proxy, const Millrace& millrace, const std::string& rules,
                        std::uint64_t first, std::uint64_t end) {
    proxy.restart(rules);
    produce_rows(kafka(), name(), first, end, 1);
    const auto waits = [&] {
      return millrace.metric("millrace_lanes_waiting", {"reason=\"NOT_CLICKHOUSE\""}) == 1 &&
             millrace.get("/readyz").body.find(kNotClickHouse) != std::string::npos;
    };
    ASSERT_TRUE(eventually(waits, kPatience, "the lane waits: " + rules)) << millrace.log();
    EXPECT_NE(millrace.get("/status").body.find(kNotClickHouse), std::string::npos);
    EXPECT_EQ(position(), static_cast<std::int64_t>(first));
    EXPECT_EQ(millrace.metric("millrace_inserted_rows_total"), static_cast<double>(first));
    proxy.restart("");
    ASSERT_TRUE(has_rows(name(), end));
    ASSERT_TRUE(eventually([&] { return position() == static_cast<std::int64_t>(end); }, kPatience,
                           "the position is committed"));
  }
  ClientOptions options_through(const RealProxy& proxy) const {
    return {.host = "127.0.0.1", .port = proxy.port(), .connect = false};
  }
  ProgramResult run(const RealProxy& proxy, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), built_program("millrace").string());
    arguments.insert(arguments.begin() + 2, {"--url", proxy.url()});
    return run_program(arguments, kPatience, sanitizer_environment());
  }
};

TEST_F(NotClickHouse, RowsWaitBehindAPageAnEmptyAnswerAndAnOk) {
  create_rows_table(clickhouse(), name(), 100'000);
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), 0, 100, 1);
  RealProxy nginx = proxy();
  Millrace millrace(folder(), config_through(nginx));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 100));
  ASSERT_TRUE(eventually([&] { return position() == 100; }, kPatience, "committed"));
  expect_rows_wait(nginx, millrace, kPage, 100, 500);
  expect_rows_wait(nginx, millrace, kEmpty, 500, 800);
  expect_rows_wait(nginx, millrace, kOk, 800, 1100);
  produce_rows(kafka(), name(), 1100, 1200, 1);
  EXPECT_TRUE(has_rows(name(), 1200));
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), 1200));
  EXPECT_EQ(millrace.metric("millrace_ledger_difference_records"), 0);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(NotClickHouse, RowsWaitBehindAPageOfHaproxysFromTheStart) {
  create_rows_table(clickhouse(), name(), 100'000);
  kafka().create_topic(name(), 1);
  RealProxy haproxy = proxy(ProxyKind::kHaproxy, kHaproxyPage);
  Millrace millrace(folder(), config_through(haproxy));
  millrace.start();
  expect_rows_wait(haproxy, millrace, kHaproxyPage, 0, 300);
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), 300));
  EXPECT_EQ(millrace.log().find("no column"), std::string::npos) << "a page describes no table";
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(NotClickHouse, CommandsFail) {
  create_rows_table(clickhouse(), name(), 0);
  const auto rows = folder("") / "rows.json";
  std::filesystem::create_directories(folder(""));
  write_file(rows, row_json(0));
  RealProxy nginx = proxy();
  for (const char* rules : {kPage, kEmpty, kOk}) {
    nginx.restart(rules);
    for (const auto& arguments :
         {std::vector<std::string>{"insert", "--table", name(), rows.string()},
          std::vector<std::string>{"query", "SELECT 1"}}) {
      const ProgramResult result = run(nginx, arguments);
      EXPECT_NE(result.exit_code, 0) << arguments[0] << rules;
      EXPECT_NE(result.output.find(kNotClickHouse), std::string::npos) << result.output;
    }
  }
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), 0u);
}

// A proxy makes a page with status 200 of what ClickHouse refuses.
TEST_F(NotClickHouse, AnErrorThatAProxyHidesIsNoSuccess) {
  RealProxy nginx = proxy(ProxyKind::kNginx,
                          "proxy_intercept_errors on; error_page 404 500 =200 @sorry; } "
                          "location @sorry { return 200 '';");
  Client client({.host = "127.0.0.1", .port = nginx.port(), .connect = false});
  EXPECT_THROW(client.raw_insert("missing", "{}", {.format = "JSONEachRow"}), NotClickHouseError);
  EXPECT_THROW(client.raw_query("SELECT * FROM missing"), NotClickHouseError);
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
}

TEST_F(NotClickHouse, AProxyThatTakesClickHousesFieldsAwayNeedsAProofHeader) {
  create_rows_table(clickhouse(), name(), 100'000);
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), 0, 100, 1);
  RealProxy nginx = proxy(ProxyKind::kNginx, kHideHeaders);
  ClientOptions options = options_through(nginx);
  EXPECT_THROW(Client(options).raw_query("SELECT 1"), NotClickHouseError);
  options.proof_header = "ETag";
  EXPECT_EQ(Client(options).raw_query("SELECT 1"), "1\n");

  Millrace millrace(folder(), config_through(nginx, ", proof_header: ETag"));
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 100));
  ASSERT_TRUE(eventually([&] { return position() == 100; }, kPatience, "committed"));
  expect_rows_wait(nginx, millrace, kEmpty, 100, 200);
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), 200));
  EXPECT_EQ(millrace.stop(), 0);

  nginx.restart(std::string(kHideHeaders) + " proxy_hide_header ETag;");
  EXPECT_THROW(Client(options).raw_query("SELECT 1"), NotClickHouseError);
  options.proof_header = "";
  options.trust_status = true;
  EXPECT_EQ(Client(options).raw_query("SELECT 1"), "1\n");
}

}  // namespace
}  // namespace millrace::test
