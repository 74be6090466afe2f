#include "tests/integration/servers.h"

namespace millrace::test {

WithServers::Servers::Servers()
    : clickhouse(std::make_unique<RealClickHouse>(
          RealClickHouse::Options{.folder = folder / "clickhouse"})),
      kafka(std::make_unique<RealKafka>(folder / "kafka")) {
  kafka->add_properties("message.max.bytes=8000000\n");
  kafka->spawn();
  clickhouse->start();
  kafka->wait_ready();
}

void WithServers::SetUpTestSuite() { servers_ = std::make_unique<Servers>(); }
void WithServers::TearDownTestSuite() { servers_.reset(); }

void WithServers::SetUp() {
  clickhouse().thaw();
  if (!clickhouse().running()) clickhouse().start();
  if (!kafka().running()) kafka().start();
}

std::string WithServers::name() const {
  return testing::UnitTest::GetInstance()->current_test_info()->name();
}

std::filesystem::path WithServers::folder(const std::string& sub) const {
  return servers_->folder / (name() + "-" + sub);
}

std::string WithServers::clickhouse_yaml(const std::string& more) {
  return "clickhouse: {endpoints: ['" + clickhouse().url() + "']" +
         (more.empty() ? "" : ", " + more) + "}\n";
}

std::string WithServers::pipelines_yaml(const std::string& kafka_more,
                                        const std::string& pipeline_more) const {
  const auto joined = [](const std::string& more) { return more.empty() ? more : ", " + more; };
  return "pipelines:\n  - {name: test, table: " + name() + joined(pipeline_more) +
         ", source: {kafka: {brokers: '" + kafka().brokers() + "', group: " + name() +
         ", topics: [" + name() + "]" + joined(kafka_more) + "}}}\n";
}

testing::AssertionResult WithServers::has_rows(const std::string& table, std::uint64_t rows,
                                               seconds deadline) {
  std::optional<std::uint64_t> found;
  const auto enough = [&] {
    found = clickhouse().try_number("SELECT count() FROM " + table);
    return found == rows;
  };
  auto result = eventually(enough, deadline, std::to_string(rows) + " rows in " + table);
  if (!result) result << ", found " << (found ? std::to_string(*found) : "no answer");
  return result;
}

}  // namespace millrace::test
