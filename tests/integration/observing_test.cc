// What people are told of a running service is true: what limits it, for whom it waits, that it is
// paused; and what others have written does not steer their terminals.
#include <gmock/gmock.h>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ObservingTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), 1);
  }
  void produce(std::uint64_t first, std::uint64_t end) {
    produce_rows(kafka(), name(), first, end, 1);
  }
  static testing::AssertionResult is_limited_by(const Millrace& millrace, const std::string& what) {
    const std::string wanted = "\"limiting_stage\":{\"stage\":\"" + what + "\"";
    return eventually(
        [&] {
          return millrace.get("/status").body.find(wanted) != std::string::npos &&
                 millrace.metric("millrace_limiting_stage", {"stage=\"" + what + "\""}) == 1 &&
                 millrace.metric("millrace_limiting_stage") == 1;
        },
        kPatience, what + " limits");
  }
};

TEST_F(ObservingTest, WhatLimitsIsWhatStandsInTheWay) {
  produce(0, 1000);
  Millrace millrace(folder(), config());
  millrace.start();
  EXPECT_TRUE(is_limited_by(millrace, "waiting"));
  const HttpReply ready = millrace.get("/readyz");
  EXPECT_EQ(ready.status, 200) << "others can flow";
  EXPECT_THAT(ready.body, AllOf(HasSubstr("ready\n"), HasSubstr("lane " + name() + "/0 waits"),
                                HasSubstr("UNKNOWN_TABLE: create table " + name())));

  create_rows_table(clickhouse(), name(), 1000);
  ASSERT_TRUE(has_rows(name(), 1000));
  EXPECT_TRUE(is_limited_by(millrace, "source"));
  EXPECT_EQ(millrace.get("/readyz").body, "ready\n");

  ASSERT_EQ(millrace.post("/pipelines/test/pause").status, 200);
  produce(1000, 2000);
  EXPECT_TRUE(is_limited_by(millrace, "paused"));

  clickhouse().kill9();
  ASSERT_EQ(millrace.post("/pipelines/test/resume").status, 200);
  EXPECT_TRUE(is_limited_by(millrace, "unreachable"));
  clickhouse().start();
  ASSERT_TRUE(has_rows(name(), 2000));
  EXPECT_TRUE(is_limited_by(millrace, "source"));
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(ObservingTest, ALaneThatWaitsCanMakeAPodNotReady) {
  produce(0, 10);
  Millrace millrace(folder(), "");
  write_file(millrace.config_file(),
             config("admin: {listen: '127.0.0.1:" + std::to_string(millrace.port()) +
                    "', ready_while_waiting: false}\n"));
  millrace.start();
  const auto says_so = [&] {
    const HttpReply ready = millrace.get("/readyz");
    return ready.status == 503 && ready.body.find("create table " + name()) != std::string::npos;
  };
  EXPECT_TRUE(eventually(says_so, kPatience, "/readyz names the table"));
  EXPECT_EQ(millrace.get("/livez").status, 200);
  EXPECT_EQ(millrace.metric("millrace_ready"), 0);
  create_rows_table(clickhouse(), name(), 1000);
  EXPECT_TRUE(eventually([&] { return millrace.get("/readyz").ok(); }, kPatience, "ready"));
  EXPECT_EQ(millrace.stop(), 0);
}

// A payload with a title for the window, a cleared screen, and text that runs backwards.
TEST_F(ObservingTest, APayloadDoesNotSteerTheTerminalOfThoseWhoLook) {
  const std::string bad =
      "{\"id\":\"\x1b]0;owned\a\x1b[2J\xc2\x9b"
      "2J\u202ex\xff\"}";
  clickhouse().query("CREATE TABLE " + name() + " (id UInt64) ENGINE = MergeTree ORDER BY id");
  kafka().produce_texts(name(), {bad});
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.metric("millrace_dead_letters_total") == 1; },
                         kPatience, "a dead letter"));
  EXPECT_EQ(millrace.stop(), 0);
  const auto run = [&](const std::string& command, bool terminal) {
    const std::string line = "'" + built_program("millrace").string() + "' dead-letters " +
                             command + " -c '" + millrace.config_file().string() + "'";
    return terminal ? run_program({"/usr/bin/script", "-qec", line, "/dev/null"}, kPatience,
                                  sanitizer_environment())
                    : run_program({"/bin/sh", "-c", line}, kPatience, sanitizer_environment());
  };
  const auto steers = HasSubstr("\x1b");
  for (const char* command : {"show", "list", "list --json"}) {
    const ProgramResult seen = run(command, true);
    EXPECT_EQ(seen.exit_code, 0) << seen.output;
    EXPECT_THAT(seen.output,
                AllOf(Not(steers), Not(HasSubstr("\xc2\x9b")), Not(HasSubstr("\u202e"))))
        << command;
  }
  EXPECT_THAT(run("show", true).output,
              HasSubstr("\\x1b]0;owned\\x07\\x1b[2J\\u009b2J\\u202ex\\xff"));
  EXPECT_THAT(run("show", false).output, HasSubstr(bad)) << "into a pipe as it is";
  EXPECT_THAT(run("show --raw", true).output, HasSubstr(bad));
}

}  // namespace
}  // namespace millrace::test
