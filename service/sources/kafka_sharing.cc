// Two processes that share a group and feed different tables: each would get a part of the
// partitions, and so each table a part of the rows. A process can't see the other's configuration,
// but what it leaves beside the offsets that it commits says whether that is ours.
#include <algorithm>
#include <set>

#include "pipeline/checkpoint.h"
#include "service/sources/kafka_session.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInterval{5'000};
constexpr milliseconds kPatience{500};  // for each answer
// A new owner writes its own word at its first commit: what stays is not of a former one.
constexpr int kLooksUntilSaid = 2;

}  // namespace

void KafkaSession::look_for_other_tables(SteadyTime now) {
  if (!plans() || rebalance_ || partitions_.empty() || now < next_sharing_look_) return;
  next_sharing_look_ = now + kInterval;
  std::set<std::string> topics;
  for (const auto& [key, partition] : partitions_) topics.insert(partition.topic);
  KafkaPartitions others;
  for (const std::string& topic : topics) {
    std::int32_t count = 0;
    if (stop_.requested() || consumer_.count_partitions(topic, kPatience, count)) return;
    for (std::int32_t number = 0; number < count; ++number) {
      if (!partitions_.contains({topic, number})) others.push_back({topic, number});
    }
  }
  if (others.empty() || consumer_.committed(others, kPatience)) {
    foreign_looks_ = 0;
    return;
  }
  const auto foreign = std::find_if(others.begin(), others.end(), [this](const auto& each) {
    const auto plan = parse_plan(each.offset, each.metadata);
    return plan && !plan->config.empty() &&
           plan->config != config_hash(*options_.targets(each.topic));
  });
  foreign_looks_ = foreign == others.end() ? 0 : foreign_looks_ + 1;
  if (foreign_looks_ < kLooksUntilSaid) return;
  log(LogLevel::kError, "shared_group/" + foreign->topic,
      "another member of group " + options_.source.group + " takes " + foreign->topic + "/" +
          std::to_string(foreign->partition) +
          " with another table, format or columns, so that table " +
          options_.targets(foreign->topic)->table +
          " lacks what that one gets: give one of them a `source.kafka.group` of its own. While a "
          "changed configuration is rolled out this is as it should be, and passes");
}

}  // namespace millrace
