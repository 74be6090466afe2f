// Which ClickHouse session (`session_id`) a query runs in.
//
// Not to be confused with an HTTP session, which is a connection. The server runs one query at a
// time in each ClickHouse session; a second one gets error 373.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace millrace {

enum class ClickHouseSessionPolicy {
  kPerClient,  // one ID for the life of the client, replaced after a time-out
  kPerQuery,   // a new ID for each query
  kNone,       // no session_id is sent
};
std::string_view to_string(ClickHouseSessionPolicy policy);

std::string random_uuid();  // version 4

// Owned by one thread (the client's).
class ClickHouseSession {
 public:
  explicit ClickHouseSession(ClickHouseSessionPolicy policy);
  // The ID for the next query; empty for none.
  std::string next_id();
  // The current ID for logs and status; empty for none or when each query has its own.
  const std::string& id() const noexcept { return id_; }
  // After a time-out or an abort the server may still hold the session locked: take a new one.
  void replace();

 private:
  ClickHouseSessionPolicy policy_;
  std::string id_;
};

}  // namespace millrace
