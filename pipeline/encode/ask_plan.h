// The plan of a table, from the server that has it.
#pragma once

#include <memory>
#include <string_view>
#include <variant>

#include "pipeline/encode/native_plan.h"
#include "transport/client.h"

namespace millrace {

// `insert_settings`: all that an insert of JSONEachRow into this table would be sent with; those
// that the server does not know may not be among them. Two queries. Throws what Client throws.
std::variant<std::shared_ptr<const NativePlan>, CannotEncode> ask_native_plan(
    Client& client, std::string_view table, const Settings& insert_settings);

}  // namespace millrace
