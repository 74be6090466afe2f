// Whatever lies in Kafka and however long ClickHouse stands: the budget holds, and no probe fails
// that would have the pod killed.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

constexpr std::size_t kMiB = 1u << 20;
constexpr int kPartitions = 8;
constexpr std::size_t kMessageBytes = 4096;
constexpr std::size_t kBacklogBytes = (kSanitized ? 512 : 2048) * kMiB;
constexpr std::uint64_t kMessages = kBacklogBytes / kMessageBytes;
constexpr std::size_t kBudgetBytes = 256 * kMiB;
// A body's buffers double as they grow, so they hold up to twice what its block paid for it, which
// is half of the budget at most. Room that is not touched is not in what the process takes.
constexpr std::size_t kBuffersBytes = kBudgetBytes / 2;
constexpr std::size_t kBesidesBytes = 100 * kMiB;  // what the process may take besides the budget
constexpr seconds kStall{kSanitized ? 10 : 60};

class BacklogTest : public WithServers {
 protected:
  void produce_backlog() {
    const std::string filling(kMessageBytes, 'x');
    std::uint64_t n = 0;
    kafka().produce(name(), [&](KafkaMessage& message) {
      if (n == kMessages) return false;
      std::string row = "{\"n\":" + std::to_string(n) + ",\"text\":\"";
      row.append(filling, 0, kMessageBytes - row.size() - 2);
      message.payload = row + "\"}";
      message.partition = static_cast<std::int32_t>(n % kPartitions);
      ++n;
      return true;
    });
  }
};

TEST_F(BacklogTest, StalledClickHouseWithABacklogKeepsMemoryWithinTheBudget) {
  kafka().create_topic(name(), kPartitions);
  clickhouse().query("CREATE TABLE " + name() +
                     " (n UInt64, text String) ENGINE = MergeTree ORDER BY n");
  produce_backlog();
  std::cout << "backlog: " << kMessages << " messages, " << kBacklogBytes / kMiB << " MiB\n";

  Millrace millrace(folder(), config("memory: {budget: 256MiB}\n"));
  millrace.start();
  std::size_t most = 0;
  const auto watch = [&] { most = std::max(most, millrace.resident_bytes()); };
  const auto inserted = [&] {
    watch();
    return millrace.metric("millrace_inserted_rows_total").value_or(0);
  };
  ASSERT_TRUE(eventually([&] { return inserted() > 0; }, kPatience, "inserts begin"));

  clickhouse().freeze();
  const auto stall_end = std::chrono::steady_clock::now() + kStall;
  while (std::chrono::steady_clock::now() < stall_end) {
    watch();
    ASSERT_TRUE(millrace.get("/livez").ok());
    std::this_thread::sleep_for(Millis{50});  // the stall itself is what is tested
  }
  const double used = millrace.metric("millrace_budget_used_bytes").value_or(0);
  const double before = inserted();
  EXPECT_LT(before, kMessages) << "the backlog was gone before the stall";
  EXPECT_LE(used, kBudgetBytes + kBuffersBytes);
  if constexpr (!kSanitized) {
    EXPECT_GT(used, kBudgetBytes / 2) << "the stall did not fill the budget";
  }
  clickhouse().thaw();

  ASSERT_TRUE(eventually([&] { return inserted() >= kMessages; }, 2 * kPatience,
                         "the backlog is worked off", Millis{100}));
  std::cout << "budget: " << kBudgetBytes / kMiB << " MiB, most resident: " << most / kMiB
            << " MiB\n";
  if constexpr (!kSanitized) {
    EXPECT_LT(most, kBudgetBytes + kBesidesBytes);
  }
  EXPECT_EQ(clickhouse().query("SELECT uniqExact(n), max(n), min(length(text)) > 0 FROM " + name()),
            std::to_string(kMessages) + "\t" + std::to_string(kMessages - 1) + "\t1");
  EXPECT_EQ(millrace.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
