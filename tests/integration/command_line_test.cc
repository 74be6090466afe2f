// `millrace query` and `millrace insert` as processes, against a real server.
#include "tests/integration/command_line.h"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "transport/compression.h"

namespace millrace::test {
namespace {

class CommandQuery : public CommandLine {};
class CommandInsert : public CommandLine {
 protected:
  static std::uint64_t inserting() {
    return server().number("SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%'");
  }
};

TEST_F(CommandQuery, WritesTheResultToStandardOutput) {
  const Answer answer = shell("m query 'SELECT 1, number FROM numbers(2)'");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.out, "1\t0\n1\t1\n");
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(shell("m query 'SELECT 1 AS a;' --format JSONEachRow").out, "{\"a\":1}\n");
}

TEST_F(CommandQuery, ReadsTheStatementFromAFileOrStandardInput) {
  const auto sql = file("statement.sql");
  write_file(sql, "-- two\nSELECT 2;\n");
  EXPECT_EQ(shell("m query -f" + quoted(sql)).out, "2\n");
  EXPECT_EQ(shell("m query -f - <" + quoted(sql)).out, "2\n");
}

TEST_F(CommandQuery, WritesAFileInTheFormatOfItsName) {
  const auto csv = file("result.csv"), json = file("result.jsonl");
  const std::string sql = " 'SELECT number AS n, toString(n) AS s FROM numbers(2)' ";
  const Answer answer = shell("m query" + sql + "-o" + quoted(csv));
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_EQ(answer.out, "");
  EXPECT_EQ(read_file(csv), "\"n\",\"s\"\n0,\"0\"\n1,\"1\"\n");
  shell("m query" + sql + "-o" + quoted(json) + "--format CSV");
  EXPECT_EQ(read_file(json), "0,\"0\"\n1,\"1\"\n");
}

TEST_F(CommandQuery, BindsParameters) {
  const Answer answer = shell(
      "m query 'SELECT {n:UInt8} + 1, {s:String}, {a:Array(String)}, {x:Nullable(String)}' "
      "--param n=4 --param 'x=\\N' --param \"s=a\tb'c\\\\d\" --param \"a=['x','y']\" "
      "--format JSONCompactEachRow");
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_EQ(answer.out, "[5, \"a\\tb'c\\\\d\", [\"x\",\"y\"], null]\n");
}

TEST_F(CommandQuery, SendsFilesAsTables) {
  const auto folder = file("tables");
  std::filesystem::create_directory(folder);
  write_file(folder / "movies.csv", "\"Alien\",1979\n\"Brazil\",1985\n");
  write_file(folder / "wanted.txt", "Brazil\n");
  const Answer answer =
      shell("cd" + quoted(folder) +
            "&& m query 'SELECT y FROM movies JOIN wanted USING m' "
            "--external 'movies.csv:m String, y UInt16' --external 'wanted.txt:m String:TSV'");
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_EQ(answer.out, "1985\n");
}

// The names are given: no row of such a file is a header, even one that equals the names.
TEST_F(CommandQuery, EveryRowOfAFileThatIsATableIsARow) {
  const auto csv = file("t.csv"), named = file("n.csv");
  write_file(csv, "a,b\nc,d\n");
  const auto ask = [&](const std::filesystem::path& path, const std::string& structure) {
    return shell("m query 'SELECT a, b FROM `" + path.stem().string() +
                 "` ORDER BY a' --external '" + path.string() + ":" + structure + "'");
  };
  EXPECT_EQ(ask(csv, "a String, b String").out, "a\tb\nc\td\n");
  EXPECT_EQ(ask(csv, "a String, b String:CSVWithNames").out, "c\td\n");
  write_file(named, "Al Pacino,1940\nRobert Redford,1936\n");
  EXPECT_EQ(ask(named, "a String, b UInt16").out, "Al Pacino\t1940\nRobert Redford\t1936\n");
  const Answer no_header = ask(named, "a String, b UInt16:CSVWithNames");
  EXPECT_EQ(no_header.code, 1);
  EXPECT_EQ(no_header.out, "");
  EXPECT_TRUE(has(no_header.error, "Al Pacino"));
}

TEST_F(CommandQuery, PassesSettings) {
  const std::string sql = "m query \"SELECT getSetting('max_block_size')\" ";
  EXPECT_EQ(shell(sql + "--setting max_block_size=4321").out, "4321\n");
  const Answer unknown = shell(sql + "--setting no_such_setting=1");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_TRUE(has(unknown.error, "no_such_setting"));
}

TEST_F(CommandQuery, RefusedStatementSaysWhyAndFails) {
  const Answer answer = shell("m query 'SELECT nonsense'");
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.out, "");
  EXPECT_TRUE(has(answer.error, "UNKNOWN_IDENTIFIER"));
  const Answer nobody = shell("m query 'SELECT 1' --url http://127.0.0.1:1");
  EXPECT_EQ(nobody.code, 1);
  EXPECT_TRUE(has(nobody.error, "127.0.0.1:1"));
}

TEST_F(CommandQuery, WrongArgumentsAreRefusedBeforeAnythingIsSent) {
  const auto sql = file("statement.sql");
  write_file(sql, "SELECT 1");
  for (const std::string& arguments : std::vector<std::string>{
           "", "''", "--no-such-flag", "'SELECT 1' --param novalue", "'SELECT 1' -f" + quoted(sql),
           "'SELECT 1' --external file.csv", "-f /nonexistent/file", "'SELECT 1' -c /nonexistent",
           "'SELECT 1' --external '/nonexistent/t.csv:a Int8'", "'SELECT 1' --url nonsense://x"}) {
    const Answer answer = shell("m query " + arguments);
    EXPECT_EQ(answer.code, 2) << arguments << answer.error;
    EXPECT_NE(answer.error, "") << arguments;
  }
}

TEST_F(CommandQuery, FailureOnTheWayLeavesNoFile) {
  const auto output = file("result.tsv");
  const Answer answer =
      shell("m query 'SELECT throwIf(number = 2000000) FROM system.numbers' -o" + quoted(output));
  EXPECT_EQ(answer.code, 1);
  EXPECT_TRUE(has(answer.error, "395"));
  EXPECT_FALSE(std::filesystem::exists(output));
  const Answer nowhere = shell("m query 'SELECT 1' -o /nonexistent/result.tsv");
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_TRUE(has(nowhere.error, "/nonexistent/result.tsv"));
}

TEST_F(CommandQuery, InterruptStopsItOnTheServerToo) {
  const auto output = file("never.tsv");
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"SELECT count() FROM system.numbers -- before the first byte", {}},
      {"SELECT number FROM system.numbers -- while it streams", {"-o", output.string()}}};
  for (const auto& [sql, more] : cases) {
    std::vector<std::string> arguments{built_program("millrace").string(), "query", sql};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ChildProcess process({.name = "millrace query",
                          .arguments = arguments,
                          .output = file("log"),
                          .environment = environment()});
    const auto running = [&sql = sql] {
      return server().number(
          "SELECT count() FROM system.processes WHERE is_initial_query AND "
          "query LIKE '" +
          sql + "%'");
    };
    ASSERT_TRUE(eventually([&] { return running() == 1; }, kPatience, "the query runs"));
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(kPatience), 130) << process.output();
    EXPECT_TRUE(eventually([&] { return running() == 0; }, kPatience, "the server stopped it"));
    EXPECT_TRUE(has(process.output(), "interrupted"));
  }
  EXPECT_FALSE(std::filesystem::exists(output));
}

TEST_F(CommandQuery, InterruptEndsItWhileItWaitsForTheStatement) {
  const auto input = file("input.sql");
  const Fifo fifo(input);
  ChildProcess process(
      {.name = "millrace query",
       .arguments = {"/bin/sh", "-c", "exec \"$MILLRACE\" query -f - <" + quoted(input)},
       .output = file("log"),
       .environment = environment()});
  ASSERT_TRUE(fifo.write("SELECT"));
  ASSERT_TRUE(eventually([&] { return fifo.drained(); }, kPatience, "the beginning is read"));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(kPatience), 130);
  EXPECT_TRUE(has(process.output(), "interrupted"));
}

TEST_F(CommandQuery, EndsQuietlyWhenNobodyReadsItsOutput) {
  const Answer answer = shell("m query 'SELECT number FROM system.numbers -- piped' | head -1");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.out, "0\n");
  EXPECT_EQ(answer.error, "");
  EXPECT_TRUE(eventually(
      [] {
        return server().number(
                   "SELECT count() FROM system.processes WHERE query LIKE '%-- piped'") == 0;
      },
      kPatience, "the server stopped it"));
}

TEST_F(CommandQuery, ConnectsAsFlagsElseEnvironmentElseConfigurationSay) {
  const auto config = file("millrace.yaml");
  write_file(config,
             "clickhouse: {endpoints: ['" + server().url() +
                 "'], user: guarded, password: 's3c:ret', database: system}\n"
                 "pipelines: [{name: t, source: {kafka: {brokers: 'x:1', topics: [t]}}}]\n");
  const std::string ask = "m query 'SELECT currentUser(), currentDatabase()' ";
  const std::map<std::string, std::string> nothing{{"CLICKHOUSE_URL", ""}};
  EXPECT_EQ(shell(ask + "-c" + quoted(config), nothing).out, "guarded\tsystem\n");
  const std::map<std::string, std::string> someone{{"CLICKHOUSE_USER", "guarded"},
                                                   {"CLICKHOUSE_PASSWORD", "s3c:ret"},
                                                   {"CLICKHOUSE_DATABASE", "system"}};
  EXPECT_EQ(shell(ask, someone).out, "guarded\tsystem\n");
  EXPECT_EQ(shell(ask + "--database default", someone).out, "guarded\tdefault\n");
  const Answer wrong = shell(ask + "--password wrong", someone);
  EXPECT_EQ(wrong.code, 1);
  EXPECT_TRUE(has(wrong.error, "516"));
  const std::string address = server().url().substr(7);
  EXPECT_EQ(shell(ask + "--url http://guarded:s3c%3Aret@" + address + "/system", nothing).out,
            "guarded\tsystem\n");
}

TEST_F(CommandInsert, TakesSeveralFilesByTheirNames) {
  make_table("n UInt32, s String");
  const auto csv = file("a.csv"), json = file("b.jsonl"), gz = file("c.tsv.gz");
  write_file(csv, "s,n\nx,1\n");
  write_file(json, "{\"n\": 2}\n");
  std::string packed;
  const auto compressor = Compressor::make(Codec::kGzip);
  compressor->compress("n\ts\n3\tz\n", packed);
  compressor->finish(packed);
  write_file(gz, packed);
  const Answer answer =
      shell("m insert --table " + name() + quoted(csv) + quoted(json) + quoted(gz));
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_TRUE(has(answer.error, "1 rows inserted"));
  EXPECT_EQ(rows(), "1\tx\n2\t\n3\tz");
}

TEST_F(CommandInsert, WithNamesOfColumnsEveryLineIsARow) {
  make_table("x UInt32, s String");
  const auto csv = file("a.csv"), tsv = file("b.tsv"), header = file("c.csv");
  write_file(csv, "7,g\n8,h\n9,i\n");
  write_file(tsv, "10\tj\n11\tk\n");
  write_file(header, "x,s\n12,l\n");
  const std::string insert = "m insert --table " + name();
  EXPECT_EQ(shell(insert + " --columns x,s" + quoted(csv) + quoted(tsv)).code, 0);
  EXPECT_EQ(rows(), "7\tg\n8\th\n9\ti\n10\tj\n11\tk");
  const Answer refused = shell(insert + " --columns x,s" + quoted(header));
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(has(refused.error, "--format CSVWithNames"));
  EXPECT_EQ(shell(insert + " --columns x,s --format CSVWithNames" + quoted(header)).code, 0);
  EXPECT_EQ(count(), 6u);
}

TEST_F(CommandInsert, ARowThatEqualsTheNamesIsARow) {
  make_table("x String, s String");
  const auto csv = file("a.csv");
  write_file(csv, "x,s\n");
  const std::string insert = "m insert --table " + name();
  for (const char* how : {" --columns x,s", " --format CSV", " --columns x,s --format CSV"}) {
    EXPECT_EQ(shell(insert + how + quoted(csv)).code, 0) << how;
  }
  EXPECT_EQ(rows(), "x\ts\nx\ts\nx\ts");
}

TEST_F(CommandInsert, WhatHasNoColumnIsAnErrorAndNotPassedOver) {
  make_table("x UInt32, s String");
  const std::vector<std::pair<const char*, const char*>> files{{"bare.csv", "7,g\n8,h\n"},
                                                               {"bare.tsv", "7\tg\n8\th\n"},
                                                               {"other.csv", "x,t\n7,g\n"},
                                                               {"other.jsonl", "{\"y\": 1}\n"}};
  for (const auto& [base, text] : files) {
    const auto path = file(base);
    write_file(path, text);
    const Answer answer = shell("m insert --table " + name() + quoted(path));
    EXPECT_EQ(answer.code, 1) << base;
    EXPECT_NE(answer.error, "") << base;
  }
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(shell("m insert --setting input_format_skip_unknown_fields=1 --table " + name() +
                  quoted(file("other.csv")))
                .code,
            0);
  EXPECT_EQ(rows(), "7\t");
}

TEST_F(CommandInsert, TakesStandardInputColumnsAndCompression) {
  make_table("a UInt32, b UInt32");
  const Answer answer = shell("seq 1 100000 | m insert --table default." + name() +
                              " --format TSV --columns b --compression zstd -");
  EXPECT_EQ(answer.code, 0) << answer.error;
  EXPECT_TRUE(has(answer.error, "100000 rows inserted"));
  EXPECT_EQ(server().query("SELECT sum(a), sum(b) FROM " + name()), "0\t5000050000");
}

TEST_F(CommandInsert, MissingFileFailsAndNamesIt) {
  make_table("n UInt32");
  const Answer answer = shell("m insert --table " + name() + " /nonexistent/rows.csv");
  EXPECT_EQ(answer.code, 1);
  EXPECT_TRUE(has(answer.error, "/nonexistent/rows.csv"));
  EXPECT_EQ(count(), 0u);
}

TEST_F(CommandInsert, BadRowFailsAndNamesTheFile) {
  make_table("n UInt32");
  const auto good = file("good.csv"), bad = file("bad.csv");
  write_file(good, "n\n1\n");
  write_file(bad, "n\n2\nthree\n");
  const Answer answer = shell("m insert --table " + name() + quoted(good) + quoted(bad));
  EXPECT_EQ(answer.code, 1);
  EXPECT_TRUE(has(answer.error, bad.string()));
  EXPECT_EQ(rows(), "1");
  const Answer nowhere = shell("m insert --table nowhere" + quoted(good));
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_TRUE(has(nowhere.error, "UNKNOWN_TABLE"));
}

TEST_F(CommandInsert, WrongArgumentsAreRefusedBeforeAnythingIsInserted) {
  make_table("n UInt32");
  const auto good = file("good.csv"), unnamed = file("unnamed");
  write_file(good, "n\n1\n");
  write_file(unnamed, "1\n");
  const std::string table = " --table " + name();
  for (const std::string& arguments :
       {quoted(good), table, table + quoted(good) + quoted(unnamed), table + " -",
        table + quoted(good) + "--compression rar", table + quoted(good) + "--columns a,,b"}) {
    const Answer answer = shell("m insert" + arguments);
    EXPECT_EQ(answer.code, 2) << arguments << answer.error;
  }
  EXPECT_EQ(count(), 0u);
}

TEST_F(CommandInsert, InterruptWhileItWaitsForInputEndsItAndLeavesNoRow) {
  make_table("n UInt32");
  const auto input = file("input.tsv");
  const Fifo fifo(input);
  ChildProcess process({.name = "millrace insert",
                        .arguments = {built_program("millrace").string(), "insert", "--table",
                                      name(), "--format", "TSV", input.string()},
                        .output = file("log"),
                        .environment = environment()});
  std::string some;
  for (int i = 0; i < 1000000; ++i) some += "1\n";
  ASSERT_TRUE(fifo.write(some));
  ASSERT_TRUE(eventually([] { return inserting() == 1; }, kPatience, "the insert runs"));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(kPatience), 130);
  EXPECT_TRUE(has(process.output(), "interrupted"));
  EXPECT_TRUE(eventually([] { return inserting() == 0; }, kPatience, "the server dropped it"));
  EXPECT_EQ(count(), 0u);
}

TEST_F(CommandInsert, SameDeduplicationTokenInsertsOnce) {
  server().query("CREATE TABLE " + name() +
                 " (n UInt32) ENGINE = MergeTree ORDER BY () "
                 "SETTINGS non_replicated_deduplication_window = 100");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(
        shell("echo 1 | m insert --table " + name() + " --format TSV --deduplication-token once -")
            .code,
        0);
  }
  EXPECT_EQ(rows(), "1");
}

}  // namespace
}  // namespace millrace::test
