// What ties an insert to the trace of whoever sent a message: https://www.w3.org/TR/trace-context/
#pragma once

#include <string_view>

namespace millrace {

// Which trace an insert belongs to. A block has messages of many; ClickHouse's spans have one.
enum class TraceContext {
  kNone,
  kFirst,  // that of the first message with a `traceparent` header
};

// Whether ClickHouse takes it as a `traceparent` header: version 00, and neither identity zero. It
// refuses the whole insert for another one.
bool is_traceparent(std::string_view text);

}  // namespace millrace
