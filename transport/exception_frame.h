// An exception that ClickHouse writes into the body of a response whose status 200 has been sent.
//
// Since 25.11 every response names a tag of its own (X-ClickHouse-Exception-Tag), and a body that
// fails ends with a frame that carries it:
//
//   \r\n__exception__\r\n<TAG>\r\n<message>\n<length> <TAG>\r\n__exception__\r\n
//
// where the length is that of the message with its \n, at most 16 KiB. The HTTP framing then stays
// without its end, unless the body is compressed: so the decoded body must be searched. Older
// servers write the bare message and break off.
// https://clickhouse.com/docs/interfaces/http; seen with ClickHouse 26.7.
//
// A scanner is owned by one thread and serves one response; the functions may be called by any.
// Nothing here throws, but for lack of memory.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

class ExceptionScanner {
 public:
  // Data to hand on, in this order. `held` lives in the scanner until the next call, `fresh` is a
  // part of what was pushed.
  struct Released {
    std::string_view held, fresh;
  };

  // `tag`: of the response's header; empty for a server that sends none.
  explicit ExceptionScanner(std::string_view tag);

  // The next bytes of the decoded body. Holds back only what may be the beginning of a frame.
  Released push(std::string_view bytes);

  // At the end of the body; `complete`: the HTTP framing was whole. The text of the exception that
  // ended the body, if one did, without line ends behind it; `rest` gets what was held back and is
  // data after all.
  // In a complete body a frame must be whole and the very end. In one that broke off it may be cut
  // anywhere. Without a tag only a body that broke off can tell, by the text in its last 1024 bytes
  // (which were handed on as data).
  std::optional<std::string> finish(bool complete, std::string& rest);

 private:
  Released after_held(std::string_view bytes);
  void keep_message(std::string_view bytes);
  void keep_tail(std::string_view bytes);
  std::optional<std::string> whole_frame(std::string& rest) const;
  std::string cut_message() const;

  const std::string opening_;  // all before the message; empty without a tag
  const std::string closing_;  // all behind the length
  std::size_t matched_ = 0;    // so much of `opening_` is held back
  bool in_message_ = false;
  // Longer than any message of a server: then it is an exception in any case, and its end is lost.
  bool overflowed_ = false;
  std::string message_;  // what came behind the opening
  std::string tail_;     // without a tag: the last bytes of the body
};

// From "Code: 395. DB::Exception: …" to the end, wherever it begins in `text`; empty if it does
// not. Also for the compressed body of an error, where rows may stand before the text.
std::string_view exception_text(std::string_view text);
// 395 of such a text; 0 if there is none.
int exception_code(std::string_view text);

}  // namespace millrace
