// HTTP/1.1 of the admin port: bytes to a request, a reply to bytes. Pure.
//
// One request a connection. No body means anything here: it is read and thrown away, up to a bound,
// because a connection that is closed with something unread in it is reset, and the reply is lost.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct AdminRequest {
  std::string method, uri;
  std::map<std::string, std::string> headers;  // names in small letters

  std::string header(const std::string& name) const;  // empty when there is none
  std::string_view path() const;
};

struct Reply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};  // more of them
};

// Reads one request in pieces, in bounded memory. Owned by one thread.
class RequestReader {
 public:
  static constexpr std::size_t kMostHeadBytes = 16'384, kMostBodyBytes = 65'536;

  enum class State { kReading, kComplete, kRefused };
  // What follows a request, or a refusal, is thrown away.
  State add(std::string_view bytes);
  State state() const noexcept { return state_; }

  const AdminRequest& request() const { return request_; }  // kComplete
  const Reply& refusal() const { return refusal_; }         // kRefused: 400, 411, 413, 431 or 505

 private:
  State refuse(int status, const char* why);
  void read_head(std::string_view head);
  void read_header_line(std::string_view line);

  State state_ = State::kReading;
  std::string head_;
  std::size_t body_bytes_ = 0;  // of the body, still to come
  bool in_body_ = false;
  AdminRequest request_;
  Reply refusal_;
};

// The whole response, but for HEAD's body.
std::string to_bytes(const Reply& reply, std::string_view method);

// Compresses the body if the client takes gzip and it is worth it.
void compress(Reply& reply, const AdminRequest& request);
bool takes_gzip(std::string_view accept_encoding);

// A page of somebody else can give this host's address to its own name and ask us through a
// visitor's browser (DNS rebinding); the request then has that name in `Host`. Taken are addresses,
// localhost, and `names`: each a name, or `*.` and what a name ends in. No `Host` is no browser.
bool host_allowed(std::string_view host, const std::vector<std::string>& names);

}  // namespace millrace
