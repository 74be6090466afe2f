#include "service/dead_letters/archive.h"

#include "service/config.h"
#include "service/sources/kafka_dead_letters.h"

namespace millrace {

bool DeadLetterFilter::matches(const DeadLetter& letter) const {
  return (table.empty() || table == letter.table) && letter.token.starts_with(token) &&
         (!code || *code == letter.code) && (!since || letter.time >= *since) &&
         (!until || letter.time < *until) && (replayed || !letter.replayed);
}

std::shared_ptr<DeadLetterArchive> make_dead_letter_archive(const PipelineConfig& pipeline,
                                                            const ClickHouseConfig& clickhouse,
                                                            HttpSessionPool& pool) {
  const DeadLettersConfig& config = pipeline.dead_letters;
  switch (config.store) {
    case DeadLettersIn::kClickHouse:
      return make_table_archive(clickhouse.client, clickhouse.endpoints.front(), pool,
                                config.table);
    case DeadLettersIn::kFile:
      return make_file_archive(config.file);
    case DeadLettersIn::kKafka:
      return make_kafka_archive(pipeline.kafka, "millrace-" + pipeline.name, config.topic);
    case DeadLettersIn::kNone:
      break;
  }
  return nullptr;
}

}  // namespace millrace
