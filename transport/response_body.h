// The body of a response as the caller sees it: decoded, and without the exception that ClickHouse
// may have put behind it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "transport/compression.h"
#include "transport/error.h"
#include "transport/exception_frame.h"
#include "transport/http_exchange.h"

namespace millrace {

// Owned by one thread, for one response whose head was read.
class ResponseBody {
 public:
  // `exchange` must outlive it. Throws NetworkError (kProtocol) for a coding nobody asked for.
  explicit ResponseBody(HttpExchange& exchange);

  // The next bytes, valid until the next call; empty at the end. Throws NetworkError when the end
  // is not proven; then what was read before is all that came.
  std::string_view next();
  // ClickHouse's text, when next() has reported the end but the result is not whole.
  const std::optional<std::string>& exception() const { return exception_; }
  std::uint64_t bytes() const { return bytes_; }  // handed out

 private:
  std::string_view decoded();
  void take(ExceptionScanner::Released released);
  void end();

  HttpExchange& exchange_;
  std::unique_ptr<Decompressor> decompressor_;
  ExceptionScanner scanner_;
  std::string_view coded_;  // read and not decoded yet
  bool any_coded_ = false;
  std::string decode_buffer_;
  std::array<std::string_view, 2> ready_{};
  std::string rest_;
  std::optional<NetworkError> failure_;  // told after all that came before it
  std::optional<std::string> exception_;
  bool ended_ = false;
  std::uint64_t bytes_ = 0;
};

}  // namespace millrace
