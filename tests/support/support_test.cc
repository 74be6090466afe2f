// The helpers of the integration tests must themselves be true.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/child_process.h"
#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

using std::chrono::seconds;

bool process_exists(pid_t pid) { return kill(pid, 0) == 0; }

TEST(ChildProcess, ReportsExitCodeAndOutputOfBothStreams) {
  const auto result = run_program({"/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output, "out\nerr\n");
}

TEST(ChildProcess, ReportsTheSignalThatEndedIt) {
  const TempDir dir;
  ChildProcess child({.name = "sleep",
                      .arguments = {"/bin/sleep", "1000"},
                      .output = dir / "log",
                      .environment = {}});
  EXPECT_TRUE(child.running());
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(seconds{30}), 128 + SIGTERM);
  EXPECT_FALSE(child.running());
}

TEST(ChildProcess, EndsWithItsWholeGroupWhenTheObjectGoes) {
  const TempDir dir;
  pid_t child_pid = 0, grandchild_pid = 0;
  {
    ChildProcess child({.name = "sh",
                        .arguments = {"/bin/sh", "-c", "sleep 1000 & echo $!; wait"},
                        .output = dir / "log",
                        .environment = {}});
    ASSERT_TRUE(eventually([&] { return child.output().ends_with('\n'); }, seconds{30}, "a PID"));
    child_pid = child.pid();
    grandchild_pid = static_cast<pid_t>(std::stol(child.output()));
    EXPECT_TRUE(process_exists(grandchild_pid));
  }
  EXPECT_FALSE(process_exists(child_pid));
  // Somebody else reaps the grandchild; until then it is a zombie with no command line.
  const auto gone = [&] {
    return read_file("/proc/" + std::to_string(grandchild_pid) + "/cmdline").empty();
  };
  EXPECT_TRUE(eventually(gone, seconds{30}, "the grandchild is gone"));
}

TEST(ChildProcess, EnvironmentIsAddedToOurs) {
  setenv("MILLRACE_TEST_A", "ours", 1);
  setenv("MILLRACE_TEST_B", "ours", 1);
  const auto result = run_program({"/bin/sh", "-c", "echo $MILLRACE_TEST_A $MILLRACE_TEST_B"},
                                  seconds{30}, {{"MILLRACE_TEST_B", "theirs"}});
  EXPECT_EQ(result.output, "ours theirs\n");
}

TEST(ChildProcess, CountsItsCpuTimeAndMemory) {
  const TempDir dir;
  ChildProcess child({.name = "busy",
                      .arguments = {"/bin/sh", "-c", "while :; do :; done"},
                      .output = dir / "log",
                      .environment = {}});
  EXPECT_TRUE(eventually([&] { return child.cpu_time() > Millis{100}; }, seconds{60}, "CPU time"));
  EXPECT_GT(child.resident_bytes(), 100'000U);
}

TEST(RunProgram, KillsWhatDoesNotEndInTime) {
  EXPECT_EQ(run_program({"/bin/sleep", "1000"}, seconds{0}).exit_code, -1);
}

TEST(Eventually, FailsWithTheReasonAfterTheDeadline) {
  const auto result = eventually([] { return false; }, seconds{0}, "pigs fly");
  EXPECT_FALSE(result);
  EXPECT_NE(std::string(result.message()).find("pigs fly"), std::string::npos);
}

TEST(FreePort, IsNeverTheSameTwiceAndNobodyListens) {
  const auto a = free_port(), b = free_port();
  EXPECT_NE(a, b);
  const auto reply = http_request(a, "/", {}, seconds{5});
  EXPECT_EQ(reply.status, 0);
  EXPECT_EQ(reply.body, "connect: Connection refused");
}

TEST(TempDir, GoesWithItsContent) {
  std::filesystem::path path;
  {
    const TempDir dir;
    path = dir.path();
    write_file(dir / "file", "text");
    EXPECT_EQ(read_file(dir / "file"), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(UrlEncode, LeavesOnlyPlainCharacters) {
  EXPECT_EQ(url_encode("a-b_c.1 &=\xC3\xA9"), "a-b_c.1%20%26%3D%C3%A9");
}

}  // namespace
}  // namespace millrace::test
