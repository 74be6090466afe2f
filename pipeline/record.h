// One message of a source, as a view: valid only during the call that passes it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace {

struct RecordHeader {
  std::string_view name, value;
};

struct Record {
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = -1;  // -1: the source has none
  std::string_view payload;        // one or more rows
  bool tombstone = false;          // it has no value: `payload` says what stands for it
  std::string_view key;
  bool has_key = false;
  std::span<const RecordHeader> headers;
  std::string_view traceparent{};  // the header of that name, where it is wanted
};

}  // namespace millrace
