#include "pipeline/block_buffer.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "transport/mutex.h"

namespace millrace {
namespace {

constexpr std::size_t kFirstChunkBytes = 16u << 10;
constexpr std::size_t kMaxChunkBytes = 1u << 20;
// Readable bytes behind a chunk's last record: SIMD parsers read whole vectors.
constexpr std::size_t kPaddingBytes = 64;
constexpr std::size_t kFirstEntries = 64;
constexpr std::size_t kMaxPartBytes = RecordEntry::kNoKey - 1;  // sizes are 32 bits wide

// Full-sized chunks go round: the kernel's work of giving fresh pages and taking them back is a
// third to a half of all that a record costs until it is queued. Thread-safe.
class ChunkCache {
 public:
  std::unique_ptr<char[]> take() {
    MutexLock lock(mutex_);
    if (free_.empty()) {
      lock.unlock();
      return std::make_unique_for_overwrite<char[]>(kMaxChunkBytes);
    }
    std::unique_ptr<char[]> chunk = std::move(free_.back());
    free_.pop_back();
    return chunk;
  }
  void give(std::unique_ptr<char[]> chunk) noexcept {
    const MutexLock lock(mutex_);
    if (free_.size() < kKept) free_.push_back(std::move(chunk));
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::size_t kKept = 0;  // so that it sees the use of what is freed
#else
  static constexpr std::size_t kKept = 32;  // at most 32 MiB that no budget knows of
#endif
  Mutex mutex_;
  std::vector<std::unique_ptr<char[]>> free_ GUARDED_BY(mutex_) = reserved();
  static std::vector<std::unique_ptr<char[]>> reserved() {
    std::vector<std::unique_ptr<char[]>> places;
    places.reserve(kKept);  // give() allocates nothing
    return places;
  }
};

ChunkCache& chunk_cache() {
  static ChunkCache cache;
  return cache;
}

std::size_t encoded_size(std::span<const RecordHeader> headers) {
  std::size_t bytes = 0;
  for (const RecordHeader& header : headers) {
    bytes += 2 * sizeof(std::uint32_t) + header.name.size() + header.value.size();
  }
  return bytes;
}

// What a record takes of a chunk.
struct Parts {
  std::size_t payload, separator, key, headers;
  std::size_t sum() const { return payload + separator + key + headers; }
};

Parts parts_of(const Record& record, const BufferLayout& layout) {
  const bool ended = !record.payload.empty() && record.payload.back() == layout.separator;
  Parts parts{record.payload.size(), layout.add_separator && !ended ? 1u : 0u,
              layout.keep_key && record.has_key ? record.key.size() : 0,
              layout.keep_headers ? encoded_size(record.headers) : 0};
  if (std::max({parts.payload, parts.key, parts.headers}) > kMaxPartBytes) {
    throw std::length_error("a record's payload, key or headers have 4 GiB or more");
  }
  return parts;
}

char* put(char* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_size(char* to, std::size_t size) {
  const auto value = static_cast<std::uint32_t>(size);
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

}  // namespace

std::string_view RecordEntry::key() const {
  if (!has_key()) return {};
  return {data + payload_bytes + separator_bytes, key_bytes};
}

std::string_view RecordEntry::encoded_headers() const {
  return {data + payload_bytes + separator_bytes + key().size(), headers_bytes};
}

BlockBuffer::BlockBuffer(ByteBudget& budget, BufferLayout layout)
    : budget_(&budget), layout_(layout) {}
BlockBuffer::BlockBuffer(BlockBuffer&&) noexcept = default;
BlockBuffer& BlockBuffer::operator=(BlockBuffer&&) noexcept = default;
BlockBuffer::~BlockBuffer() = default;

std::size_t BlockBuffer::bytes_needed(const Record& record, const BufferLayout& layout) {
  const std::size_t chunk =
      std::max(kFirstChunkBytes, parts_of(record, layout).sum() + kPaddingBytes);
  return chunk * layout.budget_factor + kFirstEntries * sizeof(RecordEntry);
}

BlockBuffer::Chunk BlockBuffer::make_chunk(std::size_t bytes) {
  auto data = bytes == kMaxChunkBytes ? chunk_cache().take()
                                      : std::make_unique_for_overwrite<char[]>(bytes);
  // The analyzer does not see that the chunk owns it.
  return {{data.release(), ChunkDeleter{bytes}}, bytes - kPaddingBytes, 0};
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

void BlockBuffer::ChunkDeleter::operator()(char* data) const noexcept {
  std::unique_ptr<char[]> chunk(data);
  if (bytes == kMaxChunkBytes) chunk_cache().give(std::move(chunk));
}

// Room for one more record of so many bytes; false when the budget does not allow it.
bool BlockBuffer::make_room(std::size_t record_bytes, bool anyway) {
  std::size_t chunk_bytes = 0, entries = 0;
  if (chunks_.empty() || chunks_.back().capacity - chunks_.back().used < record_bytes) {
    const std::size_t grown =
        std::min(kFirstChunkBytes << std::min<std::size_t>(chunks_.size(), 6), kMaxChunkBytes);
    chunk_bytes = std::max(grown, record_bytes + kPaddingBytes);
  }
  if (entries_.size() == entries_.capacity()) entries = std::max(kFirstEntries, entries_.size());
  if (chunk_bytes == 0 && entries == 0) return true;

  const std::size_t bytes = chunk_bytes * layout_.budget_factor + entries * sizeof(RecordEntry);
  auto paid = anyway ? budget_->reserve_anyway(bytes) : budget_->try_reserve(bytes);
  if (!paid) return false;
  if (entries > 0) entries_.reserve(entries_.size() + entries);
  if (chunk_bytes > 0) {
    chunks_.push_back(make_chunk(chunk_bytes));
    chunk_bytes_ += chunk_bytes;
  }
  reservation_.merge(std::move(*paid));
  return true;
}

bool BlockBuffer::append(const Record& record, bool anyway) {
  const Parts parts = parts_of(record, layout_);
  if (!make_room(parts.sum(), anyway)) return false;

  Chunk& chunk = chunks_.back();
  char* const start = chunk.data.get() + chunk.used;
  char* end = put(start, record.payload);
  if (parts.separator > 0) *end++ = layout_.separator;
  const bool has_key = layout_.keep_key && record.has_key;
  if (has_key) end = put(end, record.key);
  if (layout_.keep_headers) {
    for (const RecordHeader& header : record.headers) {
      end = put_size(end, header.name.size());
      end = put_size(end, header.value.size());
      end = put(end, header.name);
      end = put(end, header.value);
    }
  }
  chunk.used += parts.sum();
  payload_bytes_ += parts.payload;
  used_bytes_ += parts.sum();
  entries_.push_back({record.offset, record.timestamp_ms, start,
                      static_cast<std::uint32_t>(parts.payload),
                      static_cast<std::uint16_t>(parts.separator), record.tombstone,
                      has_key ? static_cast<std::uint32_t>(parts.key) : RecordEntry::kNoKey,
                      static_cast<std::uint32_t>(parts.headers)});
  return true;
}

std::vector<std::string_view> BlockBuffer::pieces() const {
  std::vector<std::string_view> result;
  result.reserve(chunks_.size());
  for (const Chunk& chunk : chunks_) result.emplace_back(chunk.data.get(), chunk.used);
  return result;
}

}  // namespace millrace
