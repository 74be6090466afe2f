#include "transport/http_connect.h"

#include <string>
#include <utility>

namespace millrace {

std::unique_ptr<HttpSession> connect_session(const Endpoint& endpoint,
                                             const ConnectOptions& options, SteadyTime deadline,
                                             const std::shared_ptr<SocketRegistry>& registry,
                                             const std::stop_token& stop) {
  const std::optional<Proxy>& proxy = options.proxy;
  const DialTarget target = proxy ? DialTarget{proxy->host, proxy->port, proxy->to_string()}
                                  : DialTarget{endpoint.host, endpoint.port, endpoint.to_string()};
  Socket socket = dial(target, options.dial, deadline, registry, stop);
  std::unique_ptr<TlsChannel> tls;
  if (endpoint.secure) {
    if (proxy) open_tunnel(socket, *proxy, endpoint, deadline, stop);
    tls = connect_tls(options.tls, socket, endpoint.host, endpoint.to_string(), deadline, stop);
  }
  const auto certificate_end = tls ? tls->server_certificate_end() : std::nullopt;
  auto session = std::make_unique<HttpSession>(std::move(socket), std::move(tls));
  session->server_certificate_end = certificate_end;
  if (proxy && !endpoint.secure) {
    session->set_forwarding("http://" + endpoint.authority(), proxy->authorization);
  }
  return session;
}

}  // namespace millrace
