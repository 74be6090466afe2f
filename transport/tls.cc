#include "transport/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "transport/error.h"
#include "transport/fork_guard.h"

namespace millrace {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

std::string errno_text(int error) { return std::generic_category().message(error); }

// The innermost reason in this thread's queue.
std::string openssl_reason() {
  const unsigned long error = ERR_peek_error();
  if (error == 0) return "unknown reason";
  if (ERR_SYSTEM_ERROR(error)) return errno_text(ERR_GET_REASON(error));
  if (const char* const reason = ERR_reason_error_string(error)) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

[[noreturn]] void refuse(const std::string& what) {
  throw UsageError("TLS: " + what + ": " + openssl_reason());
}

// OpenSSL would ask for a key's password on the terminal.
int no_password(char*, int, int, void*) { return -1; }

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

std::optional<CertificateEnd> end_of(const X509* certificate) {
  std::tm time{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1)
    return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&time));
}

// The socket below OpenSSL.
struct Wire {
  int fd = -1;
  int error = 0;  // errno of the last failure
  bool at_end = false;
};

int to_bio_result(Transfer::State state) {
  if (state == Transfer::State::kMoved) return 1;
  return state == Transfer::State::kEnded ? 0 : -1;
}

int bio_read(BIO* bio, char* buffer, std::size_t size, std::size_t* moved) {
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const Transfer transfer = receive_plain(wire.fd, buffer, size);
  if (transfer.state == Transfer::State::kWantsRead) BIO_set_retry_read(bio);
  if (transfer.state == Transfer::State::kEnded) wire.at_end = true;
  wire.error = transfer.error;
  *moved = transfer.bytes;
  return to_bio_result(transfer.state);
}

int bio_write(BIO* bio, const char* buffer, std::size_t size, std::size_t* moved) {
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const iovec piece{const_cast<char*>(buffer), size};
  const Transfer transfer = send_plain(wire.fd, {&piece, 1});
  if (transfer.state == Transfer::State::kWantsWrite) BIO_set_retry_write(bio);
  wire.error = transfer.error;
  *moved = transfer.bytes;
  return to_bio_result(transfer.state);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<const Wire*>(BIO_get_data(bio))->at_end ? 1 : 0;
  return 0;
}

const BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "millrace");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

}  // namespace

struct TlsContext::Impl {
  std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> ssl;

  explicit Impl(const TlsOptions& options) {
    const ForkHold hold;
    ERR_clear_error();
    ssl.reset(SSL_CTX_new(TLS_client_method()));
    if (!ssl) refuse("cannot be set up");
    SSL_CTX_set_min_proto_version(ssl.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(ssl.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl.get(), 1);  // one recv for a record's header and body
    SSL_CTX_set_default_passwd_cb(ssl.get(), no_password);
    SSL_CTX_set_verify(ssl.get(), options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    trust(options);
    if (!options.client_cert.empty()) present(options);
  }

  void trust(const TlsOptions& options) const {
    if (options.ca_cert.empty()) {
      if (SSL_CTX_set_default_verify_paths(ssl.get()) != 1) refuse("the system's certificates");
    } else if (SSL_CTX_load_verify_file(ssl.get(), options.ca_cert.c_str()) != 1) {
      refuse("cannot use the CA certificates in '" + options.ca_cert + "'");
    }
  }

  void present(const TlsOptions& options) const {
    const std::string& key =
        options.client_cert_key.empty() ? options.client_cert : options.client_cert_key;
    if (SSL_CTX_use_certificate_chain_file(ssl.get(), options.client_cert.c_str()) != 1) {
      refuse("cannot use the client certificate in '" + options.client_cert + "'");
    }
    // Also checks that the key is the certificate's.
    if (SSL_CTX_use_PrivateKey_file(ssl.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
      refuse("cannot use the client certificate's key in '" + key + "'");
    }
  }
};

TlsContext::TlsContext(TlsOptions options)
    : options_(std::move(options)), impl_(std::make_unique<Impl>(options_)) {
  if (options_.client_cert.empty() && !options_.client_cert_key.empty()) {
    throw UsageError("TLS: client_cert_key needs a client_cert");
  }
}

TlsContext::~TlsContext() = default;

std::optional<CertificateEnd> TlsContext::client_certificate_end() const {
  const ForkHold hold;
  return end_of(SSL_CTX_get0_certificate(impl_->ssl.get()));
}

struct TlsChannel::Impl {
  Wire wire;
  std::unique_ptr<SSL, Freed<SSL_free>> ssl;
  bool established = false;
  bool finished = false;  // said goodbye, or something failed, after which OpenSSL forbids it

  Impl(SSL_CTX* context, int fd) : wire{.fd = fd}, ssl(SSL_new(context)) {
    BIO* const bio = BIO_new(wire_method());
    if (!ssl || bio == nullptr) {
      BIO_free(bio);
      throw std::bad_alloc();
    }
    BIO_set_data(bio, &wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_connect_state(ssl.get());
  }

  void expect(const std::string& host) const {
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl.get());
    bool done = false;
    if (is_ip_address(host)) {
      done = X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
    } else {
      X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      done = X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1 &&
             SSL_set_tlsext_host_name(ssl.get(), host.c_str()) == 1;
    }
    if (!done) refuse("cannot ask for the host '" + host + "'");
  }

  std::string failure() const {
    const long verdict = SSL_get_verify_result(ssl.get());
    if (!established && verdict != X509_V_OK && SSL_get_verify_mode(ssl.get()) != SSL_VERIFY_NONE) {
      return std::string("certificate refused: ") + X509_verify_cert_error_string(verdict);
    }
    if (wire.at_end) return "the connection was cut without TLS's close_notify";
    if (wire.error != 0) return errno_text(wire.error);
    return openssl_reason();
  }
};

TlsChannel::TlsChannel(std::shared_ptr<const TlsContext> context, int fd, std::string_view host)
    : context_(std::move(context)), impl_([&] {
        const ForkHold hold;
        ERR_clear_error();
        return std::make_unique<Impl>(context_->impl_->ssl.get(), fd);
      }()) {
  const ForkHold hold;
  const std::string& name = context_->options().server_host_name;
  // An IPv6 zone is ours alone.
  impl_->expect(name.empty() ? std::string(host.substr(0, host.find('%'))) : name);
}

TlsChannel::~TlsChannel() {
  const ForkHold hold;
  impl_->ssl.reset();
}

std::optional<CertificateEnd> TlsChannel::server_certificate_end() const {
  const ForkHold hold;
  const STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(impl_->ssl.get());
  std::optional<CertificateEnd> first;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const auto end = end_of(sk_X509_value(chain, i));
    if (end && (!first || *end < *first)) first = end;
  }
  return first;
}

void TlsChannel::say_goodbye() noexcept {
  if (!impl_->established || impl_->finished) return;
  const ForkHold hold;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
  impl_->finished = true;
}

Transfer TlsChannel::result_of(int returned, std::size_t bytes) {
  using State = Transfer::State;
  if (returned == 1) return {State::kMoved, bytes, 0};
  switch (SSL_get_error(impl_->ssl.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return {State::kWantsRead, 0, 0};
    case SSL_ERROR_WANT_WRITE:
      return {State::kWantsWrite, 0, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {State::kEnded, 0, 0};
    default:
      error_ = impl_->failure();
      impl_->finished = true;
      return {State::kFailed, 0, impl_->wire.error};
  }
}

Transfer TlsChannel::handshake() {
  const ForkHold hold;
  ERR_clear_error();
  const Transfer transfer = result_of(SSL_do_handshake(impl_->ssl.get()), 0);
  impl_->established = transfer.state == Transfer::State::kMoved;
  return transfer;
}

Transfer TlsChannel::receive(void* buffer, std::size_t size) {
  const ForkHold hold;
  ERR_clear_error();
  std::size_t bytes = 0;
  const int returned = SSL_read_ex(impl_->ssl.get(), buffer, size, &bytes);
  return result_of(returned, bytes);
}

Transfer TlsChannel::peek(void* buffer, std::size_t size) {
  const ForkHold hold;
  ERR_clear_error();
  std::size_t bytes = 0;
  const int returned = SSL_peek_ex(impl_->ssl.get(), buffer, size, &bytes);
  return result_of(returned, bytes);
}

Transfer TlsChannel::send(const void* buffer, std::size_t size) {
  const ForkHold hold;
  ERR_clear_error();
  std::size_t bytes = 0;
  const int returned = SSL_write_ex(impl_->ssl.get(), buffer, size, &bytes);
  return result_of(returned, bytes);
}

bool TlsChannel::silent() {
  char byte = 0;
  return peek(&byte, 1).state == Transfer::State::kWantsRead &&
         SSL_has_pending(impl_->ssl.get()) == 0;
}

std::unique_ptr<TlsChannel> connect_tls(std::shared_ptr<const TlsContext> context,
                                        const Socket& socket, std::string_view host,
                                        const std::string& name, SteadyTime deadline,
                                        const std::stop_token& stop) {
  auto channel = std::make_unique<TlsChannel>(std::move(context), socket.fd(), host);
  const StopGuard guard(socket, stop);
  const auto fail = [&](const std::string& why) {
    throw NetworkError(NetworkError::Kind::kConnect, "TLS handshake with " + name + ": " + why,
                       false);
  };
  for (;;) {
    const Transfer transfer = channel->handshake();
    guard.check("shaking hands with " + name);
    if (transfer.state == Transfer::State::kMoved) return channel;
    if (transfer.state == Transfer::State::kEnded) fail("the server closed the connection");
    if (transfer.state == Transfer::State::kFailed) fail(channel->error());
    // Here, because a server that drips keeps the socket readable.
    if (std::chrono::steady_clock::now() >= deadline) fail("not finished in the time left");
    const bool wants_read = transfer.state == Transfer::State::kWantsRead;
    poll_until(socket.fd(), wants_read ? POLLIN : POLLOUT, deadline);
  }
}

}  // namespace millrace
