// What decides how a table's rows become Native, asked of the server that has it.
#pragma once

#include <string_view>
#include <vector>

#include "pipeline/encode/native_plan.h"
#include "transport/client.h"

namespace millrace {

// The arguments of NativePlan::make.
struct EncodeFacts {
  std::vector<TableColumn> columns;
  EncodeContext context;
  bool operator==(const EncodeFacts&) const = default;
};

// `insert_settings`: all that an insert of text into this table would be sent with; those
// that the server does not know may not be among them. Two queries. Throws what Client throws.
EncodeFacts ask_encode_facts(Client& client, std::string_view table,
                             const Settings& insert_settings);

}  // namespace millrace
