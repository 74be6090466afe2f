// The unit that is queued, sent, retried and acknowledged: the rows of one cut for one table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/batcher.h"
#include "pipeline/block_buffer.h"
#include "pipeline/block_split.h"
#include "pipeline/dead_letter.h"
#include "pipeline/lane.h"
#include "pipeline/server_clock.h"
#include "pipeline/table_target.h"

namespace millrace {

// Sealed when it is made: rows, cut and token never change, whatever becomes of the sending. Owned
// by one thread at a time; the byte budget gets its bytes back when it is destroyed.
struct InsertBlock {
  InsertBlock(std::shared_ptr<LaneProgress> lane_progress, std::shared_ptr<const TableTarget> to,
              Cut range, BlockBuffer rows, CutReason why)
      : lane(std::move(lane_progress)),
        target(std::move(to)),
        cut(range),
        token(lane->token(range)),
        buffer(std::move(rows)),
        reason(why),
        split(buffer.records()) {}

  const std::shared_ptr<LaneProgress> lane;
  const std::shared_ptr<const TableTarget> target;
  const Cut cut;
  const std::string token;
  const BlockBuffer buffer;
  const CutReason reason;

  // Of the sending; the worker's.
  SteadyTime opened_at{};        // first record; set by the producer
  std::string traceparent{};     // of the block's trace; empty: none. Set by the producer
  SteadyTime queued_at{};        // set by the queue
  SteadyTime first_failed_at{};  // while failures > 0
  unsigned failures = 0;
  Disposition last_disposition = Disposition::kRetry;
  SteadyTime attempt_started{};
  // Start of the first attempt under the current token that ended without a clear answer.
  std::optional<FirstTry> unknown_since;
  unsigned token_renewals = 0;      // see Worker::renew_token
  bool plan_checked = false;        // of a former owner's: the table still knows it, or
  bool look_first = false;          // it may not: send only what is not there
  BlockSplit split;                 // what is still to be sent: at first all of it
  RowCounts done;                   // of what is settled
  std::vector<DeadLetter> letters;  // refused, and not stored yet

  // Of a part: the block's own for all of it, even when records were taken out; else one that
  // names the offsets. The same part has the same token whenever the block is built again.
  std::string token_of(const BlockPart& part) const;
  std::string token_of_record(std::size_t index) const;

 private:
  std::string renewed(const std::string& text) const;
};
using InsertBlockPtr = std::unique_ptr<InsertBlock>;

}  // namespace millrace
