#include "transport/endpoint.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "transport/error.h"
#include "transport/fork_guard.h"

namespace millrace {
namespace {

constexpr std::chrono::milliseconds kFirstPenalty{100};
constexpr std::chrono::milliseconds kMaxPenalty{10'000};

[[noreturn]] void refuse(std::string_view url, const std::string& why) {
  throw UsageError("endpoint '" + std::string(url) + "': " + why +
                   "; expected http[s]://host[:port][/path]");
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Cuts `scheme://` off `rest`; true for https.
bool take_scheme(std::string_view url, std::string_view& rest) {
  const auto end = url.find("://");
  if (end == std::string_view::npos) refuse(url, "no scheme");
  const std::string scheme = lower(url.substr(0, end));
  if (scheme != "http" && scheme != "https") refuse(url, "unknown scheme '" + scheme + "'");
  rest = url.substr(end + 3);
  return scheme == "https";
}

std::uint16_t parse_port(std::string_view url, std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
    refuse(url, "bad port '" + std::string(text) + "'");
  }
  return static_cast<std::uint16_t>(port);
}

bool is_host_char(char c, bool ipv6) {
  const auto u = static_cast<unsigned char>(c);
  return std::isalnum(u) || c == '.' || c == '-' || c == '_' || (ipv6 && (c == ':' || c == '%'));
}

// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
std::pair<std::string, std::optional<std::uint16_t>> parse_authority(std::string_view url,
                                                                     std::string_view text) {
  const bool ipv6 = text.starts_with('[');
  std::string_view host, tail;
  if (ipv6) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) refuse(url, "no closing ']'");
    host = text.substr(1, close - 1);
    tail = text.substr(close + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    host = text.substr(0, colon);
    tail = text.substr(colon);
  }
  if (host.empty()) refuse(url, "no host");
  if (!std::all_of(host.begin(), host.end(), [&](char c) { return is_host_char(c, ipv6); })) {
    refuse(url, "bad host '" + std::string(host) + "'");
  }
  if (tail.empty()) return {lower(host), std::nullopt};
  if (tail.front() != ':') refuse(url, "unexpected '" + std::string(tail) + "' after the host");
  return {lower(host), parse_port(url, tail.substr(1))};
}

}  // namespace

std::string Endpoint::authority() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Endpoint::to_string() const {
  return (secure ? "https://" : "http://") + authority() + path;
}

Endpoint parse_endpoint(std::string_view url) {
  for (const char c : url) {
    if (c <= ' ' || c == 0x7f) refuse(url, "a space or control character");
  }
  Endpoint endpoint;
  std::string_view rest;
  endpoint.secure = take_scheme(url, rest);
  if (rest.find_first_of("?#") != std::string_view::npos) {
    refuse(url, "a query or fragment does not belong here (use the settings)");
  }
  const auto slash = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) {
    throw UsageError(  // without the URL: it holds a password
        "endpoint: user and password do not belong into the URL; use the settings user and "
        "password");
  }
  const auto [host, port] = parse_authority(url, authority);
  endpoint.host = host;
  endpoint.port = port.value_or(endpoint.secure ? 8443 : 8123);
  if (slash < rest.size()) endpoint.path = std::string(rest.substr(slash));
  return endpoint;
}

std::size_t choose_endpoint(const std::vector<EndpointHealth>& health, std::size_t previous,
                            std::chrono::steady_clock::time_point now) {
  std::size_t soonest = (previous + 1) % health.size();
  for (std::size_t step = 1; step <= health.size(); ++step) {
    const std::size_t i = (previous + step) % health.size();
    if (health[i].avoid_until <= now) return i;
    if (health[i].avoid_until < health[soonest].avoid_until) soonest = i;
  }
  return soonest;
}

std::chrono::milliseconds endpoint_penalty(unsigned consecutive_failures) {
  if (consecutive_failures == 0) return std::chrono::milliseconds(0);
  const unsigned doublings = std::min(consecutive_failures - 1, 10u);
  return std::min(kFirstPenalty * (1 << doublings), kMaxPenalty);
}

EndpointList::EndpointList(std::vector<Endpoint> endpoints)
    : endpoints_(std::move(endpoints)),
      health_(endpoints_.size()),
      previous_(endpoints_.empty() ? 0 : endpoints_.size() - 1) {
  if (endpoints_.empty()) throw UsageError("at least one endpoint is needed");
}

const Endpoint& EndpointList::choose(std::chrono::steady_clock::time_point now) {
  BriefLock lock(mutex_);
  previous_ = choose_endpoint(health_, previous_, now);
  return endpoints_[previous_];
}

void EndpointList::report_success(const Endpoint& endpoint) {
  BriefLock lock(mutex_);
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (endpoints_[i] == endpoint) health_[i] = {};
  }
}

void EndpointList::report_failure(const Endpoint& endpoint,
                                  std::chrono::steady_clock::time_point now) {
  BriefLock lock(mutex_);
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (!(endpoints_[i] == endpoint)) continue;
    const unsigned failures = ++health_[i].consecutive_failures;
    health_[i].avoid_until = now + endpoint_penalty(failures);
  }
}

}  // namespace millrace
