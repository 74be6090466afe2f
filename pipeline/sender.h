// How a worker gets a block into ClickHouse: the seam at which tests and benchmarks put a fake.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pipeline/encode/encode_facts.h"
#include "pipeline/encoded_body.h"
#include "pipeline/restart_check.h"
#include "pipeline/table_target.h"
#include "transport/client.h"

namespace millrace {

// Owned by one thread: a worker's.
class BlockSender {
 public:
  virtual ~BlockSender() = default;
  // One attempt to insert `body`, one block of rows. Throws TransportError and its kind.
  virtual QuerySummary send(const TableTarget& target, const std::string& token,
                            const EncodedBody& body) = 0;
  // What decides how JSON rows of this table become Native. Throws like send.
  virtual EncodeFacts encode_facts(const TableTarget&) { return {}; }
  // A cheap question that succeeds when sending to this table has a chance again: while a lane
  // waits the block itself is not uploaded over and over. Throws like send.
  virtual void probe(const TableTarget& target) = 0;
  // See restart_check.h. Throw like send.
  virtual RepeatProof repeat_proof(const TableTarget&, const FirstTry& /*then*/) {
    return RepeatProof::kComplete;
  }
  virtual RowsByOffset rows_of_records(const TableTarget&, const LaneId&, Cut,
                                       std::optional<FirstTry> /*since*/) {
    return {};
  }
  // Whether the table may have forgotten an insert of that time. Throws like send.
  virtual bool may_have_forgotten(const TableTarget&, const FirstTry& /*then*/) { return false; }
  // Why a part of the insert that was refused with this may be in the table all the same
  // (refusal.h); empty: it is not. Throws like send.
  virtual std::string why_part_may_be_in(const TableTarget&, const TransportError& /*refusal*/) {
    return "";
  }
  virtual std::string session_id() const = 0;
};
using BlockSenderFactory = std::function<std::unique_ptr<BlockSender>(unsigned worker)>;

// The real one: a Client of its own. Sends with every insert what makes a repeat recognisable and
// synchronous (token, async_insert=0, one chunk per block …): see insert_settings.h. Thread rule:
// as BlockSender. `endpoints` and `pool` must outlive it.
std::unique_ptr<BlockSender> make_clickhouse_sender(ClientOptions options, Settings insert_settings,
                                                    EndpointList& endpoints, HttpSessionPool& pool);

}  // namespace millrace
