// An insert had no answer, it is repeated, and ClickHouse says 200: are its rows there?
//
// Plain MergeTree writes its deduplication log before the part gets its name: a server that is
// killed in between knows the token and has no rows, and takes the repeat for a duplicate.
// Replicated tables do both in one step of Keeper. So when the server was started after an attempt
// that had no answer, a success proves nothing. Of a former owner's attempt nobody needs to know
// when it was: where rows can be looked for, they are, whether the server was restarted or not. On
// one plain table nobody else can have the rows: a SELECT by the columns that name a record's place
// in its source says which of them are missing.
//
// Owned by nobody; each asks the server through the caller's client and throws TransportError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "pipeline/lane.h"
#include "pipeline/server_clock.h"
#include "pipeline/table_target.h"
#include "transport/client.h"

namespace millrace {

enum class RepeatProof {
  kComplete,  // a success says that the rows are there
  kLook,      // it does not, and the rows can be looked for
  kNone,      // it does not, and they can't
};

// Of a repeat to this table, when an attempt since `then` had no answer.
RepeatProof ask_repeat_proof(Client& client, const TableTarget& target, const FirstTry& then);
// The rule behind it, of a table that is not replicated. Pure.
enum class Look { kCan, kCanNot };
RepeatProof judge_repeat(const FirstTry& then, bool restarted, Look look);

using RowsByOffset = std::unordered_map<std::int64_t, std::size_t>;
// How many rows the table has of each record of these offsets, of the lane's topic and partition.
// With `since` only what was written since then is read, not the whole table; rows whose part is
// being merged just now can then be overlooked. REQUIRES: target.columns.name_records().
RowsByOffset ask_rows_of_records(Client& client, const TableTarget& target, const LaneId& lane,
                                 Cut range, std::optional<FirstTry> since);

// What was inserted since some time, at most: merges write parts, too, and are counted as inserts,
// which is the safe side.
struct InsertsSince {
  // How much longer the table was written to, by the server's clock: so long the entry of an insert
  // of that time has aged in a replicated table's memory, whatever the time is now.
  std::uint64_t seconds = 0;
  // Block numbers that were taken: a replicated table counts them in each partition, a plain one in
  // all of them together.
  std::uint64_t of_partitions = 0, of_table = 0;
  bool unknown = false;  // the server's clock was set back since then: there may have been any
};
InsertsSince ask_inserts_since(Client& client, const std::string& table, const FirstTry& then);

// How much a table remembers.
// https://clickhouse.com/docs/operations/settings/merge-tree-settings
struct TableMemory {
  std::uint64_t inserts = 0;  // of that many (a partition each, in a replicated table)
  std::uint64_t seconds = 0;  // and so long; 0: by count alone, as a plain table
};
// Whether it may have forgotten an insert since which there were these: beyond half of what it
// keeps it counts as forgotten. Pure.
bool may_be_forgotten(const TableMemory& memory, const InsertsSince& since);

}  // namespace millrace
