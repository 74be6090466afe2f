// What is sent to insert a part of a block.
#pragma once

#include <string_view>
#include <vector>

#include "transport/compression.h"

namespace millrace {

struct EncodedBody {
  std::string_view format{};                // ClickHouse's name of it
  std::vector<std::string_view> columns{};  // that the insert names; empty: none, all of them
  std::vector<std::string_view> pieces{};
  Codec compression = Codec::kNone;  // the coding that the pieces have
  std::string_view traceparent{};    // empty: none
};

}  // namespace millrace
