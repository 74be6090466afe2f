#include "transport/http_response_parser.h"

#include <algorithm>
#include <charconv>

#include "transport/error.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxSizeLine = 1024;
constexpr std::size_t kMaxTrailerLines = 64;
constexpr std::size_t kMaxTrailerBytes = 8u << 10;

[[noreturn]] void fail(const std::string& what) {
  throw NetworkError(NetworkError::Kind::kProtocol, what, true);
}
[[noreturn]] void bad_chunk(const char* what) {
  fail(std::string("malformed chunk of a response: ") + what);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }
bool is_token(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// `lower` is in lower case.
bool same_word(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// All of `text` is a number; nothing if it is not, or too large.
std::optional<std::uint64_t> whole_number(std::string_view text, int base) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

StatusLine parse_status_line(std::string_view line) {
  constexpr std::string_view kVersion = "HTTP/1.";
  constexpr std::size_t kStatusAt = 9, kStatusEnd = 12;  // "HTTP/1.1 200"
  const bool well_formed = line.starts_with(kVersion) && line.size() >= kStatusEnd &&
                           is_digit(line[7]) && line[8] == ' ' &&
                           (line.size() == kStatusEnd || line[kStatusEnd] == ' ');
  if (!well_formed || has_control(line)) fail("malformed status line of a response");
  const auto status = whole_number(line.substr(kStatusAt, kStatusEnd - kStatusAt), 10);
  if (!status || *status < 100 || *status > 599) fail("malformed status of a response");
  return {.version_minor = line[7] - '0',
          .status = static_cast<int>(*status),
          .reason = trim(line.substr(kStatusEnd))};
}

HeaderField parse_header_line(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) fail("malformed header line of a response");
  const std::string_view name = line.substr(0, colon), value = trim(line.substr(colon + 1));
  if (!std::all_of(name.begin(), name.end(), is_token)) {  // also obs-fold
    fail("malformed name of a header field of a response");
  }
  if (has_control(value)) fail("control character in the header field " + std::string(name));
  return {name, value};
}

void ResponseFraming::add(std::string_view name, std::string_view value) {
  if (kind() == Kind::kNone) return;
  if (same_word(name, "content-length")) add_length(value);
  if (same_word(name, "transfer-encoding")) add_coding(value);
  if (length_ && chunked_) fail("response with both Content-Length and Transfer-Encoding");
}

ResponseFraming::Kind ResponseFraming::kind() const {
  if (status_ < 200 || status_ == 204 || status_ == 304) return Kind::kNone;
  if (chunked_) return Kind::kChunked;
  return length_ ? Kind::kLength : Kind::kUntilClose;
}

// Also "5, 5": what a proxy makes of two equal fields.
void ResponseFraming::add_length(std::string_view value) {
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t comma = std::min(value.find(',', at), value.size());
    const auto length = whole_number(trim(value.substr(at, comma - at)), 10);
    if (!length) fail("malformed Content-Length of a response");
    if (length_ && *length_ != *length) fail("response with different Content-Lengths");
    length_ = length;
    at = comma + 1;
  }
}

void ResponseFraming::add_coding(std::string_view value) {
  if (!same_word(trim(value), "chunked")) fail("unknown Transfer-Encoding of a response");
  if (chunked_) fail("response that is chunked twice");
  chunked_ = true;
}

std::string_view ChunkParser::next_data(std::string_view& in) {
  while (!in.empty() && state_ != State::kDone) {
    switch (state_) {
      case State::kSize:
        if (take_line(in, kMaxSizeLine)) size_line();
        break;
      case State::kData: {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
        const std::string_view data = in.substr(0, size);
        in.remove_prefix(size);
        left_ -= size;
        if (left_ == 0) state_ = State::kDataEnd;
        return data;
      }
      case State::kDataEnd:
        if (take_line(in, 0)) state_ = State::kSize;
        break;
      case State::kTrailer:
        if (take_line(in, kMaxTrailerBytes - trailer_bytes_)) trailer_line();
        break;
      case State::kDone:
        break;
    }
  }
  return {};
}

// Moves bytes to `line_` until a line is whole; its end is not counted and not kept.
bool ChunkParser::take_line(std::string_view& in, std::size_t max_size) {
  if (line_whole_) line_.clear();
  const std::size_t room = max_size + 2 - line_.size();
  const std::size_t line_end = in.substr(0, room).find('\n');
  line_whole_ = line_end != std::string_view::npos;
  if (!line_whole_ && in.size() >= room) bad_chunk("line too long, or data longer than its size");
  const std::size_t size = line_whole_ ? line_end + 1 : in.size();
  line_.append(in.substr(0, size));
  in.remove_prefix(size);
  if (!line_whole_) return false;
  if (!line_.ends_with("\r\n")) bad_chunk("line without carriage return");
  line_.resize(line_.size() - 2);
  return true;
}

// What follows a semicolon is an extension, for which nobody has a use.
void ChunkParser::size_line() {
  if (has_control(line_)) bad_chunk("control character");
  std::string_view digits = line_;
  digits = digits.substr(0, digits.find(';'));
  digits = digits.substr(0, digits.find_last_not_of(" \t") + 1);
  const auto size = whole_number(digits, 16);
  if (!size) bad_chunk("no size, or one that is too large");
  left_ = *size;
  state_ = left_ == 0 ? State::kTrailer : State::kData;
}

void ChunkParser::trailer_line() {
  if (line_.empty()) {
    state_ = State::kDone;
    return;
  }
  trailer_bytes_ += line_.size();
  if (++trailer_lines_ > kMaxTrailerLines) bad_chunk("trailer too long");
}

}  // namespace millrace
