// The stage on which the rows of the failure table are played: a replicated table on one
// ClickHouse, one Kafka, a proxy before each, and millraces that stop at exact points.
//
// A topic has one partition and a block 100 rows, unless a test says otherwise: which block is
// where is then known.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/integration/rows.h"
#include "tests/support/eventually.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/files.h"
#include "tests/support/millrace_process.h"
#include "tests/support/real_clickhouse.h"
#include "tests/support/real_kafka.h"
#include "tests/support/real_keeper.h"

namespace millrace::test {

inline constexpr std::uint64_t kBlockRows = 100;

class FailureStage : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  // Each insert that went through the proxy said what makes a repeat of it recognisable.
  void TearDown() override;
  void SetUp() override;  // all servers run, nothing is in the way of anything, no table, no topic

  static RealKeeper& keeper() { return servers_->keeper; }
  static RealKafka& kafka() { return servers_->kafka; }
  static RealClickHouse& clickhouse() { return servers_->clickhouse; }
  static FaultProxy& to_clickhouse() { return *servers_->to_clickhouse; }
  static FaultProxy& to_kafka() { return *servers_->to_kafka; }
  static FaultProxy& to_keeper() { return *servers_->to_keeper; }  // from ClickHouse

  std::string name() const;  // of the test: its topic, table and group
  std::filesystem::path folder(const std::string& sub) const;

  // A replicated table of rows, or one with these columns and what else is behind them.
  void create_table(const std::string& table, const std::string& columns = "n UInt64, text String",
                    const std::string& more = "ORDER BY n") const;
  // The topic with rows [0, rows) and the table for them.
  void set_up_rows(std::uint64_t rows, int partitions = 1);

  struct Wishes {
    bool through_proxies = true;  // else straight to the servers
    std::uint64_t max_rows = kBlockRows;
    std::string max_age = "1s";
    int workers = 2;
    // Not empty: a static member, whose lanes nobody else gets before its (long) session is over,
    // and which has them back as soon as it is started again. Empty: six seconds of silence.
    std::string member = "member";
    std::string clickhouse_more{}, pipeline_more{}, other{};
    std::string kafka_options{};
  };
  std::string config(const Wishes& wishes) const;
  // Runs, or, with `stop_at`, has come to that point and stands there.
  std::unique_ptr<Millrace> start(const std::string& sub, const Wishes& wishes,
                                  const std::string& stop_at = {}) const;

  static std::uint64_t count(const std::string& table);
  std::uint64_t rows() const { return count(name()); }
  testing::AssertionResult reaches(std::uint64_t rows) const;
  // What the broker knows of the group: position, and the lengths of the blocks planned above it.
  std::int64_t position() const { return total(kafka().committed_offsets(name(), name())); }
  std::string plan() const;
  testing::AssertionResult has_lanes(const Millrace& millrace, int lanes) const;
  testing::AssertionResult commits(std::uint64_t rows) const;
  // Each of the rows [0, rows) once, as it was produced, and nothing left to do.
  void expect_exact(std::uint64_t rows) const;

 private:
  struct Servers {
    Servers();
    TempDir folder{"failures"};
    RealKeeper keeper;
    std::unique_ptr<FaultProxy> to_keeper;
    RealKafka kafka;
    RealClickHouse clickhouse;
    std::unique_ptr<FaultProxy> to_clickhouse, to_kafka;
  };
  static inline std::unique_ptr<Servers> servers_;
};

}  // namespace millrace::test
