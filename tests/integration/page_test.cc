// The page of the admin port, in a real browser.
#include <gmock/gmock.h>

#include <atomic>
#include <sstream>

#include "service/admin_server.h"
#include "service/status.h"
#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/browser.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class PageTest : public WithServers {
 protected:
  BrowserPage open(const Millrace& millrace) const {
    return open_page(folder("browser"), "http://127.0.0.1:" + std::to_string(millrace.port()));
  }
};

// Lines "field<TAB>value": what must stand on the page.
constexpr const char* kShown = R"jq(
  (.pipelines[0] | (.tables[0] | ["rows", .inserted_rows], ["why", .guarantee_because],
                                 ["guarantee", (.guarantee | gsub("_"; " "))]),
                   (.lanes[] | ["lane", "\(.topic)/\(.partition)"], ["position", .position])),
  (.workers[] | ["session", .clickhouse_session]),
  ["lag", ([.pipelines[].lanes[].lag] | add)], ["limiting_stage", .limiting_stage.stage],
  ["version", "millrace \(.version)"], ["config_file", .config_file],
  ["created", .http_sessions.created], ["hard_limit", .http_sessions.options.hard_limit],
  ["queued", .queue.queued_blocks]
  | @tsv)jq";

TEST_F(PageTest, ShowsWhatStatusSays) {
  kafka().create_topic(name(), 2);
  create_rows_table(clickhouse(), name(), 1000);
  produce_rows(kafka(), name(), 0, 900, 2);
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(has_rows(name(), 900));
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lane_lag_messages") == 0; },
                         kPatience, "no lag"));
  const BrowserPage page = open(millrace);
  EXPECT_EQ(page.warnings, "");
  write_file(folder("status"), millrace.get("/status").body);
  std::istringstream shown(
      run_program({"/usr/bin/jq", "-r", kShown, folder("status").string()}).output);
  int fields = 0;
  for (std::string field, value; std::getline(shown, field, '\t') && std::getline(shown, value);) {
    ++fields;
    EXPECT_THAT(page.dom, HasSubstr("data-field=\"" + field + "\">" + value + "<"));
  }
  EXPECT_GE(fields, 18);
  EXPECT_THAT(page.dom,
              HasSubstr("<section id=\"waiting\" aria-labelledby=\"waiting-title\" hidden"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(PageTest, ALaneThatWaitsSaysWhyAndWhatToDoAndNothingOfItIsRunAsHtml) {
  kafka().create_topic(name(), 1);
  produce_rows(kafka(), name(), 0, 10, 1);
  const std::string table = "`missing<img src=x>`";
  Millrace millrace(folder(), clickhouse_yaml() + "pipelines:\n  - {name: test, table: '" + table +
                                  "', source: {kafka: {brokers: '" + kafka().brokers() +
                                  "', group: " + name() + ", topics: [" + name() + "]}}}\n" +
                                  "shutdown: {grace: 1s}\n");
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lanes_waiting") == 1; }, kPatience,
                         "the lane waits"));
  const BrowserPage page = open(millrace);
  EXPECT_EQ(page.warnings, "");
  EXPECT_THAT(page.dom, HasSubstr("<body data-state=\"alarm\""));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"reason\">UNKNOWN_TABLE<"));
  EXPECT_THAT(page.dom, HasSubstr(name() + "/0 → `missing&lt;img"));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"what_to_do\">create table <code>missing&lt;img"));
  EXPECT_THAT(page.dom, Not(HasSubstr("<img")));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"state\">waits: UNKNOWN_TABLE<"));
  millrace.stop();
}

TEST_F(PageTest, SaysThatAnOperatorHasPausedAPipelineAndHasNoPauseOfItsOwn) {
  kafka().create_topic(name(), 1);
  create_rows_table(clickhouse(), name(), 1000);
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lanes") == 1; }, kPatience,
                         "it has its lane"));
  ASSERT_EQ(millrace.post("/pipelines/test/pause").status, 200);
  produce_rows(kafka(), name(), 0, 10, 1);
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_lane_lag_messages") == 10; },
                         kPatience, "it lags"));
  const BrowserPage page = open(millrace);
  EXPECT_EQ(page.warnings, "");
  EXPECT_THAT(page.dom, HasSubstr("<body data-state=\"care\""));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"state\">Paused<"));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"paused\">paused by an operator<"));
  EXPECT_THAT(page.dom, HasSubstr("data-field=\"limiting_stage\">paused<"));
  EXPECT_THAT(page.dom, HasSubstr("id=\"refresh\">Stop refreshing<"));
  EXPECT_THAT(page.dom, Not(HasSubstr(">Pause<")));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(PageTest, SaysSoWhenItGetsNoAnswerAnyMoreAndKeepsTheLastOne) {
  StatusSnapshot snapshot;
  snapshot.version = "of the last answer";
  std::atomic<int> asked = 0;
  AdminConfig config;
  config.host = "127.0.0.1", config.port = 0;
  AdminServer server(config, {.metrics = [] { return std::string(); },
                              .status =
                                  [&] {
                                    if (asked++ > 0) throw std::runtime_error("no answer");
                                    return to_json(snapshot);
                                  },
                              .live_faults = [] { return std::vector<std::string>(); },
                              .ready_reasons = [] { return std::vector<std::string>(); }});
  server.start();
  const BrowserPage page =
      open_page(folder("browser"), "http://127.0.0.1:" + std::to_string(server.port()));
  EXPECT_GT(asked, 2) << "it goes on asking";
  EXPECT_THAT(page.dom, HasSubstr("<body data-state=\"unreachable\""));
  EXPECT_THAT(page.dom, HasSubstr("Can’t be reached"));
  EXPECT_THAT(page.dom, HasSubstr("millrace of the last answer"));
}

}  // namespace
}  // namespace millrace::test
