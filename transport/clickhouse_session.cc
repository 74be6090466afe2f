#include "transport/clickhouse_session.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace millrace {

std::string_view to_string(ClickHouseSessionPolicy policy) {
  switch (policy) {
    case ClickHouseSessionPolicy::kPerClient:
      return "per_client";
    case ClickHouseSessionPolicy::kPerQuery:
      return "per_query";
    case ClickHouseSessionPolicy::kNone:
      return "none";
  }
  return "?";
}

// Straight from the kernel: no seed that a fork could repeat.
std::string random_uuid() {
  std::array<unsigned char, 16> bytes;
  if (getentropy(bytes.data(), bytes.size()) != 0) {
    throw std::system_error(errno, std::generic_category(), "getentropy");
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // RFC 4122
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 0x0f];
  }
  return text;
}

ClickHouseSession::ClickHouseSession(ClickHouseSessionPolicy policy) : policy_(policy) {
  replace();
}

std::string ClickHouseSession::next_id() {
  return policy_ == ClickHouseSessionPolicy::kPerQuery ? random_uuid() : id_;
}

void ClickHouseSession::replace() {
  if (policy_ == ClickHouseSessionPolicy::kPerClient) id_ = random_uuid();
}

}  // namespace millrace
