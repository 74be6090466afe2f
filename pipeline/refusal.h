// What a refused insert leaves behind, by the table's engine.
//
// The rows of a refused block are sent in parts, under other tokens, and become dead letters, only
// where the refusal left nothing behind. That is a fact of the table, not of the error: where it
// does not hold, what another token brings can be there already. The engines and the tests that
// prove each are in README.md, "What a refusal leaves behind".
//
// Asked at a refusal and by `millrace check`, never in the ordinary course of things.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/client.h"

namespace millrace {

struct RefusalFacts {
  std::string engine{};       // empty: there is no such table, or our user may not see it
  std::string engine_full{};  // Distributed('cluster', 'database', 'table', sharding_key)
  // One insert makes several parts, each of which is in before an expression of the next (index,
  // projection, sorting key, TTL) can fail.
  bool computes_by_part = false;
  // Of Distributed, as far as they are known: "shard 1: s1.ev on host:9000" each.
  std::vector<std::string> shards{};
};
// Throws TransportError.
RefusalFacts ask_refusal_facts(Client& client, const std::string& table);

// Why the table can keep a part of an insert that it refuses, whatever the reason, and where to
// write instead; empty: it does not. Pure.
std::string why_it_keeps_parts(const RefusalFacts& facts);
// The same of one refusal. Pure.
std::string why_part_may_be_in(const RefusalFacts& facts, const TransportError& refusal);

// Of Distributed('two', 'db', 'ev', id). Nothing where it is another engine. Pure.
struct DistributedEngine {
  std::string cluster, database, table, sharding_key;
  bool operator==(const DistributedEngine&) const = default;
};
std::optional<DistributedEngine> parse_distributed(std::string_view engine_full);
// A repeat of the same rows sends each shard other rows: under the same token it would drop rows
// that are nowhere. Pure.
bool shards_at_random(const RefusalFacts& facts);

}  // namespace millrace
