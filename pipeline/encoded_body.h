// What is sent to insert a part of a block, and what must be known of a table to make it.
#pragma once

#include <string_view>
#include <vector>

#include "pipeline/encode/native_plan.h"

namespace millrace {

struct EncodedBody {
  std::string_view format{};                // ClickHouse's name of it
  std::vector<std::string_view> columns{};  // that the insert names; empty: none, all of them
  std::vector<std::string_view> pieces{};
};

// Of a table, for NativePlan::make.
struct EncodeFacts {
  std::vector<TableColumn> columns;
  EncodeContext context;
  bool operator==(const EncodeFacts&) const = default;
};

}  // namespace millrace
