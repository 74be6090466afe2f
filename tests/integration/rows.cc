#include "tests/integration/rows.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kTextLengths = 100;

// The rows [0, count) as ClickHouse makes them.
std::string produced(std::uint64_t count) {
  return "(SELECT number AS n, concat('row ', toString(n), ' ', repeat('x', n % " +
         std::to_string(kTextLengths) + ")) AS text FROM numbers(" + std::to_string(count) + "))";
}

std::string checksums(const RealClickHouse& clickhouse, const std::string& rows) {
  return clickhouse.query("SELECT count(), uniqExact(n, text), sum(cityHash64(n, text)) FROM " +
                          rows);
}

}  // namespace

std::string row_json(std::uint64_t n) {
  const std::string number = std::to_string(n);
  return "{\"n\":" + number + ",\"text\":\"row " + number + " " +
         std::string(n % kTextLengths, 'x') + "\"}";
}

void create_rows_table(const RealClickHouse& clickhouse, const std::string& table,
                       unsigned window) {
  clickhouse.query("CREATE TABLE " + table +
                   " (n UInt64, text String) ENGINE = MergeTree ORDER BY n SETTINGS "
                   "non_replicated_deduplication_window = " +
                   std::to_string(window));
}

void produce_rows(RealKafka& kafka, const std::string& topic, std::uint64_t first,
                  std::uint64_t end, int partitions) {
  std::uint64_t n = first;
  kafka.produce(topic, [&](KafkaMessage& message) {
    if (n == end) return false;
    message.payload = row_json(n);
    message.partition = static_cast<std::int32_t>(n % static_cast<std::uint64_t>(partitions));
    ++n;
    return true;
  });
}

std::string produced_checksums(const RealClickHouse& clickhouse, std::uint64_t count) {
  return checksums(clickhouse, produced(count));
}

std::string table_checksums(const RealClickHouse& clickhouse, const std::string& table) {
  return checksums(clickhouse, table);
}

std::uint64_t missing_rows(const RealClickHouse& clickhouse, const std::string& table,
                           std::uint64_t count) {
  return clickhouse.number("SELECT count() FROM " + produced(count) +
                           " WHERE (n, text) NOT IN (SELECT n, text FROM " + table + ")");
}

std::uint64_t duplicate_rows(const RealClickHouse& clickhouse, const std::string& table) {
  return clickhouse.number("SELECT count() - uniqExact(n) FROM " + table);
}

}  // namespace millrace::test
