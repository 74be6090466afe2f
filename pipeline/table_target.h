// Where the rows of a lane go, and in which form. Immutable after construction, shared by all
// blocks of a table; only `stats` inside changes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/block_buffer.h"
#include "pipeline/dead_letter.h"
#include "pipeline/stats.h"
#include "pipeline/trace_context.h"
#include "transport/compression.h"

namespace millrace {

// Columns made from the record's circumstances and spliced into each JSON row; an empty name means
// that the column is not wanted. `deleted` is 1 for a record without a value, else 0.
struct MetadataColumns {
  std::string topic, partition, offset, timestamp, key, headers, deleted{};
  bool any() const {
    return !(topic.empty() && partition.empty() && offset.empty() && timestamp.empty() &&
             key.empty() && headers.empty() && deleted.empty());
  }
  // Whether they say of each row which record it comes from.
  bool name_records() const { return !(topic.empty() || partition.empty() || offset.empty()); }
};

// How messages of a format are put one behind the other in a body.
enum class Framing { kLines, kConcatenated };
// Throws std::invalid_argument for a format whose messages can't be put together into one body
// (Parquet, Arrow, JSON, CSVWithNames …); the text names some that can.
Framing framing_of(std::string_view format);

// What a source promises. But for at least once, every block is planned before it is sent
// (checkpoint.h).
enum class Delivery {
  kAuto,  // exactly once where the table can give it
  kAtLeastOnce,
  kExactlyOnce,  // nothing is sent to a table that can't give it
};

// What stands for a record without a value where it is to be a row: "{}", to which the columns are
// added, where rows are JSON objects; an empty text, of which a format such as TSV makes a row.
// Nothing for a format in which an empty message is no row.
std::optional<std::string_view> tombstone_row(std::string_view format);

std::string_view to_string(Delivery delivery);

// Where a lane may be cut.
enum class Boundary {
  kFilled,  // where a block is full or old
  // Only at offsets that are multiples of batch.target_rows: borders, and with them tokens, that do
  // not depend on when, by whom and how often a lane is read. What is behind the last one waits.
  kStride,
};

// What to do with planned blocks of which the table may have forgotten whether it has them.
enum class ExpiredPlan {
  kStop,    // the lane waits for somebody to decide
  kResend,  // they can come twice
  kVerify,  // rows are looked for, and those that are missing sent
};

// What a body is made of.
enum class Encoding {
  kNative,  // rows become columns here, where format and table allow it (encode/)
  kAsIs,    // messages are passed on, for the server to read
};

// How bodies are compressed, in the worker.
struct BodyCompression {
  Codec codec = Codec::kNone;
  int level = 0;  // 0: the codec's usual one
  bool operator==(const BodyCompression&) const = default;
};

struct TableTarget {
  std::string pipeline;
  std::string table;  // `name` or `database.name`
  std::string format = "JSONEachRow";
  Encoding encoding = Encoding::kAsIs;
  BodyCompression compression{};
  TraceContext trace_context = TraceContext::kNone;
  Delivery delivery = Delivery::kAtLeastOnce;
  Boundary boundary = Boundary::kFilled;
  ExpiredPlan on_expired_plan = ExpiredPlan::kStop;
  MetadataColumns columns;
  std::shared_ptr<TableStats> stats = std::make_shared<TableStats>();
  // For records that ClickHouse refuses; without one a block with such a record waits.
  std::shared_ptr<DeadLetterStore> dead_letters = nullptr;

  bool encodes() const;  // its messages are rows that we read
  // Throws std::invalid_argument for metadata columns with a format other than JSONEachRow.
  BufferLayout layout() const;
  // Of all that decides which rows a range of offsets becomes: blocks that were planned under one
  // can't be built again under another.
  std::string config_hash() const;
};

}  // namespace millrace
