// What a response of HTTP/1.x says, and where its body ends: pure functions of bytes, without a
// connection.
//
// Anyone may call the functions; an object is owned by one thread and serves one response. What is
// wrong is a NetworkError (kProtocol, may_have_been_applied): the request had been sent. Stricter
// than a browser, as a misread end of a body is a lost or a foreign row.
//
// RFC 9112 (message syntax), sections 4 to 7: https://www.rfc-editor.org/rfc/rfc9112
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

struct StatusLine {
  int version_minor = 0;  // of HTTP/1.x
  int status = 0;         // 100 to 599
  std::string_view reason{};
};
// `line` without its line end, here and below; the result points into it.
StatusLine parse_status_line(std::string_view line);

struct HeaderField {
  std::string_view name, value;
};
// The value without outer blanks. A line that continues the one before (obs-fold) is refused.
HeaderField parse_header_line(std::string_view line);

// How the body is framed, from the status and the header fields. A response to HEAD has no body
// whatever they say; that is for the caller to know.
class ResponseFraming {
 public:
  enum class Kind { kNone, kChunked, kLength, kUntilClose };

  explicit ResponseFraming(int status) : status_(status) {}
  // Each header field, in any order; other fields are ignored. Throws for a value without a
  // meaning, for an unknown transfer coding and for what contradicts an earlier field.
  void add(std::string_view name, std::string_view value);
  // When all fields were added.
  Kind kind() const;
  // Of the body, for kLength.
  std::uint64_t length() const { return length_.value_or(0); }

 private:
  void add_length(std::string_view value);
  void add_coding(std::string_view value);

  const int status_;
  std::optional<std::uint64_t> length_;
  bool chunked_ = false;
};

// Takes the framing off a chunked body that comes in pieces.
//
//   while (!in.empty() && !parser.done()) use(parser.next_data(in));
class ChunkParser {
 public:
  // Consumes from the front of `in` up to the end of the next stretch of data, which it returns: a
  // part of `in`. Empty if `in` is used up or the body has ended; what follows the body is left.
  std::string_view next_data(std::string_view& in);
  // Behind the last chunk and the empty line of its trailer.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailer, kDone };

  bool take_line(std::string_view& in, std::size_t max_size);
  void size_line();
  void trailer_line();

  State state_ = State::kSize;
  std::uint64_t left_ = 0;   // of the chunk's data
  std::string line_;         // as much as came of a line of the framing
  bool line_whole_ = false;  // then `line_` is without its line end
  std::size_t trailer_lines_ = 0, trailer_bytes_ = 0;
};

}  // namespace millrace
