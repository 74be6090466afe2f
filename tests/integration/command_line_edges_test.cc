// What users of `millrace query` and `millrace insert` trip over: users who may change nothing,
// statements with a format of their own, devices, signals, results that are large.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tests/integration/command_line.h"
#include "tests/support/local_listener.h"

namespace millrace::test {
namespace {

class CommandLineEdges : public CommandLine {
 protected:
  // A line of the shell that becomes the program.
  static ChildProcess process(const std::string& line, const std::string& url = server().url()) {
    auto environment = CommandLine::environment();
    environment["CLICKHOUSE_URL"] = url;
    return ChildProcess({.name = "millrace",
                         .arguments = {"/bin/sh", "-c", line},
                         .output = file("log"),
                         .environment = environment});
  }
};

TEST_F(CommandLineEdges, AUserWhoMayChangeNoSettingCanQuery) {
  const Answer answer = shell("m query 'SELECT currentUser()' --user limited");
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_EQ(answer.out, "limited\n");
}

// On a terminal (util-linux' script makes one); elsewhere the bytes are what was asked for.
TEST_F(CommandLineEdges, AResultDoesNotSteerTheTerminalThatShowsIt) {
  const auto sql = file("steer.sql");
  write_file(sql, "SELECT 'x' || char(27, 91, 50, 74) || char(255) FORMAT TSV");
  const std::string steering = "x\x1b[2J\xff";
  const auto on_terminal = [&](const std::string& flags) {
    return shell("script -qec '\"$MILLRACE\" query -f " + sql.string() + flags + "' /dev/null").out;
  };
  EXPECT_TRUE(has(on_terminal(""), "x\\x1b[2J\\xff"));
  EXPECT_FALSE(has(on_terminal(""), "\x1b"));
  EXPECT_TRUE(has(on_terminal(" --raw"), steering));
  EXPECT_EQ(shell("m query -f" + quoted(sql)).out, steering + "\n");
}

TEST_F(CommandLineEdges, StatementsKeepTheirOwnFormat) {
  const auto csv = file("result.csv");
  EXPECT_EQ(shell("m query 'SELECT 1 AS a FORMAT JSONEachRow'").out, "{\"a\":1}\n");
  EXPECT_EQ(shell("m query 'SELECT 1 AS a FORMAT TSV;' -o" + quoted(csv)).code, 0);
  EXPECT_EQ(read_file(csv), "1\n");
}

TEST_F(CommandLineEdges, StatementsWithoutAResultRun) {
  make_table("n UInt32, s String");
  for (const std::string& sql : std::vector<std::string>{
           "INSERT INTO " + name() + " VALUES (1, 'a')", "INSERT INTO " + name() + " SELECT 2, 'b'",
           "SYSTEM FLUSH LOGS", "SET max_threads = 1",
           "ALTER TABLE " + name() + " ADD COLUMN x Int8", "DROP TABLE IF EXISTS nothing"}) {
    const Answer answer = shell("m query \"" + sql + "\"");
    EXPECT_EQ(answer.code, 0) << sql << answer.error;
    EXPECT_EQ(answer.out, "") << sql;
  }
  EXPECT_EQ(rows(), "1\ta\t0\n2\tb\t0");
}

TEST_F(CommandLineEdges, SeveralFilesHaveATokenEach) {
  server().query("CREATE TABLE " + name() +
                 " (n UInt32) ENGINE = MergeTree ORDER BY () "
                 "SETTINGS non_replicated_deduplication_window = 100");
  const auto one = file("1.tsv"), two = file("2.tsv");
  write_file(one, "n\n1\n");
  write_file(two, "n\n2\n");
  for (int i = 0; i < 2; ++i) {
    const Answer answer = shell("m insert --table " + name() + " --deduplication-token once" +
                                quoted(one) + quoted(two));
    EXPECT_EQ(answer.code, 0) << answer.error;
  }
  EXPECT_EQ(rows(), "1\n2");
}

TEST_F(CommandLineEdges, DevicesAndPipesAreWrittenInto) {
  EXPECT_EQ(shell("m query 'SELECT 1' -o /dev/stdout | cat").out, "1\n");
  const auto pipe = file("pipe");
  const Answer answer = shell("mkfifo" + quoted(pipe) + "&& { m query 'SELECT 2' -o" +
                              quoted(pipe) + "& cat" + quoted(pipe) + "; wait; }");
  EXPECT_EQ(answer.out, "2\n") << answer.error;
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST_F(CommandLineEdges, AResultIsCompressedAsItsFileIsNamed) {
  const auto gz = file("result.csv.gz"), xz = file("result.csv.xz");
  const Answer answer =
      shell("m query 'SELECT 1 AS a' -o" + quoted(gz) + "&& gzip -dc" + quoted(gz));
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_EQ(answer.out, "\"a\"\n1\n");
  const Answer unknown = shell("m query 'SELECT 1' -o" + quoted(xz));
  EXPECT_EQ(unknown.code, 2);
  EXPECT_TRUE(has(unknown.error, ".xz"));
}

TEST_F(CommandLineEdges, InterruptEndsItWhileAServerDoesNotAnswer) {
  const LocalListener silent([](int fd) {
    while (!receive_some(fd).empty()) {
    }
  });
  const std::string url = "http://127.0.0.1:" + std::to_string(silent.port());
  for (const std::string command : {"query 'SELECT 1'", "insert --table t --format TSV -"}) {
    const std::size_t before = silent.accepted();
    ChildProcess process = this->process("exec \"$MILLRACE\" " + command + " </dev/null", url);
    ASSERT_TRUE(eventually([&] { return silent.accepted() > before; }, kPatience, "it connects"));
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(kPatience), 130) << command;
    EXPECT_TRUE(has(process.output(), "interrupted"));
  }
}

TEST_F(CommandLineEdges, UnderNohupAHangUpIsNoInterrupt) {
  const std::string sql = "SELECT count() FROM system.numbers -- under nohup";
  ChildProcess process = this->process("trap '' HUP; exec \"$MILLRACE\" query '" + sql + "'");
  const auto running = [] {
    return server().number(
        "SELECT count() FROM system.processes WHERE is_initial_query AND "
        "query LIKE '%-- under nohup'");
  };
  ASSERT_TRUE(eventually([&] { return running() == 1; }, kPatience, "the query runs"));
  process.signal(SIGHUP);
  process.signal(SIGTERM);  // had the other one been taken, it would be the second
  EXPECT_EQ(process.wait(kPatience), 143);
  EXPECT_TRUE(has(process.output(), "the query was stopped on the server"));
}

TEST_F(CommandLineEdges, NoProgressIsShownInAPipe) {
  const Answer answer = shell("m query 'SELECT sleep(1), sleep(1)' -o" + quoted(file("x")));
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.error, "");
}

TEST_F(CommandLineEdges, MemoryIsConstantWhateverTheSize) {
  server().query("CREATE TABLE " + name() + " (s String) ENGINE = Null");
  const std::uint64_t megabytes = kSanitized ? 500 : 2000;
  const std::size_t bound = (kSanitized ? 400u : 100u) << 20;
  const std::string pipe = quoted(file("pipe"));
  const std::string select = "query 'SELECT repeat(char(120), 1000000) FROM numbers(" +
                             std::to_string(megabytes) + ")' --format TSV";
  for (const std::string& line :
       {"exec \"$MILLRACE\" " + select + " -o /dev/null",
        "mkfifo" + pipe + "&& { yes $(printf %01000d 0) | head -c " + std::to_string(megabytes) +
            "M >" + pipe + "& } && exec \"$MILLRACE\" insert --table " + name() + " --format TSV" +
            pipe}) {
    ChildProcess process = this->process(line);
    std::size_t most = 0;
    EXPECT_TRUE(eventually(
        [&] {
          most = std::max(most, process.resident_bytes());
          return !process.running();
        },
        kPatience, "it is done", Millis{5}));
    EXPECT_EQ(process.wait(kPatience), 0) << process.output();
    EXPECT_LT(most, bound);
    std::cout << megabytes << " MB, at most " << (most >> 20) << " MiB resident\n";
  }
}

}  // namespace
}  // namespace millrace::test
