// The columns made of a record's circumstances, as the beginning of a JSON object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/block_buffer.h"
#include "pipeline/lane.h"
#include "pipeline/table_target.h"

namespace millrace {

// Made for each block: what is the same for all of it is put together once. Owned by one thread.
class MetadataJson {
 public:
  MetadataJson(const MetadataColumns& columns, const LaneId& lane);
  // `"a":1,"b":"x"`, no braces, in place of what was in `out`.
  void write(const RecordEntry& record, std::string& out) const;

 private:
  using Append = void (*)(const RecordEntry&, std::string& out);
  struct Column {
    std::string name;  // `,"name":`, the first of all without comma
    Append append;
  };
  bool begin(const std::string& name);
  void add(const std::string& name, Append append);
  std::string prefix(const std::string& name) const;

  std::string constant_;
  std::vector<Column> of_record_;
};

// A JSON string with quotes. Bytes that are not UTF-8 pass as they are: ClickHouse strings are
// bytes.
void append_json_string(std::string_view text, std::string& out);

}  // namespace millrace
