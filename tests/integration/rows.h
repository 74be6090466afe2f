// Numbered rows, whose content ClickHouse can work out from the number by itself: what arrives is
// compared with what was produced inside ClickHouse, by count and checksum.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/real_clickhouse.h"
#include "tests/support/real_kafka.h"

namespace millrace::test {

// {"n":7,"text":"row 7 xxxxxxx"}
std::string row_json(std::uint64_t n);

// `window`: the table's deduplication window in blocks; 0 for none.
void create_rows_table(const RealClickHouse& clickhouse, const std::string& table, unsigned window);
// Rows [first, end), to all partitions in turn.
void produce_rows(RealKafka& kafka, const std::string& topic, std::uint64_t first,
                  std::uint64_t end, int partitions);

// count, distinct rows and sum of checksums: of the rows [0, count) as they were produced, and of
// the table. Equal exactly when each row is there once, unchanged.
std::string produced_checksums(const RealClickHouse& clickhouse, std::uint64_t count);
std::string table_checksums(const RealClickHouse& clickhouse, const std::string& table);

// How many of the rows [0, count) are not in the table as they were produced.
std::uint64_t missing_rows(const RealClickHouse& clickhouse, const std::string& table,
                           std::uint64_t count);
std::uint64_t duplicate_rows(const RealClickHouse& clickhouse, const std::string& table);

}  // namespace millrace::test
