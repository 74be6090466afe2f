// Where ClickHouse answers, and which host to try next.
//
// Endpoint is one HTTP address. EndpointList holds all hosts of one ClickHouse and remembers their
// failures; every client shares it, so that a host that one worker found dead is avoided by all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "transport/mutex.h"

namespace millrace {

// Immutable after construction.
struct Endpoint {
  std::string host;
  std::uint16_t port = 8123;
  bool secure = false;     // https
  std::string path = "/";  // what a proxy in front of ClickHouse wants before the query string

  std::string authority() const;  // host:port, IPv6 in brackets
  std::string to_string() const;  // scheme://host:port/path
  bool operator==(const Endpoint&) const = default;
};

// `http[s]://host[:port][/path]`; the port defaults to 8123, or 8443 for https. Throws
// UsageError that says what is wrong (no scheme, user info, query, bad port …).
Endpoint parse_endpoint(std::string_view url);

// How one host has behaved. Pure: time is an argument.
struct EndpointHealth {
  unsigned consecutive_failures = 0;
  std::chrono::steady_clock::time_point avoid_until{};
};

// The host to try: round robin over those not avoided at `now`; if all are avoided, the one whose
// time ends first, so that there is always an answer. `previous` is where the last choice was.
std::size_t choose_endpoint(const std::vector<EndpointHealth>& health, std::size_t previous,
                            std::chrono::steady_clock::time_point now);

// How long a host is avoided after so many failures in a row: 100 ms doubling to 10 s.
std::chrono::milliseconds endpoint_penalty(unsigned consecutive_failures);

// Thread-safe.
class EndpointList {
 public:
  explicit EndpointList(std::vector<Endpoint> endpoints);  // at least one

  const Endpoint& choose(std::chrono::steady_clock::time_point now);
  void report_success(const Endpoint& endpoint);
  void report_failure(const Endpoint& endpoint, std::chrono::steady_clock::time_point now);
  const std::vector<Endpoint>& all() const { return endpoints_; }

 private:
  const std::vector<Endpoint> endpoints_;
  Mutex mutex_;
  std::vector<EndpointHealth> health_ GUARDED_BY(mutex_);
  std::size_t previous_ GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace
