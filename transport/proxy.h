// HTTP proxies: which one a connection takes, and the tunnel through it.
//
// To an http endpoint the proxy forwards each request, which must name its target in full
// (`POST http://host:port/path`); to an https endpoint it opens a tunnel (CONNECT) and TLS runs
// through it, so that the proxy sees nothing. We speak plain HTTP to the proxy itself.
// All functions are thread-safe; all but open_tunnel() are pure.
// RFC 9112 3.2.2 and 3.2.3, RFC 9110 9.3.6 and 11.7.2; the environment as in ClickHouse Connect and
// Python's urllib.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "transport/endpoint.h"
#include "transport/socket.h"

namespace millrace {

// Immutable after construction.
struct Proxy {
  std::string host;
  std::uint16_t port = 80;
  std::string authorization{};  // the value of Proxy-Authorization; empty: none

  std::string to_string() const;  // without user and password
  bool operator==(const Proxy&) const = default;
};

// `[http://][user:password@]host[:port]`, user and password percent-encoded; the port defaults to
// 80. Throws UsageError, whose text has no password in it.
Proxy parse_proxy(std::string_view url);

// `Basic …` for Authorization and Proxy-Authorization.
std::string basic_authorization(std::string_view user, std::string_view password);

// A variable's value; empty if it is not set.
using Environment = std::function<std::string(const std::string& name)>;
std::string process_environment(const std::string& name);  // getenv(3)

// Of `http_proxy` or `https_proxy`, by the endpoint's scheme, then the same in upper case, unless
// `no_proxy` (or `NO_PROXY`) covers the endpoint. Throws UsageError naming the variable.
std::optional<Proxy> proxy_from_environment(const Endpoint& endpoint,
                                            const Environment& environment);

// `list` is separated by commas: `*`, a host, host:port, or the end of a domain name, with or
// without a leading dot ("example.com" covers db.example.com).
bool bypasses_proxy(const Endpoint& endpoint, std::string_view list);

// Asks the proxy at the other end of `socket` for a tunnel to `endpoint`. At most 8 KiB of an
// answer are read. Throws NetworkError (kConnect) with the proxy's status, AbortedError.
void open_tunnel(const Socket& socket, const Proxy& proxy, const Endpoint& endpoint,
                 SteadyTime deadline, const std::stop_token& stop);

}  // namespace millrace
