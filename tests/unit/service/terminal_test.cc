#include "service/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace millrace {
namespace {

TEST(Terminal, WhatSteersATerminalIsEscaped) {
  EXPECT_EQ(escape_for_terminal("\x1b]0;owned\a\x1b[2Jx\r\b\x7f"),
            "\\x1b]0;owned\\x07\\x1b[2Jx\\x0d\\x08\\x7f");
  EXPECT_EQ(escape_for_terminal(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape_for_terminal("\xc2\x9b"
                                "2J"),
            "\\u009b2J")
      << "C1: ESC [ in one character";
}

// Text that looks as what it is not.
TEST(Terminal, WhatReordersOrHidesTextIsEscaped) {
  EXPECT_EQ(escape_for_terminal("a\u202egpj.exe"), "a\\u202egpj.exe");
  for (const auto& [text, escaped] :
       std::initializer_list<std::pair<const char*, const char*>>{{"\u061c", "\\u061c"},
                                                                  {"\u200e", "\\u200e"},
                                                                  {"\u200f", "\\u200f"},
                                                                  {"\u2028", "\\u2028"},
                                                                  {"\u2029", "\\u2029"},
                                                                  {"\u202a", "\\u202a"},
                                                                  {"\u2066", "\\u2066"},
                                                                  {"\u2069", "\\u2069"},
                                                                  {"\U000e0041", "\\U000e0041"}}) {
    EXPECT_EQ(escape_for_terminal(text), escaped);
  }
}

TEST(Terminal, BytesThatAreNoUtf8AreEscapedOneByOne) {
  EXPECT_EQ(escape_for_terminal("\x9b"
                                "2J\xff"),
            "\\x9b2J\\xff");
  EXPECT_EQ(escape_for_terminal("\xc0\x9b"), "\\xc0\\x9b") << "overlong";
  EXPECT_EQ(escape_for_terminal("\xe0\x82\x9b"), "\\xe0\\x82\\x9b") << "overlong";
  EXPECT_EQ(escape_for_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(escape_for_terminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond the last";
  EXPECT_EQ(escape_for_terminal("\xe2\x82"), "\\xe2\\x82") << "cut";
  EXPECT_EQ(escape_for_terminal("\xe2\x82x"), "\\xe2\\x82x");
}

TEST(Terminal, TextStaysAsItIs) {
  const std::string text = "{\"id\":\t\"\u00e4 \u20ac \U0001f600 \u05d0\"}\n\\x1b";
  EXPECT_EQ(escape_for_terminal(text), text);
  EXPECT_EQ(escape_for_line("a\tb\nc"), "a\\x09b\\nc");
}

TEST(Terminal, ACharacterMayComeInPieces) {
  const std::string text = "\u20ac\u202e\U0001f600\xe2\x82";
  std::string out;
  TerminalText pieces;
  for (const char c : text) pieces.add({&c, 1}, out);
  pieces.finish(out);
  EXPECT_EQ(out, escape_for_terminal(text));
}

// A pair of which one end is a terminal.
struct Pty {
  Pty() : ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    if (::grantpt(ours) == 0 && ::unlockpt(ours) == 0)
      terminal = ::open(::ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  ~Pty() {
    ::close(ours);
    ::close(terminal);
  }
  int ours, terminal = -1;
};

TEST(Terminal, AGuardStandsBeforeATerminalOnlyAndLeavesAgain) {
  const Pty pty;
  ASSERT_GE(pty.terminal, 0);
  std::ostringstream out;
  {
    const TerminalGuard guard(out, pty.terminal);
    out << "\x1b" << 'a' << "\xe2\x82";
    EXPECT_EQ(out.str(), "\\x1ba");
    out << "\xac" << std::flush << "\xe2";
  }
  EXPECT_EQ(out.str(), "\\x1ba\u20ac\\xe2");
  out.str("");
  out << "\x1b";
  EXPECT_EQ(out.str(), "\x1b");
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  {
    const TerminalGuard guard(out, pipe_ends[1]);
    out << "\x1b";
  }
  EXPECT_EQ(out.str(), "\x1b\x1b");
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

}  // namespace
}  // namespace millrace
