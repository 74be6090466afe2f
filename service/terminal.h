// Text from outside on a terminal: payloads, keys, names and servers' words must not steer it.
//
// Escaped are all control characters but newline and tab (C0, DEL, C1), those that change the
// direction or the order in which text is shown (bidirectional controls, line and paragraph
// separators), invisible tag characters, and bytes that are not UTF-8. Into a pipe or a file
// everything goes as it is.
#pragma once

#include <cstddef>
#include <memory>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

namespace millrace {

// Control characters and bytes that are not UTF-8 become `\x1b`, others `\u202e`. Takes text in
// pieces. Owned by one thread.
class TerminalText {
 public:
  // Appends to `out`; a character that is cut at the end of `text` waits for the next piece.
  void add(std::string_view text, std::string& out);
  // Nothing follows: appends what still waits.
  void finish(std::string& out);

 private:
  std::string waiting_;  // the beginning of a character
};

std::string escape_for_terminal(std::string_view text);
// Without newline and tab, too: for text that has to stay one line.
std::string escape_for_line(std::string_view text);

// While it lives, what is written to `stream` is escaped if `fd`, where it goes, is a terminal.
// Threads: as `stream`.
class TerminalGuard {
 public:
  TerminalGuard(std::ostream& stream, int fd);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

 private:
  class Buffer;
  std::ostream& stream_;
  std::unique_ptr<Buffer> buffer_;  // null: no terminal
};

// Standard error without a guard, for text that is escaped already and has colours.
std::ostream& unguarded_stderr();

}  // namespace millrace
