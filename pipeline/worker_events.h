// What a worker tells people: the lines of its log.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/block.h"
#include "transport/client.h"

namespace millrace {

// Something worth a log line; the service decides how it looks. Called on worker and producer
// threads: must be thread-safe and quick.
enum class LogLevel { kDebug, kInfo, kWarning, kError };
struct LogEvent {
  LogLevel level;
  std::string key;  // events with one key are rate-limited together: "insert_failed/events/3"
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;  // table, lane, offsets, code, setting …
};
using LogSink = std::function<void(const LogEvent&)>;

LogEvent failure_event(const InsertBlock& block, const LaneWait& failure,
                       bool may_have_been_applied, std::chrono::milliseconds delay);
LogEvent recovered_event(const InsertBlock& block, const LaneWait& failure,
                         SteadyTime::duration after);
LogEvent dead_letter_event(const InsertBlock& block, const std::string& store);
LogEvent unwritten_event(const InsertBlock& block, std::size_t records,
                         const QuerySummary& summary);
// A proxy refused a body of so many bytes; `limit`: what bodies are kept below from now on.
LogEvent body_refused_event(const InsertBlock& block, std::size_t body_bytes, std::size_t limit);
LogEvent guarantee_event(const TableTarget& target, const GuaranteeNote::Value& guarantee);
LogEvent token_renewed_event(const InsertBlock& block);
LogEvent rows_missing_event(const InsertBlock& block, std::size_t records);

}  // namespace millrace
