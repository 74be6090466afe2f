// The records of one block, copied once, from the broker client's memory into chunks.
//
// Chunks grow from 16 KiB to 1 MiB, so that a thousand quiet lanes cost little and a busy one is
// not copied again by a growing buffer. A record never crosses a chunk. Payloads of a chunk lie one
// behind the other, each with its format's separator, so a block that is passed through to the
// server is sent straight from here: `pieces()` is the body.
//
//   chunk:  payload sep payload sep payload sep …
//   chunk with keys and headers kept:  payload sep key headers payload sep key headers …
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pipeline/byte_budget.h"
#include "pipeline/record.h"

namespace millrace {

// Where a record lies. `data` points at the payload; separator, key and headers follow it.
struct RecordEntry {
  std::int64_t offset;
  std::int64_t timestamp_ms;
  const char* data;
  std::uint32_t payload_bytes;
  std::uint16_t separator_bytes;
  bool tombstone;               // it came without a value
  std::uint32_t key_bytes;      // kNoKey: the record has none, or keys are not kept
  std::uint32_t headers_bytes;  // encoded headers; read them with for_each_header

  static constexpr std::uint32_t kNoKey = 0xffffffff;
  std::string_view payload() const { return {data, payload_bytes}; }
  std::string_view key() const;  // empty when there is none
  bool has_key() const { return key_bytes != kNoKey; }
  // Calls f(name, value) for each header in the order of the message.
  template <class F>
  void for_each_header(F&& f) const;

 private:
  std::string_view encoded_headers() const;
};

// What of a record is copied besides the payload, and what stands between two payloads.
struct BufferLayout {
  char separator = '\n';
  bool add_separator = true;  // after each payload that does not end in it already
  bool keep_key = false;
  bool keep_headers = false;
  // Bytes of budget for each byte of chunk: 2 where the body is built anew beside the records.
  unsigned budget_factor = 1;
};

// Owned by one thread at a time: the producer fills it, then a worker reads it.
class BlockBuffer {
 public:
  BlockBuffer(ByteBudget& budget, BufferLayout layout);
  BlockBuffer(BlockBuffer&&) noexcept;
  BlockBuffer& operator=(BlockBuffer&&) noexcept;
  ~BlockBuffer();

  // False, with nothing changed, when the budget has no room for another chunk.
  bool try_append(const Record& record) { return append(record, false); }
  // Without regard to the budget, see ByteBudget::reserve_anyway.
  void append_anyway(const Record& record) { append(record, true); }
  // What a record of this size needs of the budget if it opens a chunk. A record for which this is
  // more than the whole budget can never be taken.
  static std::size_t bytes_needed(const Record& record, const BufferLayout& layout);

  std::size_t records() const noexcept { return entries_.size(); }
  std::size_t payload_bytes() const noexcept { return payload_bytes_; }
  std::size_t used_bytes() const noexcept { return used_bytes_; }  // separators, keys, headers too
  const std::vector<RecordEntry>& entries() const noexcept { return entries_; }
  // The chunks' used parts. The request body, if keys and headers are not kept.
  std::vector<std::string_view> pieces() const;
  std::size_t reserved_bytes() const noexcept { return reservation_.bytes(); }
  // The part of it that pays for the body which is built beside the records.
  std::size_t reserved_for_body() const noexcept {
    return chunk_bytes_ * (layout_.budget_factor - 1);
  }

 private:
  struct ChunkDeleter {
    std::size_t bytes = 0;  // as allocated
    void operator()(char* data) const noexcept;
  };
  struct Chunk {
    std::unique_ptr<char[], ChunkDeleter> data;
    std::size_t capacity = 0, used = 0;
  };
  bool append(const Record& record, bool anyway);
  bool make_room(std::size_t record_bytes, bool anyway);
  static Chunk make_chunk(std::size_t bytes);

  ByteBudget* budget_;
  BufferLayout layout_;
  std::vector<Chunk> chunks_;
  std::vector<RecordEntry> entries_;
  std::size_t payload_bytes_ = 0, used_bytes_ = 0;
  std::size_t chunk_bytes_ = 0;  // capacities, padding included
  ByteReservation reservation_;  // for chunks and entries
};

template <class F>
void RecordEntry::for_each_header(F&& f) const {
  // Grammar: { u32 name size, u32 value size, name, value }, in the byte order of the machine.
  std::string_view rest = encoded_headers();
  while (rest.size() >= 2 * sizeof(std::uint32_t)) {
    std::uint32_t sizes[2];
    std::char_traits<char>::copy(reinterpret_cast<char*>(sizes), rest.data(), sizeof sizes);
    rest.remove_prefix(sizeof sizes);
    f(rest.substr(0, sizes[0]), rest.substr(sizes[0], sizes[1]));
    rest.remove_prefix(sizes[0] + sizes[1]);
  }
}

}  // namespace millrace
