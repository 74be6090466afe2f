#include "pipeline/metadata_json.h"

#include <charconv>
#include <chrono>
#include <iterator>

namespace millrace {
namespace {

// `number` with leading zeros, so that it ends before `end`.
void put_digits(unsigned number, unsigned digits, char* end) {
  for (; digits > 0; --digits, number /= 10) *--end = static_cast<char>('0' + number % 10);
}

// ISO 8601 in UTC: what ClickHouse reads into DateTime64 as well as into DateTime, whatever their
// time zone. (Seconds with decimals are not taken for DateTime, and a bare number would be ticks.)
void append_time(std::int64_t timestamp_ms, std::string& out) {
  using namespace std::chrono;
  // Of what is beyond the year 9999 ClickHouse shows its last second, and the milliseconds.
  constexpr std::int64_t kEnd = 253402300800000;
  if (timestamp_ms >= kEnd) timestamp_ms = kEnd - 1000 + timestamp_ms % 1000;
  const sys_time<milliseconds> time{milliseconds(timestamp_ms)};
  const year_month_day date{floor<days>(time)};
  const hh_mm_ss clock{time - floor<days>(time)};
  if (timestamp_ms < 0) {
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

}  // namespace

MetadataJson::MetadataJson(const MetadataColumns& columns, const LaneId& lane) {
  if (begin(columns.topic)) append_json_string(lane.topic, constant_);
  if (begin(columns.partition)) append_integer(lane.partition, constant_);
  add(columns.offset,
      [](const RecordEntry& r, std::string& out) { append_integer(r.offset, out); });
  add(columns.timestamp,
      [](const RecordEntry& r, std::string& out) { append_time(r.timestamp_ms, out); });
  add(columns.key, append_key);
  add(columns.headers, append_headers);
  add(columns.deleted,
      [](const RecordEntry& r, std::string& out) { out += r.tombstone ? '1' : '0'; });
}

void MetadataJson::write(const RecordEntry& record, std::string& out) const {
  out = constant_;
  for (const Column& column : of_record_) {
    out += column.name;
    column.append(record, out);
  }
}

bool MetadataJson::begin(const std::string& name) {
  if (!name.empty()) constant_ += prefix(name);
  return !name.empty();
}

void MetadataJson::add(const std::string& name, Append append) {
  if (!name.empty()) of_record_.push_back({prefix(name), append});
}

std::string MetadataJson::prefix(const std::string& name) const {
  std::string text = constant_.empty() && of_record_.empty() ? "" : ",";
  append_json_string(name, text);
  return text + ':';
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
