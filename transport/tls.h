// TLS over a non-blocking socket. The only place that knows OpenSSL.
//
// A TlsContext holds what is the same for all connections (trusted certificates, our own one): made
// once, shared, thread-safe. A TlsChannel is the TLS of one connection, owned by one thread at a
// time. TLS 1.2 and newer, no renegotiation; session tickets are read and dropped.
// Differences to a plain socket that matter here, all in OpenSSL's manual, SSL_get_error(3),
// SSL_read(3), SSL_CTX_set_options(3):
// - a readable socket may hold a ticket only, no application data (TLS 1.3 servers send tickets
//   after the handshake), so only receive(), peek() and silent() can tell;
// - an end without close_notify may be an attacker's cut: it is kFailed here, not kEnded;
// - OpenSSL's own socket layer raises SIGPIPE, ours does not.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "transport/socket.h"
#include "transport/tls_options.h"

namespace millrace {

// Immutable after construction, thread-safe.
class TlsContext {
 public:
  // Throws UsageError naming the file and OpenSSL's reason.
  explicit TlsContext(TlsOptions options);
  ~TlsContext();
  const TlsOptions& options() const noexcept { return options_; }
  std::optional<CertificateEnd> client_certificate_end() const;  // nothing: there is none

 private:
  friend class TlsChannel;
  struct Impl;
  const TlsOptions options_;
  const std::unique_ptr<Impl> impl_;
};

class TlsChannel {
 public:
  // `fd` stays the caller's and must outlive the channel. `host` is the endpoint's: a name, or an
  // IP address, which is then looked for in the certificate.
  TlsChannel(std::shared_ptr<const TlsContext> context, int fd, std::string_view host);
  ~TlsChannel();

  Transfer handshake();  // kMoved when done
  Transfer receive(void* buffer, std::size_t size);
  // As receive(), but the bytes stay. What is no application data is taken off the socket.
  Transfer peek(void* buffer, std::size_t size);
  // After kWantsWrite the next call must begin with the same bytes, wherever they lie then.
  // Sends one record at most, 16 KiB.
  Transfer send(const void* buffer, std::size_t size);
  // Neither application data nor an end nor half a record has come.
  bool silent();
  // Sends close_notify, if it can be sent at once. The last thing to do.
  void say_goodbye() noexcept;
  // Of the first one to end of those that the server showed in the handshake.
  std::optional<CertificateEnd> server_certificate_end() const;
  // Why the last kFailed.
  const std::string& error() const noexcept { return error_; }

 private:
  struct Impl;
  Transfer result_of(int returned, std::size_t bytes);

  const std::shared_ptr<const TlsContext> context_;
  std::string error_;
  const std::unique_ptr<Impl> impl_;
};

// Shakes hands with `name` (for error texts) over a connected socket. Throws NetworkError
// (kConnect), AbortedError.
std::unique_ptr<TlsChannel> connect_tls(std::shared_ptr<const TlsContext> context,
                                        const Socket& socket, std::string_view host,
                                        const std::string& name, SteadyTime deadline,
                                        const std::stop_token& stop);

}  // namespace millrace
