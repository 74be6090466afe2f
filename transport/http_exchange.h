// One request and its response over one HTTP session.
//
// The header is made by Poco, the body goes from the caller's memory straight to the socket. An
// answer that comes while the body is still being sent ends the sending. The response is read here
// and not by Poco, which takes a body that broke off for a whole one: it is complete only when its
// framed end was seen.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/error.h"
#include "transport/headers.h"
#include "transport/http_response_parser.h"
#include "transport/insert_body.h"
#include "transport/socket.h"

namespace millrace {

class HttpSession;

struct HttpRequest {
  std::string method = "POST";
  std::string target{};
  std::vector<std::pair<std::string, std::string>> headers{};
  BodyPieces body{};                // in memory
  RequestBody* streamed = nullptr;  // or this
};

struct HttpResponseHead {
  int status = 0;
  int version_minor = 1;
  // Of a name that comes several times (X-ClickHouse-Progress), the last value.
  Headers headers;

  std::string_view header(std::string_view name) const;  // empty if absent
  bool is_success() const { return status >= 200 && status < 300; }
};

// 0, and what no clock can say: never.
SteadyTime deadline_after(std::chrono::milliseconds timeout);

// How long things may take: all of it until `deadline`, or, for what is streamed, each wait for
// progress at most `progress`.
struct ExchangeLimits {
  SteadyTime deadline{};
  std::optional<std::chrono::milliseconds> progress{};
  SteadyTime until() const;
};

// Owned by one thread, for one request. Whatever is thrown, and whenever it is not `reusable` in
// the end, the session must be closed.
class HttpExchange {
 public:
  using OnField = std::function<void(std::string_view name, std::string_view value)>;

  // `session` must outlive it.
  HttpExchange(HttpSession& session, ExchangeLimits limits);

  // Throws NetworkError (kTimeout), and what the body's source throws. A server that answers early
  // or takes no more is no error here: its answer is read next.
  void send(const HttpRequest& request);
  // Throws NetworkError: kTimeout, kClosed (not a single byte of a response came), kTruncated (some
  // did), kProtocol (it was no HTTP). `on_field` sees each field as it arrives.
  const HttpResponseHead& receive_head(const OnField& on_field = {});
  // The next bytes of the body, valid until the next call; empty at the proven end. Throws
  // NetworkError: kTimeout, kTruncated, kProtocol.
  std::string_view read();

  const HttpResponseHead& head() const { return head_; }
  // The body's end was seen, the server keeps the connection, and nothing of this exchange is left
  // on it.
  bool reusable() const;
  bool body_done() const { return body_done_; }  // its framed end was seen
  // All of the request left this process.
  bool sent_all() const { return sent_all_; }
  std::chrono::nanoseconds send_time() const { return sent_at_ - started_; }
  std::chrono::nanoseconds time_since_sent() const;

 private:
  class SocketWriter;
  bool fill();
  // A line without its end; nothing when the connection ended within it.
  std::optional<std::string> read_line(std::size_t& room);
  void read_status_line(std::size_t& room);
  void read_fields(std::size_t& room, const OnField& on_field);
  std::string_view read_framed();
  void note_keep_alive();

  HttpSession& session_;
  const ExchangeLimits limits_;
  SteadyTime started_{}, sent_at_{};
  SteadyTime answer_until_ = SteadyTime::max();  // of an answer that came while sending
  bool sent_all_ = false;
  bool body_done_ = false;

  HttpResponseHead head_;
  std::optional<ResponseFraming> framing_;
  ChunkParser chunks_;
  std::uint64_t left_ = 0;  // of a body with Content-Length

  std::unique_ptr<char[]> buffer_;
  std::size_t buffer_bytes_ = 0, last_fill_ = 0;
  std::string_view unread_;  // part of the buffer
};

}  // namespace millrace
