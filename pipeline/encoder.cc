#include "pipeline/encoder.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>

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

// `number` with leading zeros, so that it ends before `end`.
void put_digits(unsigned number, unsigned digits, char* end) {
  for (; digits > 0; --digits, number /= 10) *--end = static_cast<char>('0' + number % 10);
}

// ISO 8601 in UTC: what ClickHouse reads into DateTime64 as well as into DateTime, whatever their
// time zone. (Seconds with decimals are not taken for DateTime, and a bare number would be ticks.)
void append_time(std::int64_t timestamp_ms, std::string& out) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(timestamp_ms)};
  const year_month_day date{floor<days>(time)};
  const hh_mm_ss clock{time - floor<days>(time)};
  if (timestamp_ms < 0 || date.year() > year(9999)) {
    out += "null";
    return;
  }
  char text[] = R"("yyyy-mm-ddThh:mm:ss.mmmZ")";
  put_digits(static_cast<unsigned>(static_cast<int>(date.year())), 4, text + 5);
  put_digits(static_cast<unsigned>(date.month()), 2, text + 8);
  put_digits(static_cast<unsigned>(date.day()), 2, text + 11);
  put_digits(static_cast<unsigned>(clock.hours().count()), 2, text + 14);
  put_digits(static_cast<unsigned>(clock.minutes().count()), 2, text + 17);
  put_digits(static_cast<unsigned>(clock.seconds().count()), 2, text + 20);
  put_digits(static_cast<unsigned>(clock.subseconds().count()), 3, text + 24);
  out.append(text, sizeof text - 1);
}

void append_integer(std::int64_t number, std::string& out) {
  char text[20];
  out.append(text, std::to_chars(text, std::end(text), number).ptr);
}

// A JSON object in the order of the message. A name that comes twice stays twice: a column of type
// Map(String, String) keeps both.
void append_headers(const RecordEntry& record, std::string& out) {
  out += '{';
  bool first = true;
  record.for_each_header([&](std::string_view name, std::string_view value) {
    if (!first) out += ',';
    first = false;
    append_json_string(name, out);
    out += ':';
    append_json_string(value, out);
  });
  out += '}';
}

void append_key(const RecordEntry& record, std::string& out) {
  if (record.has_key()) {
    append_json_string(record.key(), out);
  } else {
    out += "null";
  }
}

// Writes the columns of a record. What is the same for the whole block is put together once.
class ColumnWriter {
 public:
  ColumnWriter(const MetadataColumns& columns, const LaneId& lane) {
    if (begin(columns.topic)) append_json_string(lane.topic, constant_);
    if (begin(columns.partition)) append_integer(lane.partition, constant_);
    add(columns.offset,
        [](const RecordEntry& r, std::string& out) { append_integer(r.offset, out); });
    add(columns.timestamp,
        [](const RecordEntry& r, std::string& out) { append_time(r.timestamp_ms, out); });
    add(columns.key, append_key);
    add(columns.headers, append_headers);
  }

  void write(const RecordEntry& record, std::string& out) const {
    out = constant_;
    for (const Column& column : of_record_) {
      out += column.name;
      column.append(record, out);
    }
  }

 private:
  using Append = void (*)(const RecordEntry&, std::string& out);
  struct Column {
    std::string name;  // `,"name":`, the first of all without comma
    Append append;
  };

  bool begin(const std::string& name) {
    if (!name.empty()) constant_ += prefix(name);
    return !name.empty();
  }
  void add(const std::string& name, Append append) {
    if (!name.empty()) of_record_.push_back({prefix(name), append});
  }
  std::string prefix(const std::string& name) const {
    std::string text = constant_.empty() && of_record_.empty() ? "" : ",";
    append_json_string(name, text);
    return text + ':';
  }

  std::string constant_;
  std::vector<Column> of_record_;
};

template <class F>
void for_each_record(const BlockPart& part, F&& f) {
  auto missing = part.without.begin();
  for (std::size_t index = part.first; index < part.end; ++index) {
    if (missing != part.without.end() && *missing == index) {
      ++missing;
    } else {
      f(index);
    }
  }
}

// Its records as they lie in the chunks; neighbours are one piece.
std::vector<std::string_view> pieces_of(const InsertBlock& block, const BlockPart& part) {
  std::vector<std::string_view> pieces;
  for_each_record(part, [&](std::size_t index) {
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
  const ColumnWriter writer(columns, block.lane->id());
  buffer_.clear();
  for_each_record(part, [&](std::size_t index) {
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

void append_json_string(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // start of what needs no escape
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20) continue;
    out.append(text.substr(plain, at - plain));
    plain = at + 1;
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else {
      out += "\\u00";
      out += {kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 0xf]};
    }
  }
  out.append(text.substr(plain));
  out += '"';
}

}  // namespace millrace
