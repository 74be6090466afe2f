#include "pipeline/worker.h"

#include "pipeline/failure.h"
#include "pipeline/stop_hook.h"
#include "pipeline/worker_events.h"
#include "transport/http_status.h"

namespace millrace {
namespace {

using std::chrono::steady_clock;

// An aborted pool means that the process stops: the block only has to be kept until it does.
constexpr std::chrono::seconds kAfterAbort{1};
// How often to look whether the source has made sure that a lane is still ours.
constexpr std::chrono::milliseconds kUntilOwned{50};
// Each repair can be lost as the insert was, if the server is killed again.
constexpr unsigned kMostRepairs = 5;
// For one insert; somebody may alter the table again meanwhile.
constexpr unsigned kMostPlans = 3;

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

// The part's records of which the table lacks rows.
BlockPart without_those(const InsertBlock& block, const BlockPart& part,
                        const RowsByOffset& there) {
  BlockPart missing{part.first, part.end, {}};
  auto out = part.without.begin();
  for (std::size_t index = part.first; index < part.end; ++index) {
    const RecordEntry& record = block.buffer.entries()[index];
    const bool was_out = out != part.without.end() && *out == index;
    if (was_out) ++out;
    const auto found = there.find(record.offset);
    if (was_out || (found != there.end() && found->second >= count_rows(record.payload())))
      missing.without.push_back(index);
  }
  return missing;
}

TransportError rows_not_found(const InsertBlock& block, std::size_t records) {
  return {"table " + block.target->table + " lacks rows of " + std::to_string(records) +
              " records that it has confirmed " + std::to_string(kMostRepairs) +
              " times: does somebody delete them, or may our user not see them?",
          Disposition::kWait,
          false,
          {.name = "ROWS_NOT_FOUND"}};
}

// A question of ours that is refused says nothing of the block's rows.
TransportError question_failed(const TableTarget& target, const TransportError& error) {
  return {"a question about table " + target.table + " failed: " + error.what(),
          Disposition::kWait,
          false,
          {.name = "QUESTION_FAILED"}};
}

TransportError plan_expired(const InsertBlock& block) {
  return {"records " + std::to_string(block.cut.first) + "-" + std::to_string(block.cut.end) +
              " of " + block.lane->id().to_string() + " may be in table " + block.target->table +
              " already, which has forgotten inserts of that time: sent again they could be there "
              "twice",
          Disposition::kWait,
          false,
          {.name = "PLAN_EXPIRED"}};
}

TransportError refused_in_part(const InsertBlock& block, const TransportError& refusal,
                               const std::string& why) {
  return {"table " + block.target->table + " refuses records among " +
              std::to_string(block.cut.first) + "-" + std::to_string(block.cut.end) + " of " +
              block.lane->id().to_string() +
              ", and may have kept others of them, so that they can't be sent in parts: " + why +
              ". It said: " + refusal.what(),
          Disposition::kWait,
          true,
          {.code = refusal.code(), .name = "REFUSED_IN_PART"}};
}

}  // namespace

Worker::Worker(unsigned id, BlockQueue& queue, std::unique_ptr<BlockSender> sender,
               RetryPolicy retry, ByteBudget& budget, WorkerStats& stats, LogSink log)
    : id_(id),
      queue_(queue),
      outlet_(queue.make_outlet()),
      sender_(std::move(sender)),
      retry_(std::move(retry)),
      budget_(budget),
      stats_(stats),
      log_(std::move(log)),
      encoder_([this](const TableTarget& target) { return ask_facts(target); }, log_),
      random_(std::random_device{}()) {
  set_operation("idle", nullptr);
}

void Worker::run() {
  while (InsertBlockPtr block = outlet_.pop()) {
    process(std::move(block));
    // What it keeps is paid for by the next block; fresh pages for each would cost a sixth of the
    // CPU.
    if (queue_.queued() == 0) encoder_.trim();
    set_operation("idle", nullptr);
  }
}

template <class Question>
auto Worker::ask(const char* operation, const TableTarget& target, const InsertBlock* block,
                 const Question& question) {
  set_operation(operation, block);
  const InFlight in_flight(stats_.probes_in_flight);
  try {
    return question();
  } catch (const TransportError& error) {
    const Disposition disposition = retry_.get().disposition_of(error);
    const bool waits = disposition == Disposition::kRetry || disposition == Disposition::kWait;
    if (waits && !is_too_large(error)) throw;
    throw question_failed(target, error);
  }
}

void Worker::process(InsertBlockPtr block) {
  bool started = false;
  try {
    while (!block->split.done()) {
      if (!ours(block)) return;
      if (!std::exchange(started, true)) prepare(*block);
      deliver_next(*block);
    }
    store_dead_letters(*block);
    acknowledge(*block);
  } catch (const AbortedError&) {
    queue_.park(std::move(block), steady_clock::now() + kAfterAbort);
  } catch (const TransportError& error) {
    LaneWait failure = describe_failure(error);
    failure.disposition = retry_.get().disposition_of(error);
    put_back(std::move(block), std::move(failure), error.may_have_been_applied());
  } catch (const std::exception& error) {
    put_back(std::move(block), describe_failure(error), true);
  }
}

// False when the block was let go of: its lane has, or may have, another owner.
bool Worker::ours(InsertBlockPtr& block) {
  if (block->lane->abandoned()) {
    block->target->stats->abandoned_blocks.add();
    return false;
  }
  const SteadyTime now = steady_clock::now();
  if (block->lane->owned(now)) return true;
  queue_.park(std::move(block), now + kUntilOwned);
  return false;
}

void Worker::prepare(InsertBlock& block) {
  block.attempt_started = {};
  TableStats& stats = *block.target->stats;
  if (block.failures == 0) {
    if (block.opened_at != SteadyTime{}) {
      add_stage(stats, Stage::kSource, block.queued_at - block.opened_at);
    }
    add_stage(stats, Stage::kQueue, steady_clock::now() - block.queued_at);
  }
  if (block.last_disposition == Disposition::kWait) {
    ask("probe", *block.target, &block, [&] { sender_->probe(*block.target); });
  }
  if (block.reason == CutReason::kPlanned) check_plan(block);
}

// A block that a former owner planned, and may have sent: does the table still know?
void Worker::check_plan(InsertBlock& block) {
  const ExpiredPlan policy = block.target->on_expired_plan;
  if (block.plan_checked || !block.unknown_since || policy == ExpiredPlan::kResend) return;
  const bool expired = ask("probe", *block.target, &block, [&] {
    return sender_->may_have_forgotten(*block.target, *block.unknown_since);
  });
  if (expired && policy == ExpiredPlan::kStop) throw plan_expired(block);
  block.look_first = expired;
  block.plan_checked = true;
}

// What is next of the block: all of it, unless it was refused.
void Worker::deliver_next(InsertBlock& block) {
  const BlockPart part = block.split.next();
  // The rest of the block lands under the token of the whole: from then on a repeat of the whole is
  // a success, and who built it again would not learn of what was refused.
  if (!part.without.empty()) store_dead_letters(block);
  try {
    send(block, part);
  } catch (const RowsNotEncoded& rows) {
    return refuse(block, rows);
  } catch (const TransportError& error) {
    if (is_too_large(error)) return send_in_parts(block, part, error);
    switch (retry_.get().disposition_of(error)) {
      case Disposition::kSplit:
      case Disposition::kDeadLetter:
        expect_nothing_kept(block, error);
        return refuse(block, part, error);
      case Disposition::kDone:
        break;
      case Disposition::kRetry:
      case Disposition::kWait:
        throw;
    }
  }
  block.done.inserted += part.records();
  block.unknown_since.reset();
  block.split.accept();
}

// What is in already would come again with the parts, whose tokens are others.
void Worker::expect_nothing_kept(const InsertBlock& block, const TransportError& refusal) {
  const std::string why = ask("probe", *block.target, &block,
                              [&] { return sender_->why_part_may_be_in(*block.target, refusal); });
  if (!why.empty()) throw refused_in_part(block, refusal, why);
}

void Worker::send(InsertBlock& block, const BlockPart& part) {
  if (block.look_first) return insert_missing(block, part);
  if (repeat_proof(block) == RepeatProof::kNone) renew_token(block);
  for (;;) {
    insert(block, part, block.token_of(part));
    // Asked again: the server may have been killed between the question and the insert.
    switch (repeat_proof(block)) {
      case RepeatProof::kComplete:
        return;
      case RepeatProof::kLook:
        return insert_missing(block, part);
      case RepeatProof::kNone:
        renew_token(block);
    }
  }
}

// Whether a success says that the rows are there.
RepeatProof Worker::repeat_proof(InsertBlock& block) {
  if (!block.unknown_since) return RepeatProof::kComplete;
  return ask("probe", *block.target, &block,
             [&] { return sender_->repeat_proof(*block.target, *block.unknown_since); });
}

// With the old token the server could take the rows for a duplicate of some that it has lost: rows
// twice are better than rows missing.
void Worker::renew_token(InsertBlock& block) {
  ++block.token_renewals;
  block.unknown_since.reset();
  log_(token_renewed_event(block));
}

// The rows of the part that the table has not, each time under the next token: who else builds this
// block finds the same rows missing, and sends them under the same.
void Worker::insert_missing(InsertBlock& block, const BlockPart& part) {
  const std::string token = block.token_of(part);
  for (unsigned repair = 1;; ++repair) {
    const BlockPart missing = find_missing(block, part);
    if (missing.records() == 0) return;
    if (repair > kMostRepairs) throw rows_not_found(block, missing.records());
    log_(rows_missing_event(block, missing.records()));
    block.target->stats->repaired_rows.add(missing.records());
    insert(block, missing, token + "~" + std::to_string(repair));
  }
}

BlockPart Worker::find_missing(const InsertBlock& block, const BlockPart& part) {
  const auto look = [&](std::optional<FirstTry> since) {
    return without_those(block, part, ask("look for rows", *block.target, &block, [&] {
                           return sender_->rows_of_records(*block.target, block.lane->id(),
                                                           block.cut, since);
                         }));
  };
  if (!block.look_first && block.unknown_since) {
    BlockPart missing = look(block.unknown_since);
    if (missing.records() == 0) return missing;
  }
  return look(std::nullopt);  // the short question may overlook some
}

void Worker::insert(InsertBlock& block, const BlockPart& part, const std::string& token) {
  for (unsigned plans = 1;; ++plans) {
    set_operation("encode", &block);
    const SteadyTime started = steady_clock::now();
    const EncodedBody& body = encoder_.encode(block, part);
    const auto encode_time = steady_clock::now() - started;
    try {
      insert_body(block, part.records(), token, body);
      // With the other stages of the insert: what is tried in vain again and again limits nothing.
      return add_stage(*block.target->stats, Stage::kEncode, encode_time);
    } catch (const ClickHouseError& error) {
      // Was the table altered since it was asked for its columns? Then the same rows in another
      // form.
      const bool encoded = body.format != block.target->format;
      const bool again = encoded && error.code() != 0 &&
                         error.disposition() != Disposition::kRetry && plans < kMostPlans &&
                         encoder_.plan_again(*block.target);
      if (!again) throw;
    }
  }
}

EncodeFacts Worker::ask_facts(const TableTarget& target) {
  return ask("describe table", target, nullptr, [&] { return sender_->encode_facts(target); });
}

void Worker::insert_body(InsertBlock& block, std::size_t records, const std::string& token,
                         const EncodedBody& body) {
  set_operation("insert", &block);
  const InFlight in_flight(stats_.inserts_in_flight);
  // The block paid for a body of the size of its records; columns can make it larger.
  const std::size_t paid = block.buffer.reserved_for_body();
  const std::size_t held = encoder_.buffer_bytes();
  const ByteReservation rest = budget_.reserve_anyway(held > paid ? held - paid : 0);

  body_bytes_ = total_bytes(body.pieces);
  const SteadyTime started = block.attempt_started = steady_clock::now();
  stop_at(StopPoint::kBeforeSend);
  const QuerySummary summary = sender_->send(*block.target, token, body);
  stop_at(StopPoint::kSent);
  if (const auto news = block.target->stats->guarantee.take_news())
    log_(guarantee_event(*block.target, *news));
  // The answer is that of a second try: the first ended without one.
  if (summary.repeated && !block.unknown_since) block.unknown_since = started;
  TableStats& stats = *block.target->stats;
  stats.insert_seconds.observe(
      std::chrono::duration<double>(steady_clock::now() - started).count());
  stats.block_bytes.observe(static_cast<double>(body_bytes_));
  add_stage(stats, Stage::kSessionWait, summary.acquire_time);
  add_stage(stats, Stage::kSend, summary.send_time);
  add_stage(stats, Stage::kServer, summary.response_time);
  // A message may hold several rows, and views add theirs: only too few say something.
  if (summary.has_counts && summary.written_rows < records) {
    stats.unwritten_rows.add(records - summary.written_rows);
    log_(unwritten_event(block, records, summary));
  }
}

void Worker::acknowledge(const InsertBlock& block) {
  TableStats& stats = *block.target->stats;
  const auto recovered = block.lane->finish(block.cut, block.done);
  stats.rows.add(block.done.inserted);
  stats.bytes.add(block.buffer.payload_bytes());
  stats.blocks.add();
  stats.block_rows.observe(static_cast<double>(block.buffer.records()));
  if (!recovered) return;
  log_(recovered_event(block, *recovered, steady_clock::now() - block.first_failed_at));
}

void Worker::put_back(InsertBlockPtr block, LaneWait failure, bool may_have_been_applied) {
  const SteadyTime now = steady_clock::now();
  if (block->failures++ == 0) block->first_failed_at = now;
  block->last_disposition = failure.disposition;
  const bool sent = block->attempt_started != SteadyTime{};  // else only a question failed
  if (may_have_been_applied && sent && !block->unknown_since) {
    block->unknown_since = block->attempt_started;
  }
  block->target->stats->retries.add(failure.reason);

  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  const auto delay = retry_delay(retry_.get(), failure.disposition, block->failures, random);
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
