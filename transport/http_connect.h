// How an HTTP session comes to be: look the host up, connect, through a proxy if there is one,
// shake hands if it is https. All steps are under one deadline. Thread-safe; called by the pool
// only.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "transport/endpoint.h"
#include "transport/http_session.h"
#include "transport/proxy.h"
#include "transport/socket.h"
#include "transport/tls.h"

namespace millrace {

struct ConnectOptions {
  DialOptions dial{};
  std::shared_ptr<const TlsContext> tls{};  // needed for https only
  std::optional<Proxy> proxy{};
};

// Throws NetworkError (kConnect), AbortedError.
std::unique_ptr<HttpSession> connect_session(const Endpoint& endpoint,
                                             const ConnectOptions& options, SteadyTime deadline,
                                             const std::shared_ptr<SocketRegistry>& registry,
                                             const std::stop_token& stop);

}  // namespace millrace
