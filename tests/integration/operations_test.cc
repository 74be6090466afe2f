// What an operator does to a running service: pause, resume, drain. No row is lost or doubled by
// it, and the service says what it did.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRows = 2000;
constexpr int kPartitions = 2;

class OperationsTest : public WithServers {
 protected:
  void SetUp() override {
    WithServers::SetUp();
    kafka().create_topic(name(), kPartitions);
    create_rows_table(clickhouse(), name(), 1000);
  }
  void produce(std::uint64_t first, std::uint64_t end) {
    produce_rows(kafka(), name(), first, end, kPartitions);
  }
  static ProgramResult run_command(const std::string& command, const Millrace& millrace) {
    return run_program(
        {built_program("millrace").string(), command, "-c", millrace.config_file().string()},
        kPatience, sanitizer_environment());
  }
  static testing::AssertionResult is_paused(const Millrace& millrace, bool paused) {
    return eventually(
        [&] {
          return millrace.metric("millrace_pipeline_paused") == (paused ? 1 : 0) &&
                 millrace.metric("millrace_lanes_paused") == (paused ? kPartitions : 0);
        },
        kPatience, paused ? "all lanes are paused" : "no lane is paused");
  }
  testing::AssertionResult is_committed(std::int64_t rows) {
    return eventually([&] { return total(kafka().committed_offsets(name(), name())) == rows; },
                      kPatience, std::to_string(rows) + " rows are committed");
  }
  static void expect_each_row_once(const RealClickHouse& server, const std::string& table,
                                   std::uint64_t rows) {
    EXPECT_EQ(table_checksums(server, table), produced_checksums(server, rows));
  }
};

TEST_F(OperationsTest, APausedPipelineReadsNothingKeepsItsLanesAndGoesOnWhereItWas) {
  Millrace millrace(folder(), config());
  millrace.start();
  produce(0, kRows);
  ASSERT_TRUE(has_rows(name(), kRows));
  const ProgramResult paused = run_command("pause", millrace);
  ASSERT_EQ(paused.exit_code, 0) << paused.output;
  EXPECT_NE(paused.output.find("\"paused\":true"), std::string::npos) << paused.output;
  ASSERT_TRUE(is_paused(millrace, true));
  EXPECT_TRUE(is_committed(kRows)) << "what was read is committed";

  produce(kRows, 2 * kRows);
  // It knows that there is more, and does not read it.
  const auto lag = [&] { return millrace.metric("millrace_lane_lag_messages").value_or(0); };
  EXPECT_TRUE(eventually([&] { return lag() == kRows; }, kPatience, "the lag is known"));
  EXPECT_EQ(millrace.metric("millrace_read_rows_total"), kRows);
  EXPECT_EQ(millrace.metric("millrace_lanes"), kPartitions) << "it is a member of the group";
  EXPECT_TRUE(millrace.get("/readyz").ok());
  EXPECT_NE(millrace.get("/status").body.find("\"paused\":true"), std::string::npos);

  const ProgramResult resumed = run_command("resume", millrace);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.output;
  EXPECT_TRUE(has_rows(name(), 2 * kRows));
  EXPECT_TRUE(is_paused(millrace, false));
  EXPECT_TRUE(is_committed(2 * kRows));
  EXPECT_EQ(millrace.stop(), 0);
  expect_each_row_once(clickhouse(), name(), 2 * kRows);
}

TEST_F(OperationsTest, ADrainEndsItAsSigtermDoes) {
  produce(0, kRows);
  Millrace millrace(folder(), config());
  millrace.start();
  ASSERT_TRUE(
      eventually([&] { return millrace.metric("millrace_read_rows_total").value_or(0) > 0; },
                 kPatience, "rows are read"));
  const ProgramResult drained = run_command("drain", millrace);
  EXPECT_EQ(drained.exit_code, 0) << drained.output;
  EXPECT_EQ(millrace.wait(kPatience), 0) << millrace.log();
  EXPECT_NE(millrace.log().find("drained"), std::string::npos);
  const auto rows = clickhouse().number("SELECT count() FROM " + name());
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), static_cast<std::int64_t>(rows));
}

TEST_F(OperationsTest, ASigtermAfterADrainIsTheFirstOne) {
  produce(0, kRows);
  clickhouse().freeze();
  Millrace millrace(folder(), config("shutdown: {grace: 2s}\n"));
  millrace.start();
  ASSERT_TRUE(
      eventually([&] { return millrace.metric("millrace_read_rows_total").value_or(0) > 0; },
                 kPatience, "rows are read"));
  EXPECT_EQ(run_command("drain", millrace).exit_code, 0);
  EXPECT_EQ(millrace.stop(), 3) << "the drain went on";
  clickhouse().thaw();
  EXPECT_EQ(total(kafka().committed_offsets(name(), name())), 0);
}

TEST_F(OperationsTest, AReloadPutsLiveSettingsIntoEffectAndNamesTheOthers) {
  const auto with = [&](const std::string& max_age, const std::string& more = {}) {
    return clickhouse_yaml() + pipelines_yaml({}, "batch: {max_age: " + max_age + "}") + more;
  };
  produce(0, kRows);
  Millrace millrace(folder(), with("1h"));
  millrace.start();
  ASSERT_TRUE(eventually(
      [&] { return millrace.metric("millrace_source_messages_total").value_or(0) == kRows; },
      kPatience, "all rows are read"));
  EXPECT_EQ(clickhouse().number("SELECT count() FROM " + name()), 0u) << "the block is young";
  millrace.configure(with("100ms", "memory: {budget: 1GiB}\n"));
  millrace.signal(SIGHUP);
  EXPECT_TRUE(has_rows(name(), kRows));
  EXPECT_NE(millrace.log().find("memory.budget: 512MiB -> 1GiB"), std::string::npos);

  millrace.configure(with("200ms"));
  const ProgramResult again = run_command("reload", millrace);
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_NE(again.output.find("batch.max_age"), std::string::npos) << again.output;
  EXPECT_NE(again.output.find("\"needs_restart\":[]"), std::string::npos) << again.output;
  EXPECT_EQ(millrace.stop(), 0);
  expect_each_row_once(clickhouse(), name(), kRows);
}

TEST_F(OperationsTest, AReloadOfAFileWithAFaultKeepsTheOldConfiguration) {
  Millrace millrace(folder(), config());
  millrace.start();
  produce(0, kRows);
  ASSERT_TRUE(has_rows(name(), kRows));
  EXPECT_EQ(millrace.metric("millrace_config_last_reload_successful"), 1);
  millrace.configure(config("worker: {count: 2}\n"));
  const HttpReply reply = millrace.post("/reload");
  EXPECT_EQ(reply.status, 422) << reply.body;
  EXPECT_NE(reply.body.find("did you mean"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find(millrace.config_file().string() + ":"), std::string::npos);
  EXPECT_NE(millrace.log().find("did you mean"), std::string::npos);
  EXPECT_EQ(millrace.metric("millrace_config_last_reload_successful"), 0);
  produce(kRows, 2 * kRows);
  EXPECT_TRUE(has_rows(name(), 2 * kRows));

  millrace.configure(config());
  EXPECT_EQ(millrace.post("/reload").status, 200);
  EXPECT_EQ(millrace.metric("millrace_config_last_reload_successful"), 1);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(OperationsTest, TheLogLevelChangesAtOnce) {
  Millrace millrace(folder(), config("log: {level: error}\n"));
  millrace.start();
  ASSERT_TRUE(eventually([&] { return millrace.get("/livez").ok(); }, kPatience, "it runs"));
  EXPECT_EQ(millrace.log().find("\"info\""), std::string::npos);
  EXPECT_EQ(run_program({built_program("millrace").string(), "log-level", "-c",
                         millrace.config_file().string(), "info"},
                        kPatience, sanitizer_environment())
                .exit_code,
            0);
  EXPECT_NE(millrace.log().find("the log level has changed"), std::string::npos);
  EXPECT_EQ(millrace.post("/log-level?level=loud").status, 400);
  EXPECT_EQ(millrace.stop(), 0);
}

TEST_F(OperationsTest, ACommandWithoutAServiceSaysWhereItAsked) {
  const Millrace never(folder(), config());
  const ProgramResult result = run_command("pause", never);
  EXPECT_EQ(result.exit_code, 1) << result.output;
  EXPECT_NE(result.output.find("127.0.0.1:" + std::to_string(never.port())), std::string::npos)
      << result.output;
}

}  // namespace
}  // namespace millrace::test
