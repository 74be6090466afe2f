// The base of tests that need a ClickHouse and a Kafka: one of each for all tests of a program,
// started by the first test that asks; each test has tables, topics and a group of its own.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/files.h"
#include "tests/support/millrace_process.h"
#include "tests/support/real_clickhouse.h"
#include "tests/support/real_kafka.h"

namespace millrace::test {

using std::chrono::seconds;

class WithServers : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;  // both servers run, whatever the test before did to them

  static RealClickHouse& clickhouse() { return *servers_->clickhouse; }
  static RealKafka& kafka() { return *servers_->kafka; }

  // Unique to this test: its table, topic and consumer group.
  std::string name() const;
  // A folder of this test, removed with the servers'.
  std::filesystem::path folder(const std::string& sub = "millrace") const;

  // YAML of the section `clickhouse` for the shared server, with `more` inside its braces.
  static std::string clickhouse_yaml(const std::string& more = {});
  // YAML of a pipeline from topic name() into table name().
  std::string pipelines_yaml(const std::string& kafka_more = {},
                             const std::string& pipeline_more = {}) const;
  std::string config(const std::string& more = {}) const {
    return clickhouse_yaml() + pipelines_yaml() + more;
  }

  // Success when the table (or query in parentheses) has this many rows in time.
  static testing::AssertionResult has_rows(const std::string& table, std::uint64_t rows,
                                           seconds deadline = kPatience);

 private:
  struct Servers {
    Servers();
    TempDir folder{"integration"};
    std::unique_ptr<RealClickHouse> clickhouse;
    std::unique_ptr<RealKafka> kafka;
  };
  static inline std::unique_ptr<Servers> servers_;
};

}  // namespace millrace::test
