// What is durable of a lane: how far it is done, and which blocks were planned above that.
//
// Exactly once hangs on one rule: a block is sent only after the source has acknowledged, for the
// lane's present owner, a checkpoint that names the block's end. What no checkpoint names was never
// sent, so the next owner may cut it as it likes. What one names is built again with the same
// borders and sent under the same token, and ClickHouse drops the part of it that had landed.
//
// Pure: where a checkpoint is kept, and who may write it, is the source's affair.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct Checkpoint {
  std::int64_t position = 0;         // everything below is done
  std::vector<std::int64_t> ends{};  // of the planned blocks above it, in order, without a gap
  std::string incarnation{};         // in their tokens; see LaneProgress::token
  // When the oldest of the planned blocks was first named, by ClickHouse's clock (server_clock.h).
  std::chrono::sys_seconds written{};
  std::string config{};  // of what decides which rows a block has: another one, other rows
  std::string source{};  // how the source knows its records again; its own affair, without , and ;

  bool operator==(const Checkpoint&) const = default;
};

// Beside the position, where a source keeps it: in Kafka the metadata of the committed offset.
//
//   m1;<incarnation>;<written>;<config>[.<source>];<length>,<length>,…
//
// Numbers in base 36, `written` in seconds since 1970, the lengths those of the planned blocks, in
// order. Printable ASCII. Versions that know no `source` take it for a part of the configuration:
// one that finds planned blocks waits for them to be sent by this version; else it just goes on.
std::string plan_text(const Checkpoint& checkpoint);
// Nothing when it is not ours: empty, another tool's, of a later version.
std::optional<Checkpoint> parse_plan(std::int64_t position, std::string_view text);

// A lane is not cut any further when it has so many planned blocks: their text must stay below the
// broker's offset.metadata.max.bytes (4096), whatever their lengths.
inline constexpr std::size_t kMaxPlannedBlocks = 256;

// 64 random bits in base 36.
std::string draw_incarnation();
// The same text for the same parts, in every build: FNV-1a of 64 bits, in base 36.
std::string hash_text(std::initializer_list<std::string_view> parts);

}  // namespace millrace
