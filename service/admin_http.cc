#include "service/admin_http.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "transport/compression.h"

namespace millrace {
namespace {

constexpr std::size_t kWorthCompressing = 1024;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

// The page may load nothing but its own files and /status, and be put into no other one.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string small_letters(std::string_view text) {
  std::string small(text);
  for (char& c : small) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return small;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The part before the separator, which is removed from `text` with it.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

bool is_name(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "-";
  }
}

// "host:port" or "[::1]:port" without the port and without brackets.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    host.remove_prefix(1);
    return host.substr(0, host.find(']'));
  }
  return host.substr(0, host.find(':'));
}

bool is_address(const std::string& host) {
  in6_addr six{};
  in_addr four{};
  return ::inet_pton(AF_INET, host.c_str(), &four) == 1 ||
         ::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &six) == 1;
}

}  // namespace

std::string AdminRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::string_view AdminRequest::path() const {
  return std::string_view(uri).substr(0, uri.find_first_of("?#"));
}

RequestReader::State RequestReader::refuse(int status, const char* why) {
  refusal_ = {.status = status, .body = std::string(why) + "\n"};
  head_.clear();
  return state_ = State::kRefused;
}

RequestReader::State RequestReader::add(std::string_view bytes) {
  if (state_ != State::kReading) return state_;
  if (!in_body_) {
    const std::size_t before = head_.size();
    head_ += bytes.substr(0, kMostHeadBytes + kHeadEnd.size() - before);
    const std::size_t from = before < kHeadEnd.size() ? 0 : before - (kHeadEnd.size() - 1);
    const std::size_t end = head_.find(kHeadEnd, from);
    if (end == std::string::npos) {
      return head_.size() > kMostHeadBytes ? refuse(431, "the head of the request is too large")
                                           : state_;
    }
    bytes.remove_prefix(end + kHeadEnd.size() - before);
    const std::string head = std::move(head_);
    head_ = {};
    in_body_ = true;
    read_head(std::string_view(head).substr(0, end));
    if (state_ == State::kRefused) return state_;
  }
  body_bytes_ -= std::min(body_bytes_, bytes.size());
  return state_ = body_bytes_ == 0 ? State::kComplete : State::kReading;
}

void RequestReader::read_head(std::string_view head) {
  std::string_view line = head.substr(0, head.find("\r\n"));
  head.remove_prefix(std::min(line.size() + 2, head.size()));
  request_.method = cut(line, ' ');
  request_.uri = cut(line, ' ');
  const bool readable = is_name(request_.method) && !request_.uri.empty() &&
                        !has_control(request_.uri) && line.starts_with("HTTP/");
  if (!readable) {
    refuse(400, "this is no HTTP");
    return;
  }
  if (line != "HTTP/1.1" && line != "HTTP/1.0") {
    refuse(505, "HTTP/1.1, please");
    return;
  }
  while (!head.empty() && state_ != State::kRefused) {
    const std::string_view each = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(each.size() + 2, head.size()));
    read_header_line(each);
  }
}

void RequestReader::read_header_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_name(line.substr(0, colon)) || has_control(line)) {
    refuse(400, "a header line is not readable");
    return;
  }
  const std::string name = small_letters(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  const auto [entry, is_new] = request_.headers.try_emplace(name, value);
  // Of these two values there is no saying which counts.
  if (!is_new &&
      (name == "host" || name == "content-length" || name == "authorization" || name == "origin")) {
    refuse(400, "a header stands there twice");
    return;
  }
  if (!is_new) entry->second += ", " + std::string(value);
  if (name == "transfer-encoding") refuse(411, "no body, please; or one with a Content-Length");
  if (name != "content-length") return;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), body_bytes_);
  if (value.empty() || end != value.data() + value.size()) {
    refuse(400, "Content-Length is no number");
  } else if (error != std::errc() || body_bytes_ > kMostBodyBytes) {
    refuse(413, "no body, please");
  }
}

std::string to_bytes(const Reply& reply, std::string_view method) {
  std::string bytes = "HTTP/1.1 " + std::to_string(reply.status) + " " + reason_of(reply.status);
  const auto add = [&](std::string_view name, std::string_view value) {
    bytes.append("\r\n").append(name).append(": ").append(value);
  };
  add("Content-Type", reply.content_type);
  add("Content-Length", std::to_string(reply.body.size()));
  add("Connection", "Close");
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  add("Content-Security-Policy", kContentSecurityPolicy);
  for (const auto& [name, value] : reply.headers) add(name, value);
  bytes += kHeadEnd;
  if (method != "HEAD") bytes += reply.body;
  return bytes;
}

bool takes_gzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    std::string_view item = cut(accept_encoding, ',');
    const std::string coding = small_letters(trimmed(cut(item, ';')));
    if (coding != "gzip" && coding != "x-gzip" && coding != "*") continue;
    const std::string_view quality = trimmed(item);
    const bool wanted = !quality.starts_with("q=") ||
                        std::strtod(std::string(quality.substr(2)).c_str(), nullptr) > 0;
    if (coding != "*") return wanted;
    any = wanted;
  }
  return any;
}

void compress(Reply& reply, const AdminRequest& request) {
  if (reply.body.size() < kWorthCompressing) return;
  reply.headers.emplace_back("Vary", "Accept-Encoding");
  if (!takes_gzip(request.header("accept-encoding"))) return;
  const auto compressor = Compressor::make(Codec::kGzip, 1);
  std::string body;
  compressor->compress(reply.body, body);
  compressor->finish(body);
  reply.body = std::move(body);
  reply.headers.emplace_back("Content-Encoding", "gzip");
}

bool host_allowed(std::string_view host, const std::vector<std::string>& names) {
  if (host.empty()) return true;
  std::string name = small_letters(without_port(host));
  if (name.ends_with('.')) name.pop_back();
  if (is_address(name) || name == "localhost") return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& each) {
    const std::string allowed = small_letters(each);
    if (!allowed.starts_with("*.")) return name == allowed;
    const std::string_view ending = std::string_view(allowed).substr(1);
    return name.size() > ending.size() && name.ends_with(ending);
  });
}

}  // namespace millrace
