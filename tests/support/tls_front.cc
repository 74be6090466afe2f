#include "tests/support/tls_front.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace millrace::test {

struct TlsFront::Context {
  SSL_CTX* ssl = SSL_CTX_new(TLS_server_method());

  explicit Context(const TlsFrontOptions& options) {
    if (ssl == nullptr) throw std::runtime_error("TlsFront: no context");
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);  // or a read could block for ever
    const std::string& key = options.identity.key;
    if (SSL_CTX_use_certificate_chain_file(ssl, options.identity.certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(ssl, key.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::runtime_error("TlsFront: cannot use the identity");
    }
    if (options.tls_1_2) SSL_CTX_set_max_proto_version(ssl, TLS1_2_VERSION);
    if (options.client_authority.empty()) return;
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    if (SSL_CTX_load_verify_file(ssl, options.client_authority.c_str()) != 1) {
      throw std::runtime_error("TlsFront: cannot use the clients' authority");
    }
  }
  ~Context() { SSL_CTX_free(ssl); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

TlsFront::TlsFront(std::uint16_t target_port, TlsFrontOptions options)
    : target_port_(target_port),
      options_(std::move(options)),
      context_(std::make_unique<Context>(options_)),
      listener_([this](int fd) { serve(fd); }) {}

TlsFront::~TlsFront() = default;

Endpoint TlsFront::endpoint(const std::string& host) const {
  Endpoint endpoint;
  endpoint.host = host;
  endpoint.port = port();
  endpoint.secure = true;
  return endpoint;
}

std::string TlsFront::server_name() const {
  const std::lock_guard lock(mutex_);
  return server_name_;
}

void TlsFront::serve(int fd) {
  SSL* const ssl = SSL_new(context_->ssl);
  SSL_set_fd(ssl, fd);
  if (SSL_accept(ssl) == 1) {
    if (const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
      const std::lock_guard lock(mutex_);
      server_name_ = name;
    }
    ++handshakes_;
    const int backend = listener_.connect_to("127.0.0.1", target_port_);
    if (backend >= 0) {
      relay(ssl, fd, backend);
      listener_.close_socket(backend);
    }
    if (!options_.cut) SSL_shutdown(ssl);
  }
  ERR_clear_error();
  SSL_free(ssl);
}

// Until either side ends.
void TlsFront::relay(void* opaque, int fd, int backend) {
  SSL* const ssl = static_cast<SSL*>(opaque);
  std::array<char, 16u << 10> buffer{};
  for (;;) {
    std::array<pollfd, 2> sides{pollfd{fd, POLLIN, 0}, pollfd{backend, POLLIN, 0}};
    if (SSL_pending(ssl) == 0 && ::poll(sides.data(), sides.size(), -1) <= 0) return;
    if (SSL_pending(ssl) > 0 || sides[0].revents != 0) {
      const int n = SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
      if (n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ) continue;
      if (n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN) ++goodbyes_;
      if (n <= 0 || !send_all(backend, {buffer.data(), static_cast<std::size_t>(n)})) return;
    }
    if (sides[1].revents != 0) {
      const std::string bytes = receive_some(backend);
      if (bytes.empty() || SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) <= 0) {
        return;
      }
    }
  }
}

}  // namespace millrace::test
