// The base of tests that need a ClickHouse and no Kafka: one server for all tests of a program;
// each test has tables of its own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/support/eventually.h"
#include "tests/support/files.h"
#include "tests/support/real_clickhouse.h"
#include "transport/client.h"

namespace millrace::test {

class WithClickHouse : public testing::Test {
 protected:
  static RealClickHouse& server() { return *only_->clickhouse; }
  // To that server, without a ClickHouse session.
  static ClientOptions options() {
    return {.host = "127.0.0.1",
            .port = server().port(),
            .session_policy = ClickHouseSessionPolicy::kNone};
  }
  static Client client() { return Client(options()); }

  // Unique to this test: its table.
  static std::string name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  static std::filesystem::path file(const std::string& base) {
    std::string test = name();
    std::replace(test.begin(), test.end(), '/', '-');  // of a parameterized one
    return *only_->folder / (test + "-" + base);
  }
  // name(), with these columns; returns it.
  static std::string make_table(const std::string& columns) {
    server().query("CREATE TABLE " + name() + " (" + columns + ") ENGINE = MergeTree ORDER BY ()");
    return name();
  }
  // TabSeparated, all columns in their order.
  static std::string rows() { return server().query("SELECT * FROM " + name() + " ORDER BY ALL"); }
  static std::uint64_t count() { return server().number("SELECT count() FROM " + name()); }

  static bool runs(const std::string& query_id) {
    return server().number("SELECT count() FROM system.processes WHERE query_id = '" + query_id +
                           "'") > 0;
  }
  // The server gives up by itself 30 s after a client that takes nothing: that would prove nothing.
  static testing::AssertionResult vanishes(const std::string& query_id) {
    return eventually([&] { return !runs(query_id); }, std::chrono::seconds(20),
                      query_id + " leaves system.processes");
  }

  // What `call` throws, which must be an E.
  template <class E, class Call>
  static E thrown_by(Call&& call) {
    try {
      std::forward<Call>(call)();
    } catch (const E& error) {
      return error;
    }
    throw std::runtime_error("nothing was thrown");
  }

 private:
  static constexpr const char* kUsers =
      "<profiles><default/><limited><readonly>1</readonly></limited></profiles>"
      "<quotas><default/></quotas><users>"
      "<default><password></password><networks><ip>::/0</ip></networks>"
      "<access_management>1</access_management></default>"
      "<guarded><password>s3c:ret</password><networks><ip>::/0</ip></networks></guarded>"
      "<limited><password></password><networks><ip>::/0</ip></networks>"
      "<profile>limited</profile></limited></users>";
  // Starts before the first test and ends after the last one.
  struct Only : testing::Environment {
    void SetUp() override {
      only_ = this;
      folder.emplace("clickhouse");
      clickhouse.emplace(
          RealClickHouse::Options{.folder = *folder / "server", .users_xml = kUsers});
      clickhouse->start();
    }
    void TearDown() override {
      clickhouse.reset();
      folder.reset();
    }
    std::optional<TempDir> folder;
    std::optional<RealClickHouse> clickhouse;
  };
  static inline Only* only_ = nullptr;
  static inline testing::Environment* const registered_ =
      testing::AddGlobalTestEnvironment(new Only);
};

}  // namespace millrace::test
