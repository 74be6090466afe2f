// Whether a table can give exactly once, and what would make it. Pure, but for asking the server.
//
// What ClickHouse remembers of inserts, and where:
// https://clickhouse.com/docs/guides/developer/deduplicating-inserts-on-retries
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/client.h"

namespace millrace {

struct TableFacts {
  std::string engine;        // "ReplicatedMergeTree"
  std::string engine_full;   // with the SETTINGS of the table
  std::uint64_t window = 0;  // what the server's tables have by default, plain and replicated
  std::uint64_t replicated_window = 0;
  std::uint64_t replicated_window_seconds = 0;
};
// Nothing when there is no such table. Throws TransportError.
std::optional<TableFacts> ask_table_facts(Client& client, const std::string& table);

// What to say of a table that is a view, by its engine; empty: it is none. What is inserted into a
// materialized view goes past its SELECT, straight into the table behind it.
std::string view_as_target(const std::string& table, const std::string& engine);

bool is_replicated(const TableFacts& facts);
// Engines that replace or sum rows up, and a TTL, leave nothing that could be counted.
bool keeps_every_row(const TableFacts& facts);

// Whether our user may do this with the table ("INSERT"); nothing when the server can't be asked.
std::optional<bool> ask_granted(Client& client, const std::string& right, const std::string& table);

struct Guarantee {
  bool holds = false;
  bool possible = false;  // for a while, or while ClickHouse is not killed, if it does not hold
  std::string text{};     // what is promised and why, or what is missing and the SQL that mends it
  std::uint64_t window = 0;  // so many inserts (into each partition of the table) are remembered
  std::uint64_t window_seconds = 0;  // and for so long; 0: by count alone
};
// Whether a record's rows can be looked for when the table itself can't be trusted
// (restart_check.h).
enum class Rows { kCanBeLookedFor, kCanNotBeLookedFor, kBehindAView };
Guarantee exactly_once_guarantee(const std::string& table, const TableFacts& facts, Rows rows);

// Of the table and of all that inserts into it reach through materialized views, those behind
// several views included ("database.name" each): a repeat must be recognised in all of them. A
// table that is missing is left out, and so are the views' of a server that does not tell them.
// Throws TransportError.
std::vector<std::pair<std::string, Guarantee>> exactly_once_guarantees(Client& client,
                                                                       const std::string& table,
                                                                       Rows rows);

}  // namespace millrace
