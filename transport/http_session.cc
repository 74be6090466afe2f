#include "transport/http_session.h"

#include <Poco/Exception.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/StreamSocket.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace millrace {

DeadlineSocket::DeadlineSocket(Socket socket, std::unique_ptr<TlsChannel> tls)
    : Poco::Net::StreamSocketImpl(socket.fd()), socket_(std::move(socket)), tls_(std::move(tls)) {}

DeadlineSocket::~DeadlineSocket() { reset(); }  // so that only Socket closes the descriptor

Transfer DeadlineSocket::receive(void* buffer, std::size_t size) {
  return tls_ ? tls_->receive(buffer, size) : receive_plain(fd(), buffer, size);
}

Transfer DeadlineSocket::peek(char* buffer, std::size_t size) {
  return tls_ ? tls_->peek(buffer, size) : receive_plain(fd(), buffer, size, MSG_PEEK);
}

bool DeadlineSocket::silent() {
  if (tls_) return tls_->silent();
  char byte = 0;
  return peek(&byte, 1).state == Transfer::State::kWantsRead;
}

Transfer DeadlineSocket::send(std::span<const iovec> pieces) {
  constexpr std::size_t kRecordBytes = 16u << 10;  // the largest: RFC 8446 5.1
  if (!tls_) return send_plain(fd(), pieces);
  if (pieces.size() == 1 || pieces.front().iov_len >= kRecordBytes) {
    return tls_->send(pieces.front().iov_base, pieces.front().iov_len);
  }
  record_.clear();
  for (const iovec& piece : pieces) {
    const std::size_t room = kRecordBytes - record_.size();
    record_.append(static_cast<const char*>(piece.iov_base), std::min(piece.iov_len, room));
  }
  return tls_->send(record_.data(), record_.size());
}

int DeadlineSocket::receiveBytes(void* buffer, int length, int) {
  for (;;) {
    // Asked before each receive: a server that never stops sending must not outlive the deadline.
    if (std::chrono::steady_clock::now() >= deadline_) throw Poco::TimeoutException();
    const Transfer transfer = receive(buffer, static_cast<std::size_t>(length));
    if (transfer.state == Transfer::State::kMoved) {
      bytes_received_ += transfer.bytes;
      return static_cast<int>(transfer.bytes);
    }
    if (transfer.state == Transfer::State::kEnded) {
      ended_ = true;
      return 0;
    }
    if (transfer.state == Transfer::State::kFailed) throw_failure(transfer);
    const bool wants_read = transfer.state == Transfer::State::kWantsRead;
    if (poll_until(fd(), wants_read ? POLLIN : POLLOUT, deadline_) == 0) {
      throw Poco::TimeoutException();
    }
  }
}

void DeadlineSocket::throw_failure(const Transfer& transfer) {
  ended_ = true;
  if (transfer.error != 0) error(transfer.error, "recv");  // throws what Poco throws
  throw Poco::Net::NetException("TLS", tls_ ? tls_->error() : "");
}

int DeadlineSocket::sendBytes(const void*, int, int) {
  throw Poco::IllegalStateException("only http_exchange sends");
}

void DeadlineSocket::close() {
  if (tls_) tls_->say_goodbye();
  ::shutdown(fd(), SHUT_RDWR);
}

HttpSession::HttpSession(DeadlineSocket* impl)
    : Poco::Net::HTTPClientSession(Poco::Net::StreamSocket(impl)), impl_(impl) {
  setKeepAlive(true);
}

std::string HttpSession::render(Poco::Net::HTTPRequest& request) {
  head_.clear();
  if (!target_prefix_.empty()) request.setURI(target_prefix_ + request.getURI());
  if (!proxy_authorization_.empty()) request.set("Proxy-Authorization", proxy_authorization_);
  sendRequest(request);
  flushRequest();
  // Of a body in chunks Poco adds the end, too.
  head_.resize(head_.find("\r\n\r\n") + 4);
  return std::move(head_);
}

int HttpSession::write(const char* buffer, std::streamsize length) {
  head_.append(buffer, static_cast<std::size_t>(length));
  return static_cast<int>(length);
}

void HttpSession::connect(const Poco::Net::SocketAddress&) {
  throw Poco::IllegalStateException("only the pool connects");
}

int HttpSession::get_byte() {
  return get();  // also -1 for byte 0xff, which is as wrong as the end where this is used
}

std::size_t HttpSession::read_some(char* buffer, std::size_t size) {
  constexpr std::size_t kMax = 1u << 30;  // Poco counts in int
  const int n = read(buffer, static_cast<std::streamsize>(std::min(size, kMax)));
  return static_cast<std::size_t>(std::max(n, 0));
}

void HttpSession::set_forwarding(std::string target_prefix, std::string proxy_authorization) {
  target_prefix_ = std::move(target_prefix);
  proxy_authorization_ = std::move(proxy_authorization);
}

void HttpSession::shut_down() noexcept {
  shut_down_ = true;
  // Closing it sends a reset then. A server that waits for us to take more of a result would not
  // see the end otherwise: our side says nothing more, and it gives up only after 30 s.
  constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &kReset, sizeof(kReset));
  ::shutdown(fd(), SHUT_RDWR);
}

}  // namespace millrace
