// A worker: takes blocks from the queue, encodes, sends, and settles what became of them.
//
// The only place where a failure becomes a decision. A block leaves a worker in one of three ways:
// acknowledged (its lane's cut is finished: each record is in ClickHouse or in the dead letters),
// parked for another try, or abandoned because its lane went to another owner before it was sent.
// There is no fourth.
//
// A block whose rows ClickHouse refuses is sent in parts (block_split.h) until the records at fault
// stand alone; these are stored as dead letters before the rest is in.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/block_queue.h"
#include "pipeline/encoder.h"
#include "pipeline/retry_policy.h"
#include "pipeline/sender.h"

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

// What a worker is doing now. Snapshot for /status.
struct WorkerStatus {
  unsigned id = 0;
  std::string operation;  // "idle", "encode", "insert", "probe"
  std::string lane, table, session_id;
  double seconds = 0;  // in this operation
};

// Counters of all workers together. Thread-safe.
struct WorkerStats {
  Gauge inserts_in_flight, probes_in_flight;
};

// run() is one thread; status() may be called from any.
class Worker {
 public:
  Worker(unsigned id, BlockQueue& queue, std::unique_ptr<BlockSender> sender, RetryPolicy retry,
         ByteBudget& budget, WorkerStats& stats, LogSink log);
  // Until the queue is closed and empty.
  void run();
  WorkerStatus status(SteadyTime now) const;

 private:
  void process(InsertBlockPtr block);
  bool ours(InsertBlockPtr& block);
  void prepare(InsertBlock& block);
  void deliver_next(InsertBlock& block);
  void send(InsertBlock& block, const BlockPart& part);
  bool renew_token_if_forgotten(InsertBlock& block);
  void insert(InsertBlock& block, const BlockPart& part, BodyPieces body);
  void refuse(InsertBlock& block, const BlockPart& part, const TransportError& error);
  void add_dead_letters(InsertBlock& block, const BlockPart& part, const TransportError& error);
  void store_dead_letters(InsertBlock& block);
  void acknowledge(const InsertBlock& block);
  void put_back(InsertBlockPtr block, LaneWait failure, bool may_have_been_applied);
  void set_operation(const char* operation, const InsertBlock* block);

  const unsigned id_;
  BlockQueue& queue_;
  BlockQueue::Outlet outlet_;
  const std::unique_ptr<BlockSender> sender_;
  const RetryPolicy retry_;
  ByteBudget& budget_;
  WorkerStats& stats_;
  const LogSink log_;
  Encoder encoder_;
  std::minstd_rand random_;
  mutable Mutex status_mutex_;
  WorkerStatus status_ GUARDED_BY(status_mutex_);
  SteadyTime operation_since_ GUARDED_BY(status_mutex_){};
};

}  // namespace millrace
