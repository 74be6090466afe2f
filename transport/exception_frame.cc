#include "transport/exception_frame.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace millrace {
namespace {

constexpr std::string_view kMark = "\r\n__exception__\r\n";
constexpr std::size_t kMaxMessage = 64u << 10;
constexpr std::size_t kTail = 1024;  // where older servers' text is looked for
constexpr std::size_t kMaxDigits = 20;

// glibc's memmem passes several GB/s; std::string_view::find would stop at each '\r'.
std::size_t find_in(std::string_view text, std::string_view part) {
  const void* found = memmem(text.data(), text.size(), part.data(), part.size());
  return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

// The longest end of `text` that is a beginning of `part`, but not all of it.
std::size_t begun_at_end(std::string_view text, std::string_view part) {
  std::size_t size = std::min(text.size(), part.size() - 1);
  while (size > 0 && !text.ends_with(part.substr(0, size))) --size;
  return size;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t count_digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

std::string without_line_end(std::string_view text) {
  return std::string(text.substr(0, text.find_last_not_of("\r\n") + 1));
}

}  // namespace

ExceptionScanner::ExceptionScanner(std::string_view tag)
    : opening_(tag.empty() ? "" : std::string(kMark) + std::string(tag) + "\r\n"),
      closing_(" " + std::string(tag) + std::string(kMark)) {}

ExceptionScanner::Released ExceptionScanner::push(std::string_view bytes) {
  if (opening_.empty()) {
    keep_tail(bytes);
    return {{}, bytes};
  }
  if (in_message_) {
    keep_message(bytes);
    return {};
  }
  if (bytes.empty()) return {};
  return after_held(bytes);
}

ExceptionScanner::Released ExceptionScanner::after_held(std::string_view bytes) {
  const std::string_view opening = opening_;
  const std::string_view held = opening.substr(0, matched_);
  // An opening may begin anywhere in what is held, as parts of it look like its beginning.
  for (std::size_t kept = held.size(); kept > 0; --kept) {
    if (!held.ends_with(opening.substr(0, kept))) continue;
    const std::string_view wanted = opening.substr(kept);
    if (bytes.starts_with(wanted)) {
      in_message_ = true;
      keep_message(bytes.substr(wanted.size()));
    } else if (wanted.starts_with(bytes)) {
      matched_ = kept + bytes.size();
    } else {
      continue;
    }
    return {held.substr(0, held.size() - kept), {}};
  }
  const std::size_t found = find_in(bytes, opening);
  if (found != std::string_view::npos) {
    in_message_ = true;
    keep_message(bytes.substr(found + opening.size()));
    return {held, bytes.substr(0, found)};
  }
  matched_ = begun_at_end(bytes, opening);
  return {held, bytes.substr(0, bytes.size() - matched_)};
}

void ExceptionScanner::keep_message(std::string_view bytes) {
  const std::size_t room = kMaxMessage - message_.size();
  overflowed_ = overflowed_ || bytes.size() > room;
  message_.append(bytes.substr(0, room));
}

void ExceptionScanner::keep_tail(std::string_view bytes) {
  tail_.append(bytes.substr(bytes.size() - std::min(bytes.size(), kTail)));
  if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
}

std::optional<std::string> ExceptionScanner::finish(bool complete, std::string& rest) {
  rest.clear();
  if (opening_.empty()) {
    const std::string_view text = complete ? std::string_view() : exception_text(tail_);
    if (text.empty()) return std::nullopt;
    return without_line_end(text);
  }
  if (!in_message_) {
    rest = opening_.substr(0, matched_);
    return std::nullopt;
  }
  if (overflowed_) return without_line_end(message_);
  if (auto message = whole_frame(rest)) return message;
  if (!complete) return without_line_end(cut_message());
  rest = opening_ + message_;
  return std::nullopt;
}

// The length at the end says where the message begins, whatever it holds. What stands before its
// opening is data. A length without the line end is taken, too: tag and place leave no doubt.
std::optional<std::string> ExceptionScanner::whole_frame(std::string& rest) const {
  const std::string held = opening_ + message_;
  std::string_view text = held;
  if (!text.ends_with(closing_)) return std::nullopt;
  text.remove_suffix(closing_.size());
  const std::size_t digits_at = text.find_last_not_of("0123456789") + 1;
  std::size_t length = 0;
  const auto [end, error] =
      std::from_chars(text.data() + digits_at, text.data() + text.size(), length);
  text = text.substr(0, digits_at);
  if (error != std::errc() || !text.ends_with('\n')) return std::nullopt;
  for (const std::size_t line_end : {0u, 1u, 2u}) {
    if (length > text.size() - std::min(text.size(), line_end)) break;
    const std::string_view before = text.substr(0, text.size() - length - line_end);
    if (!before.ends_with(opening_)) continue;
    rest = before.substr(0, before.size() - opening_.size());
    return without_line_end(text.substr(before.size()));
  }
  return std::nullopt;
}

// What came, without the line that ends a frame or as much of that as came.
std::string ExceptionScanner::cut_message() const {
  const std::string_view text = message_;
  const std::size_t window = closing_.size() + kMaxDigits + 1;
  std::size_t at = text.size() - std::min(text.size(), window);
  for (at = text.find('\n', at); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    std::string_view line = text.substr(at + 1);
    line.remove_prefix(count_digits(line));
    if (std::string_view(closing_).starts_with(line)) break;
  }
  return std::string(text.substr(0, at));
}

std::string_view exception_text(std::string_view text) {
  constexpr std::string_view kStart = "Code: ";
  for (std::size_t at = text.find(kStart); at != std::string_view::npos;
       at = text.find(kStart, at + 1)) {
    const std::string_view after = text.substr(at + kStart.size());
    const std::size_t digits = count_digits(after);
    if (digits > 0 && after.substr(digits).starts_with(". DB::")) return text.substr(at);
  }
  return {};
}

int exception_code(std::string_view text) {
  const std::string_view found = exception_text(text);
  int code = 0;
  if (!found.empty()) {
    const std::string_view digits = found.substr(found.find(' ') + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), code);
  }
  return code;
}

}  // namespace millrace
