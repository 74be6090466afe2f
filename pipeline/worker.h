// A worker: takes blocks from the queue, encodes, sends, and settles what became of them.
//
// The only place where a failure becomes a decision. A block leaves a worker in one of three ways:
// acknowledged (its lane's cut is finished: each record is in ClickHouse or in the dead letters),
// parked for another try, or abandoned because its lane went to another owner before it was sent.
// There is no fourth.
//
// A block whose rows ClickHouse refuses is sent in parts (block_split.h) until the records at fault
// stand alone; these are stored as dead letters before the rest is in. Only where the refusal left
// nothing behind (refusal.h): else the block waits, and is tried again under its own token.
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
#include "pipeline/body_encoder.h"
#include "pipeline/live_value.h"
#include "pipeline/retry_policy.h"
#include "pipeline/sender.h"
#include "pipeline/worker_events.h"

namespace millrace {

// What a worker is doing now. Snapshot for /status.
struct WorkerStatus {
  unsigned id = 0;
  std::string operation;  // "idle", "encode", "insert", "probe" …
  std::string lane, table, session_id;
  double seconds = 0;  // in this operation
};

// Counters of all workers together. Thread-safe.
struct WorkerStats {
  Gauge inserts_in_flight, probes_in_flight;
};

// run() is one thread; status() and set_retry() may be called from any.
class Worker {
 public:
  Worker(unsigned id, BlockQueue& queue, std::unique_ptr<BlockSender> sender, RetryPolicy retry,
         ByteBudget& budget, WorkerStats& stats, LogSink log);
  // Until the queue is closed and empty.
  void run();
  WorkerStatus status(SteadyTime now) const;
  void set_retry(RetryPolicy retry) { retry_.set(std::move(retry)); }  // from any thread

 private:
  // Asks the server something about `target` that is no insert.
  template <class Question>
  auto ask(const char* operation, const TableTarget& target, const InsertBlock* block,
           const Question& question);
  void process(InsertBlockPtr block);
  bool ours(InsertBlockPtr& block);
  void prepare(InsertBlock& block);
  void check_plan(InsertBlock& block);
  void deliver_next(InsertBlock& block);
  void send(InsertBlock& block, const BlockPart& part);
  RepeatProof repeat_proof(InsertBlock& block);
  void renew_token(InsertBlock& block);
  void insert_missing(InsertBlock& block, const BlockPart& part);
  BlockPart find_missing(const InsertBlock& block, const BlockPart& part);
  void insert(InsertBlock& block, const BlockPart& part, const std::string& token);
  EncodeFacts ask_facts(const TableTarget& target);
  void insert_body(InsertBlock& block, std::size_t records, const std::string& token,
                   const EncodedBody& body);
  void expect_nothing_kept(const InsertBlock& block, const TransportError& refusal);
  void refuse(InsertBlock& block, const BlockPart& part, const TransportError& error);
  void refuse(InsertBlock& block, const RowsNotEncoded& rows);
  void send_in_parts(InsertBlock& block, const BlockPart& part, const TransportError& error);
  void add_dead_letter(InsertBlock& block, std::size_t index, const LaneWait& why);
  void store_dead_letters(InsertBlock& block);
  void acknowledge(const InsertBlock& block);
  void put_back(InsertBlockPtr block, LaneWait failure, bool may_have_been_applied);
  void set_operation(const char* operation, const InsertBlock* block);

  const unsigned id_;
  BlockQueue& queue_;
  BlockQueue::Outlet outlet_;
  const std::unique_ptr<BlockSender> sender_;
  LiveValue<RetryPolicy> retry_;
  ByteBudget& budget_;
  WorkerStats& stats_;
  const LogSink log_;
  BodyEncoder encoder_;
  std::size_t body_bytes_ = 0;  // of the last body that was sent
  std::minstd_rand random_;
  mutable Mutex status_mutex_;
  WorkerStatus status_ GUARDED_BY(status_mutex_);
  SteadyTime operation_since_ GUARDED_BY(status_mutex_){};
};

}  // namespace millrace
