// Where a pipeline keeps what ClickHouse refuses (setting `dead_letters`), and how it is read
// again.
//
//   clickhouse   a table, made at the start if it is missing; ReplacingMergeTree by token; on the
//                first of the configured endpoints
//   file         JSON lines, appended and synced; all of a store() or none
//   kafka        a topic of the pipeline's own brokers, keyed by token; made at the start, too
//
// Each letter is one JSON object, the same everywhere (letter_text.h). A letter that was replayed
// is stored once more, saying so; a reader sees the last state of each token.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/dead_letter.h"
#include "transport/client.h"

namespace millrace {

struct ClickHouseConfig;
struct PipelineConfig;

// Which of them somebody wants to see.
struct DeadLetterFilter {
  std::string table{}, token{};  // empty: any; a token by its beginning
  std::optional<int> code{};
  std::optional<std::chrono::system_clock::time_point> since{}, until{};  // [since, until)
  bool replayed = false;                                                  // those, too
  bool matches(const DeadLetter& letter) const;
};

struct DeadLetters {
  std::vector<DeadLetter> letters;  // in the order in which they came
  std::size_t unreadable = 0;       // lines or messages that are none
};

// Thread-safe.
class DeadLetterArchive : public DeadLetterStore {
 public:
  // Makes the place (table, topic) if it is missing, so that the first letter finds it. Throws
  // std::exception with what is in the way.
  virtual void prepare() {}
  // The process ends: whatever waits in here, and whatever comes later, throws AbortedError soon.
  virtual void abort() noexcept {}
  // Throws std::exception.
  virtual DeadLetters read(const DeadLetterFilter& filter) = 0;
};

// As the configuration says; null for `none`. Connects to nothing yet. `pool` must outlive it.
std::shared_ptr<DeadLetterArchive> make_dead_letter_archive(const PipelineConfig& pipeline,
                                                            const ClickHouseConfig& clickhouse,
                                                            HttpSessionPool& pool);

// The table is on one host, the first that is configured: who lists the letters must find them.
std::shared_ptr<DeadLetterArchive> make_table_archive(ClientOptions client, Endpoint endpoint,
                                                      HttpSessionPool& pool, std::string table);
std::shared_ptr<DeadLetterArchive> make_file_archive(std::string path);
// What keeps a letter from being written there, as far as it can be seen without writing; empty:
// nothing.
std::string file_archive_fault(const std::string& path);

}  // namespace millrace
