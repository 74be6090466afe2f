// The hand-picked cases of the differential test.
#pragma once

#include <string>
#include <vector>

#include "transport/client_options.h"

namespace millrace::test {

// Each value as the only column of a row, for each of the types.
struct ValueCases {
  std::vector<std::string> types, values;
  Settings settings{};
};
std::vector<ValueCases> value_cases();

// Each message by itself.
struct MessageCases {
  std::string columns;
  std::vector<std::string> messages;
  Settings settings{};
  std::string format = "JSONEachRow";
};
std::vector<MessageCases> message_cases();

}  // namespace millrace::test
