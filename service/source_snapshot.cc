#include "service/sources/kafka_reader.h"
#include "service/status.h"

namespace millrace {
namespace {

void add(std::map<std::string, std::uint64_t>& sum, const LabelledCounter& more) {
  for (const auto& [label, count] : more.values()) sum[label] += count;
}

}  // namespace

void add(SourceSnapshot& sum, const KafkaStats& stats) {
  sum.messages += stats.messages.value();
  sum.bytes += stats.bytes.value();
  sum.commits += stats.commits.value();
  sum.lost_offsets += stats.lost_offsets.value();
  sum.begun_again += stats.begun_again.value();
  sum.pauses += stats.pauses.value();
  add(sum.commit_errors, stats.commit_errors);
  add(sum.errors, stats.errors);
  add(sum.rebalances, stats.rebalances);
  sum.commits_in_flight += stats.commits_in_flight.value();
}

SourceSnapshot source_snapshot(const std::vector<const KafkaReader*>& readers) {
  SourceSnapshot sum;
  for (const KafkaReader* reader : readers) add(sum, reader->stats());
  return sum;
}

}  // namespace millrace
