#include "service/terminal.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>

namespace millrace {
namespace {

struct Character {
  std::size_t bytes = 0;
  char32_t code = 0;
};

// How many bytes a character has that begins so; 0: none does.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// How many bytes at the front could belong to one character.
std::size_t plausible_bytes(std::string_view text) {
  const std::size_t length = length_of(static_cast<unsigned char>(text.front()));
  std::size_t bytes = 1;
  while (bytes < length && bytes < text.size() && is_continuation(text[bytes])) ++bytes;
  return bytes;
}

// The first character of `text`; nothing if that is no UTF-8 (overlong and surrogates are none).
std::optional<Character> first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = length_of(first);
  if (length == 0 || plausible_bytes(text) < length) return std::nullopt;
  char32_t code = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return std::nullopt;
  return Character{length, code};
}

bool steers(char32_t code) {
  const auto within = [code](char32_t first, char32_t last) {
    return code >= first && code <= last;
  };
  return code < 0x20 || within(0x7f, 0x9f) || code == 0x61c ||  // Arabic letter mark
         within(0x200e, 0x200f) ||  // left-to-right and right-to-left mark
         within(0x2028, 0x202e) ||  // separators, embeddings and overrides
         within(0x2066, 0x2069) ||  // isolates
         within(0xfff9, 0xfffb) ||  // interlinear annotation
         within(0xe0000, 0xe007f);  // tags
}

void append_byte(char byte, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  out += {'\\', 'x', kHex[value >> 4], kHex[value & 0xf]};
}

void append_code(char32_t code, std::string& out) {
  char text[16];
  const int size = std::snprintf(text, sizeof text, code > 0xffff ? "\\U%08x" : "\\u%04x",
                                 static_cast<unsigned>(code));
  out.append(text, static_cast<std::size_t>(size));
}

// Appends the first character, escaped if it has to be; returns how many bytes it took.
std::size_t append_first(std::string_view text, std::string& out) {
  const auto character = first_character(text);
  if (!character) {
    append_byte(text.front(), out);
    return 1;
  }
  const char32_t code = character->code;
  if (code == '\n' || code == '\t' || !steers(code)) {
    out += text.substr(0, character->bytes);
  } else if (code < 0x80) {
    append_byte(text.front(), out);
  } else {
    append_code(code, out);
  }
  return character->bytes;
}

}  // namespace

void TerminalText::add(std::string_view text, std::string& out) {
  const std::string joined = waiting_.empty() ? std::string() : waiting_ + std::string(text);
  std::string_view rest = waiting_.empty() ? text : std::string_view(joined);
  waiting_.clear();
  while (!rest.empty()) {
    const std::size_t plausible = plausible_bytes(rest);
    if (plausible == rest.size() && plausible < length_of(static_cast<unsigned char>(rest[0]))) {
      waiting_ = rest;
      return;
    }
    rest.remove_prefix(append_first(rest, out));
  }
}

void TerminalText::finish(std::string& out) {
  for (const char byte : waiting_) append_byte(byte, out);
  waiting_.clear();
}

std::string escape_for_terminal(std::string_view text) {
  std::string out;
  TerminalText escaped;
  escaped.add(text, out);
  escaped.finish(out);
  return out;
}

std::string escape_for_line(std::string_view text) {
  std::string line;
  for (const char c : escape_for_terminal(text)) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      append_byte(c, line);
    } else {
      line += c;
    }
  }
  return line;
}

// Keeps nothing but the beginning of a character: what is behind it has a buffer of its own.
class TerminalGuard::Buffer : public std::streambuf {
 public:
  explicit Buffer(std::streambuf* to) : to_(to) {}
  std::streambuf* to() const { return to_; }
  void finish() {
    std::string out;
    text_.finish(out);
    put(out);
    to_->pubsync();
  }

 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char byte = traits_type::to_char_type(c);
    return xsputn(&byte, 1) == 1 ? c : traits_type::eof();
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    std::string out;
    text_.add({text, static_cast<std::size_t>(size)}, out);
    return put(out) ? size : 0;
  }
  int sync() override { return to_->pubsync(); }

 private:
  bool put(const std::string& out) {
    return to_->sputn(out.data(), static_cast<std::streamsize>(out.size())) ==
           static_cast<std::streamsize>(out.size());
  }
  std::streambuf* to_;
  TerminalText text_;
};

namespace {
std::streambuf* unguarded_stderr_buffer = nullptr;  // set while a guard stands before std::cerr
}  // namespace

TerminalGuard::TerminalGuard(std::ostream& stream, int fd) : stream_(stream) {
  if (::isatty(fd) != 1) return;
  buffer_ = std::make_unique<Buffer>(stream.rdbuf());
  stream.rdbuf(buffer_.get());
  if (&stream == &std::cerr) unguarded_stderr_buffer = buffer_->to();
}

TerminalGuard::~TerminalGuard() {
  if (buffer_ == nullptr) return;
  buffer_->finish();
  stream_.rdbuf(buffer_->to());
  if (&stream_ == &std::cerr) unguarded_stderr_buffer = nullptr;
}

std::ostream& unguarded_stderr() {
  if (unguarded_stderr_buffer == nullptr) return std::cerr;
  static std::ostream stream(nullptr);
  stream.rdbuf(unguarded_stderr_buffer);
  return stream;
}

}  // namespace millrace
