#include "pipeline/encode/json_cursor.h"

#include <bit>
#include <cstdint>

#include "pipeline/encode/number_text.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace {
namespace {

constexpr unsigned kMaxDepth = 1000;  // input_format_json_max_depth

#if defined(__SSE2__)
constexpr std::size_t kBlock = 16;
// Copies a block, if there is a place for it; the bits of the mask are its quotes and backslashes.
inline unsigned copy_block(const char* from, char* to) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  if (to != nullptr) _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  const __m128i quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
  const __m128i escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(quotes, escapes)));
}
inline unsigned first_of(unsigned mask) { return static_cast<unsigned>(std::countr_zero(mask)); }
#else
constexpr std::size_t kBlock = 8;
inline std::uint64_t zero_bytes(std::uint64_t word) {  // exact up to the first one
  return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}
inline std::uint64_t copy_block(const char* from, char* to) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  if (to != nullptr) std::memcpy(to, &word, sizeof word);
  return zero_bytes(word ^ 0x2222222222222222u) | zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cu);
}
inline unsigned first_of(std::uint64_t mask) {
  return static_cast<unsigned>(std::countr_zero(mask)) / 8;
}
#endif

void append_utf8(unsigned code, ColumnBytes& out) {
  const auto put = [&](unsigned byte) { out.append_value(static_cast<char>(byte)); };
  if (code <= 0x7f) {
    put(code);
  } else if (code <= 0x7ff) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code <= 0xffff) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

unsigned hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return 0xff;
}

void JsonCursor::refuse(std::string what, Refused code) const {
  throw JsonRefusal{at, std::move(what), code};
}

void JsonCursor::refuse_expected(char c, Refused code) const {
  const std::string what = c == '\n'   ? "the end of the line"
                           : c == '\t' ? "a tab"
                                       : std::string("'") + c + "'";
  refuse(what + " is expected" + (done() ? ", not the end" : ""), code);
}

void JsonCursor::skip_more_space() {
  while (at < end) {
    switch (*at) {
      case ' ':
      case '\t':
      case '\n':
      case '\r':
      case '\f':
      case '\v':
        ++at;
        continue;
      default:
        return;
    }
  }
}

void JsonCursor::read_string(ColumnBytes& out) {
  if (!take('"')) refuse("a string is expected", Refused::kString);
  while (true) {
    out.ensure(left() + kBlock);
    const char* from = at;
    char* to = out.end();
    auto mask = copy_block(from, to);
    while (mask == 0 && from < end) {
      from += kBlock;
      to += kBlock;
      mask = copy_block(from, to);
    }
    if (mask != 0) from += first_of(mask);
    if (from >= end) refuse("the string has no end", Refused::kString);
    out.advance(static_cast<std::size_t>(from - at));
    at = from + 1;
    if (*from == '"') return;
    read_escape(out);
  }
}

unsigned JsonCursor::read_hex4() {
  if (left() < 4) {
    // The newline behind a message is a digit to ClickHouse.
    refuse("four digits are expected behind \\u",
           left() == 3 ? Refused::kString : Refused::kEscape);
  }
  unsigned code = 0;
  for (int i = 0; i < 4; ++i) code = code * 16 + hex_digit(*at++);
  return code & 0xffff;
}

void JsonCursor::refuse_surrogate(const char* what) const {
  refuse(std::string(what) +
             "; with input_format_json_throw_on_bad_escape_sequence=0 it stays as it is written",
         Refused::kEscape);
}

// Behind the backslash. A letter that means nothing stands for itself.
void JsonCursor::read_escape(ColumnBytes& out) {
  if (done()) refuse("the string has no end", Refused::kEscape);
  const char c = *at++;
  switch (c) {
    case 'b':
      return out.append_value('\b');
    case 'f':
      return out.append_value('\f');
    case 'n':
      return out.append_value('\n');
    case 'r':
      return out.append_value('\r');
    case 't':
      return out.append_value('\t');
    case 'u':
      break;
    default:
      return out.append_value(c);
  }
  unsigned code = read_hex4();
  if (code >= 0xd800 && code <= 0xdbff) {
    if (left() < 2 || at[0] != '\\' || at[1] != 'u')
      refuse_surrogate("the second half of a surrogate pair is missing");
    at += 2;
    const unsigned second = read_hex4();
    if (second < 0xdc00 || second > 0xdfff) refuse_surrogate("not a surrogate pair");
    code = 0x10000 + (code - 0xd800) * 0x400 + (second - 0xdc00);
  }
  append_utf8(code, out);
}

void JsonCursor::skip_string() {
  ++at;
  ColumnBytes ignored;  // allocates only for an escape
  while (true) {
    const char* from = at;
    auto mask = copy_block(from, nullptr);
    while (mask == 0 && from < end) {
      from += kBlock;
      mask = copy_block(from, nullptr);
    }
    if (mask != 0) from += first_of(mask);
    if (from >= end) refuse("the string has no end", Refused::kString);
    at = from + 1;
    if (*from == '"') return;
    read_escape(ignored);
  }
}

bool JsonCursor::skip_number() {
  double ignored;
  return read_float(*this, ignored);
}

void JsonCursor::skip_value(unsigned depth) {
  if (depth > kMaxDepth) refuse("too deep", Refused::kDepth);
  switch (peek()) {
    case '"':
      return skip_string();
    case 'n':
      return expect("null");
    case 't':
      return expect("true");
    case 'f':
      return expect("false");
    case '[':
      return skip_elements(depth);
    case '{':
      return skip_members(depth);
    default:
      break;
  }
  const char c = peek();
  const bool number = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.';
  if (!number || !skip_number()) refuse("no JSON value stands here", Refused::kData);
}

void JsonCursor::skip_elements(unsigned depth) {
  ++at;
  skip_space();
  if (take(']')) return;
  while (true) {
    skip_value(depth + 1);
    skip_space();
    if (take(']')) return;
    if (!take(',')) refuse("',' or ']' is expected", Refused::kData);
    skip_space();
  }
}

// A comma between two members may be missing, or stand behind the last one.
void JsonCursor::skip_members(unsigned depth) {
  ++at;
  skip_space();
  while (peek() == '"') {
    skip_string();
    skip_space();
    expect(':', Refused::kData);
    skip_space();
    skip_value(depth + 1);
    skip_space();
    if (take(',')) skip_space();
  }
  expect('}', Refused::kData);
}

void JsonCursor::skip_balanced() {
  const char open = *at, close = open == '{' ? '}' : ']';
  std::size_t depth = 0;
  bool quoted = false;
  while (at < end) {
    const char c = *at++;
    if (c == '\\') {
      if (at < end) ++at;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == open) {
      ++depth;
    } else if (!quoted && c == close && --depth == 0) {
      return;
    }
  }
  refuse(open == '{' ? "the object has no end" : "the array has no end", Refused::kData);
}

}  // namespace millrace
