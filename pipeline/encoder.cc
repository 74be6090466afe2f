#include "pipeline/encoder.h"

#include <algorithm>

namespace millrace {
namespace {

// An idle worker keeps no more than this: what it keeps is not paid for by any block.
constexpr std::size_t kKeptBufferBytes = 1u << 20;

bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Brackets: ClickHouse also reads rows that stand in one array.
bool is_between_rows(char c) { return is_json_space(c) || c == ',' || c == '[' || c == ']'; }

// The position behind the string that opens at `at`; the end of the text if it never closes.
std::size_t skip_string(std::string_view text, std::size_t at) {
  const std::size_t begin = at + 1;
  for (at = text.find('"', begin); at != text.npos; at = text.find('"', at + 1)) {
    std::size_t backslashes = 0;
    while (at - backslashes > begin && text[at - backslashes - 1] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return at + 1;  // an odd one escapes the quote
  }
  return text.size();
}

// The position behind the object that opens at `at`; the end of the text if it never closes.
std::size_t skip_object(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    ++at;
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0) return at;
  }
  return at;
}

// Its records as they lie in the chunks; neighbours are one piece.
std::vector<std::string_view> pieces_of(const InsertBlock& block, const BlockPart& part) {
  std::vector<std::string_view> pieces;
  part.for_each_record([&](std::size_t index) {
    const RecordEntry& record = block.buffer.entries()[index];
    const std::size_t bytes = record.payload_bytes + record.separator_bytes;
    if (!pieces.empty() && pieces.back().data() + pieces.back().size() == record.data) {
      pieces.back() = {pieces.back().data(), pieces.back().size() + bytes};
    } else {
      pieces.emplace_back(record.data, bytes);
    }
  });
  return pieces;
}

}  // namespace

std::vector<std::string_view> Encoder::encode(const InsertBlock& block, const BlockPart& part) {
  const MetadataColumns& columns = block.target->columns;
  const std::size_t records = part.records();
  if (!columns.any()) {
    return records == block.buffer.records() ? block.buffer.pieces() : pieces_of(block, part);
  }
  const MetadataJson writer(columns, block.lane->id());
  buffer_.clear();
  part.for_each_record([&](std::size_t index) {
    const RecordEntry& record = block.buffer.entries()[index];
    writer.write(record, columns_);
    if (buffer_.empty()) {  // the first record tells how much the columns take, about
      buffer_.reserve(block.buffer.payload_bytes() / block.buffer.records() * records +
                      records * (columns_.size() + 16));
    }
    splice_columns(record.payload(), columns_, buffer_);
    if (buffer_.empty() || buffer_.back() != '\n') buffer_ += '\n';
  });
  return {buffer_};
}

void Encoder::trim() {
  if (buffer_.capacity() <= kKeptBufferBytes) return;
  std::string().swap(buffer_);  // an assignment would keep the memory
}

void splice_columns(std::string_view payload, std::string_view columns_json, std::string& out) {
  std::size_t at = 0;
  while (at < payload.size()) {
    std::size_t row = at;
    while (row < payload.size() && is_between_rows(payload[row])) ++row;
    out.append(payload.substr(at, row - at));
    if (row == payload.size()) return;
    if (payload[row] != '{') {
      out.append(payload.substr(row));
      return;
    }
    std::size_t member = row + 1;
    while (member < payload.size() && is_json_space(payload[member])) ++member;
    const bool empty = member < payload.size() && payload[member] == '}';
    const std::size_t end = skip_object(payload, row);
    out += '{';
    out += columns_json;
    if (!empty) out += ',';
    out.append(payload.substr(row + 1, end - row - 1));
    at = end;
  }
}

std::size_t count_rows(std::string_view payload) {
  std::size_t rows = 0;
  for (std::size_t at = 0; at < payload.size();) {
    while (at < payload.size() && is_between_rows(payload[at])) ++at;
    if (at == payload.size() || payload[at] != '{') break;
    at = skip_object(payload, at);
    ++rows;
  }
  return std::max<std::size_t>(rows, 1);
}

}  // namespace millrace
