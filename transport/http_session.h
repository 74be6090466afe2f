// One HTTP session: a keep-alive connection to one endpoint.
//
// Poco::Net::HTTPClientSession with three things taken out of its hands: it never opens or reopens
// a connection (the pool alone does), never closes the descriptor (Socket does), and what it
// writes, a request header, is collected instead of sent, so that http_exchange.cc can send header
// and body together. Every receive is under the deadline that was set last.
// Owned by one thread at a time; the pool hands it over.
#pragma once

#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/StreamSocketImpl.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "transport/socket.h"
#include "transport/tls.h"

namespace millrace {

// The socket below Poco, with TLS or without. Receives poll, so the deadline holds however the
// bytes drip.
class DeadlineSocket final : public Poco::Net::StreamSocketImpl {
 public:
  DeadlineSocket(Socket socket, std::unique_ptr<TlsChannel> tls);
  ~DeadlineSocket() override;

  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  std::uint64_t bytes_received() const { return bytes_received_; }
  bool ended() const { return ended_; }
  int fd() const { return socket_.fd(); }
  bool aborted() const { return socket_.aborted(); }
  bool secure() const override { return tls_ != nullptr; }

  // These never block.
  Transfer send(std::span<const iovec> pieces);
  Transfer peek(char* buffer, std::size_t size);
  bool silent();

  int receiveBytes(void* buffer, int length, int flags) override;
  int sendBytes(const void* buffer, int length, int flags) override;  // a bug: throws
  void close() override;  // shuts down; the number stays ours until destruction

 private:
  Transfer receive(void* buffer, std::size_t size);
  [[noreturn]] void throw_failure(const Transfer& transfer);

  Socket socket_;
  std::unique_ptr<TlsChannel> tls_;  // null: plain. Goes before the socket does
  std::string record_;               // small pieces on their way into one TLS record
  SteadyTime deadline_{};
  std::uint64_t bytes_received_ = 0;
  bool ended_ = false;  // a receive found FIN or an error
};

class HttpSession final : public Poco::Net::HTTPClientSession {
 public:
  // Takes over a connected socket; null `tls` is plain HTTP.
  explicit HttpSession(Socket socket, std::unique_ptr<TlsChannel> tls = nullptr)
      : HttpSession(new DeadlineSocket(std::move(socket), std::move(tls))) {}

  // The bytes of a request's header, as Poco writes them. `request` has its Content-Length; what a
  // forwarding proxy needs is added.
  std::string render(Poco::Net::HTTPRequest& request);

  // For requests that a proxy forwards: what stands before the path ("http://host:port"), and the
  // value of Proxy-Authorization. Both empty as a rule.
  const std::string& target_prefix() const noexcept { return target_prefix_; }
  const std::string& proxy_authorization() const noexcept { return proxy_authorization_; }
  void set_forwarding(std::string target_prefix, std::string proxy_authorization);

  // Sends the beginning of `pieces`; never blocks. After kWantsWrite the next call must begin with
  // the same bytes (TLS has sent a part of their record).
  Transfer send(std::span<const iovec> pieces) { return impl_->send(pieces); }
  // What came but was not read, to see whether the server answers before it has everything; never
  // blocks. On TLS kWantsRead is usual for a readable socket: what came was no application data.
  Transfer peek(char* buffer, std::size_t size) { return impl_->peek(buffer, size); }
  bool secure() const override { return impl_->secure(); }

  void set_deadline(SteadyTime deadline) { impl_->set_deadline(deadline); }
  // One byte of the response, or -1 at its end. Throws Poco exceptions.
  int get_byte();
  // Up to `size` bytes of the response, 0 at its end. Throws Poco exceptions.
  std::size_t read_some(char* buffer, std::size_t size);
  bool has_buffered() const { return buffered() != 0; }
  std::uint64_t bytes_received() const { return impl_->bytes_received(); }
  bool ended() const { return impl_->ended(); }
  int fd() const { return impl_->fd(); }
  bool aborted() const { return impl_->aborted(); }
  // Nothing came since the last response: neither bytes nor FIN nor RST, and on TLS no
  // close_notify. Session tickets do not count.
  bool silent() { return impl_->silent(); }

  // For any thread, while the session lives: ends what its owner is blocked in, and the connection.
  void shut_down() noexcept;
  bool was_shut_down() const noexcept { return shut_down_; }

  // What the server said about keeping the connection, in its last answer.
  std::optional<std::chrono::seconds> server_idle_timeout;
  std::optional<unsigned> server_requests_left;

  std::optional<CertificateEnd> server_certificate_end;

  // The pool's notes.
  std::string endpoint_key;
  SteadyTime expires_at = SteadyTime::max();  // maximum age
  SteadyTime idle_since{};
  std::uint64_t generation = 0;
  std::uint64_t fork_epoch = 0;

 protected:
  int write(const char* buffer, std::streamsize length) override;
  bool mustReconnect() const override { return false; }
  void connect(const Poco::Net::SocketAddress& address) override;

 private:
  explicit HttpSession(DeadlineSocket* impl);

  DeadlineSocket* const impl_;  // owned by the base, through Poco's reference count
  std::string head_, target_prefix_, proxy_authorization_;
  std::atomic<bool> shut_down_{false};
};

}  // namespace millrace
