#include "pipeline/trace_context.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::size_t kTraceId = 3, kTraceIdDigits = 32, kParentId = 36, kParentIdDigits = 16,
                      kFlags = 53, kLength = 55;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_identity(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

bool is_traceparent(std::string_view text) {
  return text.size() == kLength && text.starts_with("00-") && text[kParentId - 1] == '-' &&
         text[kFlags - 1] == '-' && is_identity(text.substr(kTraceId, kTraceIdDigits)) &&
         is_identity(text.substr(kParentId, kParentIdDigits)) && is_hex(text.substr(kFlags));
}

}  // namespace millrace
