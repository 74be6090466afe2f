#include "tests/integration/failure_stage.h"

namespace millrace::test {
namespace {

// What README of the pipeline promises of every insert, whatever the server was asked before.
constexpr const char* kFixedSettings[] = {"async_insert=0",
                                          "deduplicate_insert=enable",
                                          "use_strict_insert_block_limits=0",
                                          "max_insert_threads=1",
                                          "input_format_parallel_parsing=0",
                                          "max_insert_block_size=100000000",
                                          "min_insert_block_size_rows=100000000",
                                          "max_insert_block_size_bytes=0",
                                          "min_insert_block_size_bytes=0"};
bool through_proxies = false;  // some test's millrace went there
int recorded_inserts = 0;

}  // namespace

FailureStage::Servers::Servers()
    : keeper(folder / "keeper"),
      to_keeper(std::make_unique<FaultProxy>(keeper.port())),
      kafka(folder / "kafka"),
      clickhouse({.folder = folder / "clickhouse",
                  .config_xml = keeper.clickhouse_config(to_keeper->port()),
                  .replicated = true}),
      to_clickhouse(std::make_unique<FaultProxy>(clickhouse.port())),
      to_kafka(std::make_unique<FaultProxy>(kafka.proxied_port())) {
  kafka.go_through(to_kafka->port());
  kafka.spawn();
  keeper.start();
  clickhouse.start();
  kafka.wait_ready();
}

void FailureStage::SetUpTestSuite() { servers_ = std::make_unique<Servers>(); }
void FailureStage::TearDownTestSuite() {
  if (through_proxies) {
    EXPECT_GT(recorded_inserts, 0) << "inserts were looked at";
  }
  servers_.reset();
}

void FailureStage::SetUp() {
  for (FaultProxy* proxy : {&to_clickhouse(), &to_kafka(), &to_keeper()}) {
    proxy->reset_all();  // what a test before left in it must not come through now
    proxy->calm();
  }
  if (!keeper().running()) keeper().start();
  if (!clickhouse().running()) clickhouse().start();
  if (!kafka().running()) kafka().start();
}

void FailureStage::TearDown() {
  for (const std::string& line : to_clickhouse().take_request_lines()) {
    if (line.find("insert_deduplication_token=") == line.npos) continue;
    ++recorded_inserts;
    for (const std::string setting : kFixedSettings) {
      const bool sent = line.find("&" + setting + "&") != line.npos ||
                        line.find("&" + setting + " ") != line.npos ||
                        line.find("?" + setting + "&") != line.npos;
      EXPECT_TRUE(sent) << setting << " is missing in " << line;
    }
  }
}

std::string FailureStage::name() const {
  return testing::UnitTest::GetInstance()->current_test_info()->name();
}

std::filesystem::path FailureStage::folder(const std::string& sub) const {
  return servers_->folder / (name() + "-" + sub);
}

void FailureStage::create_table(const std::string& table, const std::string& columns,
                                const std::string& more) const {
  clickhouse().query("CREATE TABLE " + table + " (" + columns +
                     ") ENGINE = ReplicatedMergeTree('/tables/" + table + "', '1') " + more);
}

void FailureStage::set_up_rows(std::uint64_t rows, int partitions) {
  create_table(name());
  kafka().create_topic(name(), partitions);
  produce_rows(kafka(), name(), 0, rows, partitions);
}

std::string FailureStage::config(const Wishes& wishes) const {
  through_proxies = through_proxies || wishes.through_proxies;
  const auto joined = [](const std::string& more) { return more.empty() ? more : ", " + more; };
  const auto at = [](std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); };
  const std::string endpoint =
      wishes.through_proxies ? "http://" + at(to_clickhouse().port()) : clickhouse().url();
  const std::string brokers = wishes.through_proxies ? at(to_kafka().port()) : kafka().brokers();
  const std::string membership =
      wishes.member.empty() ? "session.timeout.ms: '6000'"
                            : "session.timeout.ms: '60000', group.instance.id: " + wishes.member;
  return "clickhouse: {endpoints: ['" + endpoint + "']" + joined(wishes.clickhouse_more) +
         "}\npipelines:\n  - {name: test, table: " + name() +
         ", delivery: exactly_once, batch: {max_rows: " + std::to_string(wishes.max_rows) +
         ", max_age: " + wishes.max_age + "}" + joined(wishes.pipeline_more) +
         ", source: {kafka: {brokers: '" + brokers + "', group: " + name() + ", topics: [" +
         name() + "], options: {" + membership + ", heartbeat.interval.ms: '300'" +
         joined(wishes.kafka_options) + "}}}}\n" +
         "workers: {count: " + std::to_string(wishes.workers) +
         ", retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n" + wishes.other;
}

std::unique_ptr<Millrace> FailureStage::start(const std::string& sub, const Wishes& wishes,
                                              const std::string& stop_at) const {
  auto millrace = std::make_unique<Millrace>(folder(sub), config(wishes));
  millrace->start(stop_at);
  if (!stop_at.empty()) {
    EXPECT_TRUE(millrace->comes_to_stop()) << stop_at << "\n" << millrace->log();
  }
  return millrace;
}

std::uint64_t FailureStage::count(const std::string& table) {
  return clickhouse().number("SELECT count() FROM " + table);
}

testing::AssertionResult FailureStage::reaches(std::uint64_t rows) const {
  return eventually(
      [&] { return clickhouse().try_number("SELECT count() FROM " + name()).value_or(0) >= rows; },
      kPatience, std::to_string(rows) + " rows in " + name(), Millis{10});
}

std::string FailureStage::plan() const {
  const auto text = kafka().committed_metadata(name(), name(), 0);
  if (!text || text->rfind(';') == std::string::npos) return "";
  std::string lengths;
  for (std::size_t at = text->rfind(';') + 1; at < text->size();) {
    const std::size_t end = std::min(text->find(',', at), text->size());
    if (!lengths.empty()) lengths += ",";
    lengths += std::to_string(std::stoul(text->substr(at, end - at), nullptr, 36));
    at = end + 1;
  }
  return lengths;
}

testing::AssertionResult FailureStage::has_lanes(const Millrace& millrace, int lanes) const {
  return eventually([&] { return millrace.metric("millrace_lanes") == lanes; }, kPatience,
                    std::to_string(lanes) + " lanes");
}

testing::AssertionResult FailureStage::commits(std::uint64_t rows) const {
  return eventually([&] { return position() == static_cast<std::int64_t>(rows) && plan().empty(); },
                    kPatience, "the position is at " + std::to_string(rows), Millis{50});
}

void FailureStage::expect_exact(std::uint64_t rows) const {
  EXPECT_TRUE(commits(rows));
  EXPECT_EQ(missing_rows(clickhouse(), name(), rows), 0u);
  EXPECT_EQ(duplicate_rows(clickhouse(), name()), 0u);
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), rows));
}

}  // namespace millrace::test
