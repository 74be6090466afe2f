#include "pipeline/worker.h"

#include "pipeline/failure.h"

namespace millrace {
namespace {

using std::chrono::steady_clock;

// An aborted pool means that the process stops: the block only has to be kept until it does.
constexpr std::chrono::seconds kAfterAbort{1};
// How often to look whether the source has made sure that a lane is still ours.
constexpr std::chrono::milliseconds kUntilOwned{50};

void add_stage(TableStats& stats, Stage stage, std::chrono::nanoseconds time) {
  if (time.count() <= 0) return;
  stats.stage_nanoseconds[static_cast<std::size_t>(stage)].add(
      static_cast<std::uint64_t>(time.count()));
}

std::size_t total_bytes(BodyPieces pieces) {
  std::size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  return bytes;
}

std::string seconds_text(SteadyTime::duration time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  std::string decimals = std::to_string(ms % 1000);
  return std::to_string(ms / 1000) + "." + std::string(3 - decimals.size(), '0') + decimals + " s";
}

std::vector<std::pair<std::string, std::string>> fields_of(const InsertBlock& block) {
  return {{"pipeline", block.target->pipeline},
          {"table", block.target->table},
          {"lane", block.lane->id().to_string()},
          {"offsets", std::to_string(block.cut.first) + "-" + std::to_string(block.cut.end)},
          {"records", std::to_string(block.buffer.records())},
          {"token", block.token}};
}

LogEvent failure_event(const InsertBlock& block, const LaneWait& failure,
                       bool may_have_been_applied, std::chrono::milliseconds delay) {
  const bool waits = failure.disposition != Disposition::kRetry;
  const bool fault = failure.reason == "internal_error";
  LogEvent event{waits || fault ? LogLevel::kError : LogLevel::kWarning,
                 "insert_failed/" + block.target->pipeline + "/" + block.lane->id().to_string(),
                 "insert into " + block.target->table + " failed: " + failure.message,
                 fields_of(block)};
  event.fields.insert(event.fields.end(),
                      {{"disposition", std::string(to_string(failure.disposition))},
                       {"reason", failure.reason},
                       {"code", std::to_string(failure.code)},
                       {"attempt", std::to_string(failure.attempts)},
                       {"may_have_been_applied", may_have_been_applied ? "yes" : "no"},
                       {"next_try", seconds_text(delay)},
                       {"advice", advice_for(failure, block.target->table)}});
  return event;
}

}  // namespace

Worker::Worker(unsigned id, BlockQueue& queue, std::unique_ptr<BlockSender> sender,
               RetryLimits retry, ByteBudget& budget, WorkerStats& stats, LogSink log)
    : id_(id),
      queue_(queue),
      outlet_(queue.make_outlet()),
      sender_(std::move(sender)),
      retry_(retry),
      budget_(budget),
      stats_(stats),
      log_(std::move(log)),
      random_(std::random_device{}()) {
  set_operation("idle", nullptr);
}

void Worker::run() {
  while (InsertBlockPtr block = outlet_.pop()) {
    process(std::move(block));
    encoder_.trim();
    set_operation("idle", nullptr);
  }
}

void Worker::process(InsertBlockPtr block) {
  if (block->lane->abandoned()) {
    block->target->stats->abandoned_blocks.add();
    return;
  }
  if (const SteadyTime now = steady_clock::now(); !block->lane->owned(now)) {
    queue_.park(std::move(block), now + kUntilOwned);
    return;
  }
  try {
    deliver(*block);
  } catch (const AbortedError&) {
    queue_.park(std::move(block), steady_clock::now() + kAfterAbort);
  } catch (const TransportError& error) {
    if (error.disposition() == Disposition::kDone) {
      acknowledge(*block);
    } else {
      put_back(std::move(block), describe_failure(error), error.may_have_been_applied());
    }
  } catch (const std::exception& error) {
    put_back(std::move(block), describe_failure(error), true);
  }
}

void Worker::deliver(InsertBlock& block) {
  TableStats& stats = *block.target->stats;
  const SteadyTime started = steady_clock::now();
  if (block.failures == 0) {
    if (block.opened_at != SteadyTime{}) {
      add_stage(stats, Stage::kSource, block.queued_at - block.opened_at);
    }
    add_stage(stats, Stage::kQueue, started - block.queued_at);
  }
  if (block.last_disposition == Disposition::kWait) {
    set_operation("probe", &block);
    const InFlight in_flight(stats_.probes_in_flight);
    sender_->probe(*block.target);
  }

  set_operation("encode", &block);
  const SteadyTime encode_started = steady_clock::now();
  const std::vector<std::string_view> body = encoder_.encode(block);
  add_stage(stats, Stage::kEncode, steady_clock::now() - encode_started);

  renew_token_if_forgotten(block);
  do {
    const QuerySummary summary = insert(block, body);
    add_stage(stats, Stage::kSessionWait, summary.acquire_time);
    add_stage(stats, Stage::kSend, summary.send_time);
    add_stage(stats, Stage::kServer, summary.response_time);
    // Asked again: the server may have been killed between the question and the insert.
  } while (renew_token_if_forgotten(block));
  acknowledge(block);
}

// True when the block now has a new token and must be sent under it. With the old one the server
// could take it for a duplicate of rows that it has lost: rows twice are better than rows missing.
bool Worker::renew_token_if_forgotten(InsertBlock& block) {
  if (!block.unknown_since) return false;
  set_operation("probe", &block);
  const InFlight in_flight(stats_.probes_in_flight);
  if (!sender_->may_swallow_repeat(*block.target, *block.unknown_since)) return false;
  ++block.token_renewals;
  block.unknown_since.reset();
  LogEvent event{LogLevel::kWarning,
                 "token_renewed/" + block.target->pipeline + "/" + block.lane->id().to_string(),
                 "ClickHouse was restarted while an insert into " + block.target->table +
                     " had no answer: the rows are sent under a new token and can be there twice",
                 fields_of(block)};
  event.fields.emplace_back("new_token", block.current_token());
  log_(event);
  return true;
}

QuerySummary Worker::insert(InsertBlock& block, BodyPieces body) {
  set_operation("insert", &block);
  const InFlight in_flight(stats_.inserts_in_flight);
  // The block paid for a body of the size of its records; columns can make it larger.
  const std::size_t paid = block.buffer.reserved_for_body();
  const std::size_t held = encoder_.buffer_bytes();
  const ByteReservation rest = budget_.reserve_anyway(held > paid ? held - paid : 0);

  const SteadyTime started = block.attempt_started = steady_clock::now();
  QuerySummary summary = sender_->send(block, body);
  // The answer is that of a second try: the first ended without one.
  if (summary.repeated && !block.unknown_since) block.unknown_since = started;
  TableStats& stats = *block.target->stats;
  stats.insert_seconds.observe(
      std::chrono::duration<double>(steady_clock::now() - started).count());
  stats.block_bytes.observe(static_cast<double>(total_bytes(body)));
  return summary;
}

void Worker::acknowledge(const InsertBlock& block) {
  TableStats& stats = *block.target->stats;
  const std::size_t rows = block.buffer.records();
  const auto recovered = block.lane->finish(block.cut);
  stats.rows.add(rows);
  stats.bytes.add(block.buffer.payload_bytes());
  stats.blocks.add();
  stats.block_rows.observe(static_cast<double>(rows));
  if (!recovered) return;
  const auto after = steady_clock::now() - block.first_failed_at;
  log_({LogLevel::kInfo,
        "lane_recovered/" + block.target->pipeline + "/" + block.lane->id().to_string(),
        "lane " + block.lane->id().to_string() + " goes on after " + seconds_text(after) + " and " +
            std::to_string(block.failures) + " failed attempts (" + recovered->reason + ")",
        fields_of(block)});
}

void Worker::put_back(InsertBlockPtr block, LaneWait failure, bool may_have_been_applied) {
  const SteadyTime now = steady_clock::now();
  if (block->failures++ == 0) block->first_failed_at = now;
  block->last_disposition = failure.disposition;
  if (may_have_been_applied && !block->unknown_since) block->unknown_since = block->attempt_started;
  block->target->stats->retries.add(failure.reason);

  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  const auto delay = retry_delay(retry_, failure.disposition, block->failures, random);
  failure.attempts = block->failures;
  log_(failure_event(*block, failure, may_have_been_applied, delay));
  block->lane->set_failed(block->cut, std::move(failure));
  queue_.park(std::move(block), now + delay);
}

void Worker::set_operation(const char* operation, const InsertBlock* block) {
  const MutexLock lock(status_mutex_);
  status_.id = id_;
  status_.operation = operation;
  status_.lane = block != nullptr ? block->lane->id().to_string() : "";
  status_.table = block != nullptr ? block->target->table : "";
  status_.session_id = sender_->session_id();
  operation_since_ = steady_clock::now();
}

WorkerStatus Worker::status(SteadyTime now) const {
  const MutexLock lock(status_mutex_);
  WorkerStatus status = status_;
  status.seconds = std::chrono::duration<double>(now - operation_since_).count();
  return status;
}

}  // namespace millrace
