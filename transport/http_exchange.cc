#include "transport/http_exchange.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPRequest.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <exception>
#include <span>
#include <utility>

#include "transport/http_session.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;

// Larger slices are no faster, and a deadline is looked at between two of them.
constexpr std::size_t kSliceBytes = 1u << 20;
constexpr std::size_t kMaxPieces = 16;  // per sendmsg
// For the answer of a server that stopped listening; it is on its way or it never comes.
constexpr std::chrono::milliseconds kEarlyAnswerTimeout{2'000};
// At a time: enough for most answers, and for a long one that keeps it full.
constexpr std::size_t kFirstReadBytes = 16u << 10;
constexpr std::size_t kReadBytes = 256u << 10;
// With progress headers it grows with the query's time: 10,000 of them are 2 MiB.
constexpr std::size_t kMaxHeadBytes = 8u << 20;

enum class Sent {
  kAll,
  kAnswered,  // something to read while there was still something to send
  kRefused,   // the peer takes no more: EPIPE, ECONNRESET
};

// The header and the pieces of the body that are still to be sent. Owned by one thread.
class Outgoing {
 public:
  Outgoing(std::string_view head, BodyPieces body) : head_(head), body_(body) { skip_sent(); }

  bool done() const { return head_.empty() && next_ == body_.size(); }

  // The next slice: the same until advance(). Not empty unless done().
  std::span<const iovec> slice() {
    count_ = 0;
    std::size_t room = kSliceBytes;
    add(head_, room);
    for (std::size_t i = next_; i < body_.size() && room > 0 && count_ < kMaxPieces; ++i) {
      add(i == next_ ? body_[i].substr(offset_) : body_[i], room);
    }
    return {pieces_.data(), count_};
  }

  void advance(std::size_t sent) {
    const std::size_t of_head = std::min(sent, head_.size());
    head_.remove_prefix(of_head);
    sent -= of_head;
    while (sent > 0) {
      const std::size_t of_piece = std::min(sent, body_[next_].size() - offset_);
      offset_ += of_piece;
      sent -= of_piece;
      skip_sent();
    }
  }

 private:
  void add(std::string_view bytes, std::size_t& room) {
    const std::size_t size = std::min(bytes.size(), room);
    if (size == 0) return;
    pieces_[count_++] = {const_cast<char*>(bytes.data()), size};
    room -= size;
  }
  void skip_sent() {
    while (next_ < body_.size() && offset_ == body_[next_].size()) {
      ++next_;
      offset_ = 0;
    }
  }

  std::string_view head_;
  const BodyPieces body_;
  std::size_t next_ = 0, offset_ = 0;
  std::array<iovec, kMaxPieces> pieces_{};
  std::size_t count_ = 0;
};

NetworkError network_error(NetworkError::Kind kind, const std::string& what) {
  // Something was sent; what the server made of it is not known.
  return NetworkError(kind, what, true);
}

// Does the server answer? An interim answer (100, 102, 103) is no reason to stop sending, nor is
// anything that is not of HTTP (tickets of TLS).
enum class Answer { kNone, kInterim, kFinal };

Answer look_for_answer(HttpSession& session) {
  constexpr std::string_view kInterim = "HTTP/1.1 1";
  std::array<char, kInterim.size()> start;
  const Transfer got = session.peek(start.data(), start.size());
  if (got.state == Transfer::State::kWantsRead || got.state == Transfer::State::kWantsWrite) {
    return Answer::kNone;
  }
  const bool interim = got.state == Transfer::State::kMoved &&
                       kInterim.starts_with(std::string_view(start.data(), got.bytes));
  return interim ? Answer::kInterim : Answer::kFinal;
}

Sent send_all(HttpSession& session, Outgoing outgoing, SteadyTime deadline) {
  short watched = POLLIN | POLLOUT;
  while (!outgoing.done()) {
    const Transfer moved = session.send(outgoing.slice());
    if (moved.state == Transfer::State::kMoved) {
      outgoing.advance(moved.bytes);
      if (Clock::now() < deadline) continue;
    } else if (moved.state == Transfer::State::kFailed && moved.error == ETIMEDOUT) {
      throw network_error(NetworkError::Kind::kTimeout,
                          "the server took no data for the pool's tcp_user_timeout");
    } else if (moved.state == Transfer::State::kFailed || moved.state == Transfer::State::kEnded) {
      return Sent::kRefused;
    }
    const short ready = poll_until(session.fd(), watched, deadline);
    if (ready == 0 || Clock::now() >= deadline) {
      throw network_error(NetworkError::Kind::kTimeout, "timed out while sending the request body");
    }
    // With an error pending the next send tells which one it is.
    if ((ready & POLLIN) != 0 && (ready & POLLERR) == 0) {
      const Answer answer = look_for_answer(session);
      if (answer == Answer::kFinal) return Sent::kAnswered;
      // An early refusal after it is still seen, when the server closes.
      if (answer == Answer::kInterim) watched = POLLOUT;
    }
  }
  return Sent::kAll;
}

std::uint64_t total_size(BodyPieces body) {
  std::uint64_t size = 0;
  for (const std::string_view piece : body) size += piece.size();
  return size;
}

// `length`: none for a body in chunks.
std::string render_head(HttpSession& session, const HttpRequest& request,
                        std::optional<std::uint64_t> length) {
  Poco::Net::HTTPRequest header(request.method, request.target, Poco::Net::HTTPMessage::HTTP_1_1);
  for (const auto& [name, value] : request.headers) header.set(name, value);
  if (!length) {
    header.setChunkedTransferEncoding(true);
  } else if (request.method != Poco::Net::HTTPRequest::HTTP_GET) {
    header.setContentLength64(static_cast<Poco::Int64>(*length));
  }
  return session.render(header);
}

NetworkError cut_header() {
  return network_error(NetworkError::Kind::kTruncated,
                       "connection closed within the response header");
}

// Thrown through the source of a body: nobody wants more of it.
class UploadEnded final : public std::exception {
 public:
  const char* what() const noexcept override { return "the server ended the upload"; }
};

}  // namespace

std::string_view HttpResponseHead::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

SteadyTime deadline_after(std::chrono::milliseconds timeout) {
  const auto now = Clock::now();
  const auto longest = std::chrono::floor<std::chrono::milliseconds>(SteadyTime::max() - now);
  return timeout.count() == 0 || timeout > longest ? SteadyTime::max() : now + timeout;
}

SteadyTime ExchangeLimits::until() const { return progress ? deadline_after(*progress) : deadline; }

// Puts a streamed body on the socket, the request's header in front of its first bytes.
class HttpExchange::SocketWriter final : public BodyWriter {
 public:
  SocketWriter(HttpSession& session, std::string head, std::optional<std::uint64_t> length,
               const ExchangeLimits& limits)
      : session_(session), prefix_(std::move(head)), left_(length), limits_(limits) {}

  // All of the body was written. The server must not take half a body for a whole one, so only here
  // the end is sent.
  void finish() {
    flush();
    if (sent_ != Sent::kAll) return;
    if (left_ && *left_ > 0) {
      throw UsageError("the body ended " + std::to_string(*left_) +
                       " bytes before the length that was announced (did the file shrink?)");
    }
    if (!left_) prefix_ += "0\r\n\r\n";
    put({});
  }
  Sent sent() const { return sent_; }

 private:
  void send(BodyPieces pieces) override {
    const std::uint64_t size = total_size(pieces);
    if (size == 0) return;  // a chunk of no bytes would end the body
    std::vector<std::string_view> all(pieces.begin(), pieces.end());
    if (!left_) {
      std::array<char, 20> digits;
      const auto end = std::to_chars(digits.begin(), digits.end(), size, 16).ptr;
      prefix_.append(digits.data(), end).append("\r\n");
      all.push_back("\r\n");
    } else if (size > *left_) {
      throw UsageError(
          "the body is longer than the length that was announced (did the file grow?)");
    } else {
      *left_ -= size;
    }
    put(all);
  }

  void put(BodyPieces pieces) {
    if (sent_ == Sent::kAll) sent_ = send_all(session_, Outgoing(prefix_, pieces), limits_.until());
    prefix_.clear();
    if (sent_ != Sent::kAll) throw UploadEnded();
  }

  HttpSession& session_;
  std::string prefix_;                 // goes in front of what is sent next
  std::optional<std::uint64_t> left_;  // of the announced length; none: in chunks
  const ExchangeLimits& limits_;
  Sent sent_ = Sent::kAll;
};

HttpExchange::HttpExchange(HttpSession& session, ExchangeLimits limits)
    : session_(session), limits_(limits) {}

void HttpExchange::send(const HttpRequest& request) {
  started_ = Clock::now();
  Sent sent = Sent::kAll;
  if (request.streamed == nullptr) {
    const std::string head = render_head(session_, request, total_size(request.body));
    sent = send_all(session_, Outgoing(head, request.body), limits_.until());
  } else {
    const auto length = request.streamed->length();
    SocketWriter writer(session_, render_head(session_, request, length), length, limits_);
    try {
      request.streamed->write_to(writer);
      writer.finish();
    } catch (const UploadEnded&) {
      // Its answer says why.
    }
    sent = writer.sent();
  }
  sent_at_ = Clock::now();
  sent_all_ = sent == Sent::kAll;
  if (!sent_all_) answer_until_ = sent_at_ + kEarlyAnswerTimeout;
}

// False at the end of the connection.
bool HttpExchange::fill() {
  session_.set_deadline(std::min(limits_.until(), answer_until_));
  if (!buffer_ || (last_fill_ == buffer_bytes_ && buffer_bytes_ < kReadBytes)) {
    buffer_bytes_ = buffer_ ? kReadBytes : kFirstReadBytes;
    buffer_ = std::make_unique_for_overwrite<char[]>(buffer_bytes_);
  }
  last_fill_ = session_.read_some(buffer_.get(), buffer_bytes_);
  const std::size_t n = last_fill_;
  unread_ = {buffer_.get(), n};
  return n > 0;
}

std::optional<std::string> HttpExchange::read_line(std::size_t& room) {
  std::string line;
  for (;;) {
    if (unread_.empty() && !fill()) return std::nullopt;
    const auto end = unread_.find('\n');
    const std::string_view part = unread_.substr(0, end == std::string_view::npos ? end : end + 1);
    if (part.size() > room) {
      throw network_error(NetworkError::Kind::kProtocol, "the response header is too long");
    }
    room -= part.size();
    line += part;
    unread_.remove_prefix(part.size());
    if (!line.ends_with('\n')) continue;
    line.pop_back();
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
}

void HttpExchange::read_status_line(std::size_t& room) {
  const std::uint64_t before = session_.bytes_received();
  std::optional<std::string> line;
  std::string why;
  try {
    line = read_line(room);
  } catch (const Poco::TimeoutException&) {
    throw;
  } catch (const Poco::Exception& e) {
    why = " (" + e.displayText() + ")";
  }
  if (!line) {
    if (session_.bytes_received() != before) throw cut_header();
    throw network_error(NetworkError::Kind::kClosed, "connection closed before a response" + why);
  }
  const StatusLine status = parse_status_line(*line);
  head_.status = status.status;
  head_.version_minor = status.version_minor;
}

void HttpExchange::read_fields(std::size_t& room, const OnField& on_field) {
  head_.headers.clear();
  framing_.emplace(head_.status);
  for (;;) {
    const auto line = read_line(room);
    if (!line) throw cut_header();
    if (line->empty()) return;
    const HeaderField field = parse_header_line(*line);
    framing_->add(field.name, field.value);
    if (on_field) on_field(field.name, field.value);
    head_.headers.insert_or_assign(std::string(field.name), std::string(field.value));
  }
}

const HttpResponseHead& HttpExchange::receive_head(const OnField& on_field) {
  try {
    do {  // an interim answer (100, 102, 103) is followed by the real one
      std::size_t room = kMaxHeadBytes;
      read_status_line(room);
      read_fields(room, on_field);
    } while (head_.status < 200 && head_.status != 101);
  } catch (const Poco::TimeoutException&) {
    throw network_error(NetworkError::Kind::kTimeout, "timed out while waiting for the response");
  } catch (const Poco::Exception&) {
    throw cut_header();
  }
  note_keep_alive();
  left_ = framing_->length();
  return head_;
}

std::string_view HttpExchange::read() {
  if (body_done_) return {};
  std::string_view piece;
  try {
    piece = read_framed();
  } catch (const Poco::TimeoutException&) {
    throw network_error(NetworkError::Kind::kTimeout, "timed out while reading the response");
  } catch (const Poco::Exception& e) {
    throw network_error(NetworkError::Kind::kTruncated, "response cut short: " + e.displayText());
  }
  if (!piece.empty()) return piece;
  if (!unread_.empty()) {
    throw network_error(NetworkError::Kind::kProtocol, "bytes after the end of the response");
  }
  if (!sent_all_ && head_.is_success()) {
    throw network_error(NetworkError::Kind::kProtocol,
                        "the server answered before it had the whole request");
  }
  body_done_ = true;
  return {};
}

// Empty at the framed end.
std::string_view HttpExchange::read_framed() {
  const auto cut = [](const char* where) {
    return network_error(NetworkError::Kind::kTruncated,
                         std::string("response cut short: connection closed ") + where);
  };
  switch (framing_->kind()) {
    case ResponseFraming::Kind::kNone:
      return {};
    case ResponseFraming::Kind::kLength: {
      if (left_ == 0) return {};
      if (unread_.empty() && !fill()) throw cut("before the announced length");
      const auto piece = unread_.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, unread_.size())));
      unread_.remove_prefix(piece.size());
      left_ -= piece.size();
      return piece;
    }
    case ResponseFraming::Kind::kChunked:
      while (!chunks_.done()) {
        if (unread_.empty() && !fill()) throw cut("before the last chunk");
        if (const auto piece = chunks_.next_data(unread_); !piece.empty()) return piece;
      }
      return {};
    case ResponseFraming::Kind::kUntilClose:
      if (!unread_.empty() || fill()) return std::exchange(unread_, {});
      throw network_error(NetworkError::Kind::kTruncated,
                          "response without Content-Length or chunks (a proxy's?): whether it is "
                          "complete can't be known");
  }
  return {};
}

// `Keep-Alive: timeout=30, max=9999`
void HttpExchange::note_keep_alive() {
  const std::string_view text = head_.header("Keep-Alive");
  const auto number = [&](std::string_view key) -> std::optional<unsigned> {
    const auto at = text.find(key);
    if (at == std::string_view::npos) return std::nullopt;
    unsigned value = 0;
    const char* first = text.data() + at + key.size();
    const auto result = std::from_chars(first, text.data() + text.size(), value);
    return result.ec == std::errc() ? std::optional(value) : std::nullopt;
  };
  const auto timeout = number("timeout=");
  session_.server_idle_timeout =
      timeout ? std::optional(std::chrono::seconds(*timeout)) : std::nullopt;
  session_.server_requests_left = number("max=");
}

bool HttpExchange::reusable() const {
  const bool close = ::strcasecmp(std::string(head_.header("Connection")).c_str(), "close") == 0;
  return body_done_ && sent_all_ && head_.version_minor == 1 && !close;
}

std::chrono::nanoseconds HttpExchange::time_since_sent() const { return Clock::now() - sent_at_; }

}  // namespace millrace
