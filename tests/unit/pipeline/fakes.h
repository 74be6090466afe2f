// Stand-ins for what is around the pipeline: a sender that does as it is told, and blocks.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline/block_queue.h"
#include "pipeline/sender.h"
#include "pipeline/worker.h"

namespace millrace::testing {

// Short pauses; what is tested is what happens, not when.
inline const RetryPolicy kQuick{std::chrono::milliseconds(1), std::chrono::milliseconds(2),
                                std::chrono::milliseconds(1), std::chrono::milliseconds(2)};

// What one attempt carried.
struct Sent {
  std::string token, body;
  std::string format;
  std::vector<std::string> columns;
  Codec compression = Codec::kNone;
};

// Plays its script, one step for each send; when the script is over, every send succeeds. Shared by
// the worker's FakeSender and the test. Thread-safe.
class SendScript {
 public:
  using Step = std::function<void()>;  // throws what the attempt is to fail with

  void then(Step step) {
    const MutexLock lock(mutex_);
    sends_.push_back(std::move(step));
  }
  void then_probe(Step step) {
    const MutexLock lock(mutex_);
    probe_steps_.push_back(std::move(step));
  }
  std::vector<Sent> sent() const {
    const MutexLock lock(mutex_);
    return sent_;
  }
  std::size_t probes() const {
    const MutexLock lock(mutex_);
    return probes_;
  }

  // The next questions what a repeat proves are answered with these, later ones with kComplete.
  void then_proof(RepeatProof proof) {
    const MutexLock lock(mutex_);
    proofs_.push_back(proof);
  }
  RepeatProof take_proof() {
    const MutexLock lock(mutex_);
    ++restart_questions_;
    if (proofs_.empty()) return RepeatProof::kComplete;
    const RepeatProof proof = proofs_.front();
    proofs_.pop_front();
    return proof;
  }
  // What the table has, by the question's offsets and time.
  std::function<RowsByOffset(Cut, std::optional<FirstTry>)> rows_of_records;
  std::atomic<bool> may_have_forgotten{false};
  // Of each refusal: why a part of the insert is in. Set before the first block.
  std::string keeps_parts;
  // How the table looks. Set before the first block, or by a step of the script.
  EncodeFacts facts;
  // While the worker runs; once.
  void add_column(const TableColumn& column) {
    const MutexLock lock(mutex_);
    if (added_.empty()) added_.push_back(column);
  }
  EncodeFacts look() {
    const MutexLock lock(mutex_);
    EncodeFacts now = facts;
    now.columns.insert(now.columns.end(), added_.begin(), added_.end());
    return now;
  }
  std::atomic<std::size_t> facts_asked{0};
  std::size_t restart_questions() const {
    const MutexLock lock(mutex_);
    return restart_questions_;
  }

  // What each send does after its step of the script.
  void always(std::function<void(const Sent&)> act) { always_ = std::move(act); }

  // Success comes from the client's second try on a fresh connection.
  std::atomic<bool> repeated{false};

  void on_send(const Sent& sent) {
    Step step;
    {
      const MutexLock lock(mutex_);
      sent_.push_back(sent);
      step = take_first(sends_);
    }
    if (step) step();
    if (always_) always_(sent);
  }
  void on_probe() {
    Step step;
    {
      const MutexLock lock(mutex_);
      ++probes_;
      step = take_first(probe_steps_);
    }
    if (step) step();
  }

 private:
  static Step take_first(std::deque<Step>& steps) {
    if (steps.empty()) return nullptr;
    Step step = std::move(steps.front());
    steps.pop_front();
    return step;
  }

  std::function<void(const Sent&)> always_;  // set before the first send
  mutable Mutex mutex_;
  std::deque<Step> sends_ GUARDED_BY(mutex_), probe_steps_ GUARDED_BY(mutex_);
  std::vector<Sent> sent_ GUARDED_BY(mutex_);
  std::size_t probes_ GUARDED_BY(mutex_) = 0;
  std::vector<TableColumn> added_ GUARDED_BY(mutex_);
  std::deque<RepeatProof> proofs_ GUARDED_BY(mutex_);
  std::size_t restart_questions_ GUARDED_BY(mutex_) = 0;
};

// As the server would say it.
[[noreturn]] inline void throw_clickhouse_error(int code, const std::string& message,
                                                bool applied = false) {
  ClickHouseError::Details details;
  details.code = code;
  details.name = error_code_name(code);
  details.message = "Code: " + std::to_string(code) + ". DB::Exception: " + message;
  details.may_have_been_applied = applied;
  throw ClickHouseError(details);
}

class FakeSender final : public BlockSender {
 public:
  explicit FakeSender(std::shared_ptr<SendScript> script) : script_(std::move(script)) {}

  QuerySummary send(const TableTarget&, const std::string& token,
                    const EncodedBody& body) override {
    Sent sent{token,
              "",
              std::string(body.format),
              {body.columns.begin(), body.columns.end()},
              body.compression};
    for (const std::string_view piece : body.pieces) sent.body += piece;
    script_->on_send(sent);
    QuerySummary summary;
    summary.repeated = script_->repeated;
    summary.acquire_time = std::chrono::microseconds(1);
    summary.send_time = std::chrono::microseconds(2);
    summary.response_time = std::chrono::microseconds(3);
    return summary;
  }
  void probe(const TableTarget&) override { script_->on_probe(); }
  RepeatProof repeat_proof(const TableTarget&, const FirstTry&) override {
    return script_->take_proof();
  }
  RowsByOffset rows_of_records(const TableTarget&, const LaneId&, Cut range,
                               std::optional<FirstTry> since) override {
    return script_->rows_of_records(range, since);
  }
  EncodeFacts encode_facts(const TableTarget&) override {
    ++script_->facts_asked;
    return script_->look();
  }
  bool may_have_forgotten(const TableTarget&, const FirstTry&) override {
    return script_->may_have_forgotten;
  }
  std::string why_part_may_be_in(const TableTarget&, const TransportError&) override {
    return script_->keeps_parts;
  }
  std::string session_id() const override { return session_id_; }

 private:
  const std::shared_ptr<SendScript> script_;
  const std::string session_id_ = "fake-session";
};

// A worker that waits for one block, from its construction on.
class WaitingWorker {
 public:
  explicit WaitingWorker(BlockQueue& queue) : queue_(queue), outlet_(queue.make_outlet()) {
    const std::size_t others = queue.wanted();
    taken_ = std::async(std::launch::async, [this] { return outlet_.pop(); });
    while (queue.wanted() == others) std::this_thread::yield();
  }
  ~WaitingWorker() {
    if (taken_.valid()) queue_.close();
  }
  WaitingWorker(const WaitingWorker&) = delete;
  WaitingWorker& operator=(const WaitingWorker&) = delete;

  // Null when none came.
  InsertBlockPtr block() {
    if (taken_.wait_for(std::chrono::seconds(30)) != std::future_status::ready) queue_.close();
    return taken_.get();
  }

 private:
  BlockQueue& queue_;
  BlockQueue::Outlet outlet_;
  std::future<InsertBlockPtr> taken_;
};

inline BlockSenderFactory fake_senders(const std::shared_ptr<SendScript>& script) {
  return [script](unsigned) { return std::make_unique<FakeSender>(script); };
}

// Keeps what it is given. Used by a worker's thread; read when that has ended.
class FakeLetters final : public DeadLetterStore {
 public:
  void store(std::span<const DeadLetter> more) override {
    if (failures > 0) {
      --failures;
      throw std::runtime_error("the disk is full");
    }
    if (on_store) on_store();
    letters.insert(letters.end(), more.begin(), more.end());
  }
  std::string name() const override { return "table letters"; }

  int failures = 0;
  std::function<void()> on_store;
  std::vector<DeadLetter> letters;
};

// Keeps every event. Thread-safe.
class LogRecorder {
 public:
  LogSink sink() {
    return [this](const LogEvent& event) {
      const MutexLock lock(mutex_);
      events_.push_back(event);
    };
  }
  std::vector<LogEvent> events() const {
    const MutexLock lock(mutex_);
    return events_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<LogEvent> events_ GUARDED_BY(mutex_);
};

inline std::string field(const LogEvent& event, const std::string& name) {
  for (const auto& [key, value] : event.fields) {
    if (key == name) return value;
  }
  return "(no field " + name + ")";
}

inline std::shared_ptr<TableTarget> make_target(MetadataColumns columns = {}) {
  auto target = std::make_shared<TableTarget>();
  target->pipeline = "p";
  target->table = "events";
  target->columns = std::move(columns);
  return target;
}

inline std::shared_ptr<LaneProgress> make_lane(std::int64_t position = 0,
                                               const std::string& topic = "t") {
  return std::make_shared<LaneProgress>(LaneId{"g", topic, 0}, "events", "inc", position);
}

inline Record make_record(std::int64_t offset, std::string_view payload) {
  Record record;
  record.offset = offset;
  record.payload = payload;
  return record;
}

// A block of `cut` with one record for each payload; its cut is opened in the lane.
inline InsertBlockPtr make_block(ByteBudget& budget, std::shared_ptr<LaneProgress> lane, Cut cut,
                                 const std::vector<std::string>& payloads = {"{\"a\":1}"},
                                 std::shared_ptr<const TableTarget> target = make_target()) {
  BlockBuffer rows(budget, target->layout());
  std::int64_t offset = cut.first;
  for (const std::string& payload : payloads) {
    if (!rows.try_append(make_record(offset++, payload))) return nullptr;
  }
  lane->open(cut, payloads.size());
  return std::make_unique<InsertBlock>(std::move(lane), std::move(target), cut, std::move(rows),
                                       CutReason::kRows);
}

}  // namespace millrace::testing
