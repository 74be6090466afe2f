#include "transport/response_body.h"

#include <utility>

#include "transport/wire_text.h"

namespace millrace {
namespace {

constexpr std::size_t kDecodeBytes = 256u << 10;

std::unique_ptr<Decompressor> make_decompressor(const HttpResponseHead& head) {
  const std::string_view coding = head.header("Content-Encoding");
  const auto codec = codec_of(coding);
  if (!codec || (*codec != Codec::kNone && !can_code(*codec))) {
    throw NetworkError(NetworkError::Kind::kProtocol,
                       "the answer (HTTP " + std::to_string(head.status) + ") is coded as " +
                           wire::valid_utf8(coding, 40) +
                           " (Content-Encoding), which is not decoded here: gzip, deflate, zstd "
                           "and lz4 are",
                       true);
  }
  return *codec == Codec::kNone ? nullptr : Decompressor::make(*codec);
}

}  // namespace

ResponseBody::ResponseBody(HttpExchange& exchange)
    : exchange_(exchange),
      decompressor_(make_decompressor(exchange.head())),
      scanner_(exchange.head().header("X-ClickHouse-Exception-Tag")) {
  if (decompressor_) decode_buffer_.resize(kDecodeBytes);
}

std::string_view ResponseBody::next() {
  for (;;) {
    for (std::string_view& piece : ready_) {
      if (piece.empty()) continue;
      bytes_ += piece.size();
      return std::exchange(piece, {});
    }
    if (ended_) {
      if (failure_ && !exception_) throw NetworkError(*failure_);
      return {};
    }
    if (const std::string_view piece = decoded(); !piece.empty()) {
      take(scanner_.push(piece));
    } else {
      end();
    }
  }
}

void ResponseBody::take(ExceptionScanner::Released released) {
  ready_ = {released.held, released.fresh};
}

// Empty at the end of what came, whole or not.
std::string_view ResponseBody::decoded() {
  try {
    if (!decompressor_) return exchange_.read();
    for (;;) {
      const std::size_t size =
          decompressor_->decompress(coded_, decode_buffer_.data(), decode_buffer_.size());
      if (size > 0) return std::string_view(decode_buffer_).substr(0, size);
      coded_ = exchange_.read();
      any_coded_ = any_coded_ || !coded_.empty();
      if (!coded_.empty()) continue;
      if (any_coded_ && !decompressor_->at_end()) {
        failure_.emplace(NetworkError::Kind::kTruncated,
                         "response cut short: its compressed data have no end", true);
      }
      return {};
    }
  } catch (const NetworkError& e) {
    failure_ = e;
    return {};
  }
}

void ResponseBody::end() {
  ended_ = true;
  exception_ = scanner_.finish(!failure_, rest_);
  ready_ = {rest_, {}};
}

}  // namespace millrace
