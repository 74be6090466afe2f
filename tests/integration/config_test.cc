// A configuration with a fault is refused before anything is started.
#include <gtest/gtest.h>

#include "tests/support/child_process.h"
#include "tests/support/files.h"
#include "tests/support/millrace_process.h"

namespace millrace::test {
namespace {

constexpr const char* kClickHouse = "clickhouse: {endpoints: [http://127.0.0.1:1]}\n";
constexpr const char* kPipelines =
    "pipelines:\n"
    "  - name: test\n"
    "    source: {kafka: {brokers: '127.0.0.1:1', topics: [test]}}\n";

struct Fault {
  std::string name;
  std::string yaml;
  int line;                         // where the message must say it is
  std::vector<std::string> naming;  // what else the message must say
};

class ConfigTest : public testing::TestWithParam<Fault> {
 protected:
  static ProgramResult run(const std::filesystem::path& file,
                           const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {built_program("millrace").string(), "run", "-c",
                                          file.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, kPatience, sanitizer_environment());
  }
};

TEST_P(ConfigTest, FaultIsNamedWithItsPlaceAndNothingStarts) {
  const TempDir dir;
  const auto file = dir / "millrace.yaml";
  write_file(file, GetParam().yaml);
  const ProgramResult result = run(file);
  EXPECT_EQ(result.exit_code, 2) << result.output;
  const std::string place = file.string() + ":" + std::to_string(GetParam().line) + ":";
  EXPECT_NE(result.output.find(place), std::string::npos) << place << " in:\n" << result.output;
  for (const std::string& text : GetParam().naming) {
    EXPECT_NE(result.output.find(text), std::string::npos) << text << " in:\n" << result.output;
  }
  EXPECT_EQ(result.output.find("millrace runs"), std::string::npos) << result.output;
}

const Fault kFaults[] = {
    {"UnknownSetting",
     std::string(kClickHouse) + "workers:\n  cuont: 4\n" + kPipelines,
     3,
     {"cuont", "count"}},
    {"UnknownSection", std::string(kClickHouse) + "worker: {}\n" + kPipelines, 2, {"workers"}},
    {"WrongUnit",
     std::string(kClickHouse) + "memory:\n  budget: 12 parsecs\n" + kPipelines,
     3,
     {"memory.budget", "MiB"}},
    {"MissingUnit",
     std::string(kClickHouse) + "shutdown:\n  grace: 12\n" + kPipelines,
     3,
     {"shutdown.grace"}},
    {"OutOfBounds",
     std::string(kClickHouse) + "workers: {count: 0}\n" + kPipelines,
     2,
     {"workers.count"}},
    {"MissingSecretFile",
     "clickhouse:\n  endpoints: [http://127.0.0.1:1]\n  password: ${file:/nowhere/secret}\n" +
         std::string(kPipelines),
     3,
     {"/nowhere/secret"}},
    {"MissingEnvironmentVariable",
     "clickhouse:\n  endpoints: [http://127.0.0.1:1]\n  password: ${MILLRACE_NOT_SET}\n" +
         std::string(kPipelines),
     3,
     {"MILLRACE_NOT_SET"}},
    {"ImpossiblePair",
     "clickhouse:\n  endpoints: [http://127.0.0.1:1]\n  pool: {hard_limit: 2, store_limit: 3}\n" +
         std::string(kPipelines),
     3,
     {"store_limit", "hard_limit"}},
    {"NotYaml", "clickhouse: [\n", 2, {}},
    {"FormatThatCannotBePutTogether",
     std::string(kClickHouse) + kPipelines + "    format: Parquet\n",
     5,
     {"Parquet", "JSONEachRow"}},
    {"MissingPipelines", kClickHouse, 1, {"pipelines"}},
};
INSTANTIATE_TEST_SUITE_P(Fault, ConfigTest, testing::ValuesIn(kFaults),
                         [](const auto& fault) { return fault.param.name; });

TEST_F(ConfigTest, MissingFileIsNamed) {
  const ProgramResult result = run("/nowhere/millrace.yaml");
  EXPECT_EQ(result.exit_code, 2) << result.output;
  EXPECT_NE(result.output.find("/nowhere/millrace.yaml"), std::string::npos) << result.output;
}

TEST_F(ConfigTest, UnknownOptionOfTheCommandLineIsRefused) {
  const ProgramResult result = run("/nowhere/millrace.yaml", {"--no-such-option"});
  EXPECT_EQ(result.exit_code, 2) << result.output;
  EXPECT_NE(result.output.find("--no-such-option"), std::string::npos) << result.output;
}

TEST_F(ConfigTest, PrintedConfigHasDefaultsAndNoSecretAndIsAConfigAgain) {
  const TempDir dir;
  write_file(dir / "secret", "very secret\n");
  const auto file = dir / "millrace.yaml";
  write_file(file, "clickhouse: {endpoints: [http://127.0.0.1:1], password: '${file:" +
                       (dir / "secret").string() + "}'}\n" + kPipelines);
  const ProgramResult printed = run(file, {"--print-config"});
  EXPECT_EQ(printed.exit_code, 0) << printed.output;
  EXPECT_EQ(printed.output.find("very secret"), std::string::npos) << printed.output;
  EXPECT_NE(printed.output.find("target_rows: 100000"), std::string::npos) << printed.output;

  write_file(file, printed.output);
  const ProgramResult again = run(file, {"--print-config"});
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_EQ(again.output, printed.output);
}

}  // namespace
}  // namespace millrace::test
