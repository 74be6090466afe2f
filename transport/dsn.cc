#include "transport/dsn.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "transport/error.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

[[noreturn]] void fail(const std::string& what) { throw UsageError("Bad DSN: " + what); }

std::string decoded(std::string_view text, std::string_view part) {
  std::string result;
  while (!text.empty()) {
    if (text.front() != '%') {
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::string_view hex = text.substr(1, 2);
    unsigned char byte = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), byte, 16);
    if (hex.size() != 2 || error != std::errc() || end != hex.data() + hex.size()) {
      fail("a % in the " + std::string(part) + " that is not followed by two hexadecimal digits");
    }
    result += static_cast<char>(byte);
    text.remove_prefix(3);
  }
  return result;
}

// What stands before the first of `stops`; takes it off `text`, which then begins with the stop.
std::string_view take_until(std::string_view& text, std::string_view stops) {
  const auto end = std::min(text.find_first_of(stops), text.size());
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end);
  return taken;
}

std::string take_scheme(std::string_view& text) {
  const auto end = text.find("://");
  if (end == std::string_view::npos) fail("it does not begin with scheme://");
  std::string scheme(text.substr(0, end));
  for (char& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 7> kSchemes = {
      "clickhouse", "clickhouses",     "clickhousedb",    "http",
      "https",      "clickhouse+http", "clickhouse+https"};
  if (std::find(kSchemes.begin(), kSchemes.end(), scheme) == kSchemes.end()) {
    // Whatever stands there is not a scheme, and may be user:password of a DSN that forgot it.
    fail(
        "its scheme is none of clickhouse, clickhouses, clickhousedb, http, https, "
        "clickhouse+http, clickhouse+https");
  }
  text.remove_prefix(end + 3);
  return scheme;
}

void parse_credentials(std::string_view text, Dsn& dsn) {
  const std::string_view user = take_until(text, ":");
  if (!user.empty()) dsn.user = decoded(user, "user");
  if (!text.empty()) dsn.password = decoded(text.substr(1), "password");
}

std::string take_host(std::string_view& text) {
  if (!text.starts_with('[')) {
    std::string host = decoded(take_until(text, ":"), "host");
    const bool odd = std::any_of(host.begin(), host.end(), [](char c) {
      return static_cast<unsigned char>(c) <= ' ' ||
             std::string_view("[]/?#@:\\\x7f").find(c) != std::string_view::npos;
    });
    if (odd) fail("a character in the host that no name of a host has");
    if (std::count(text.begin(), text.end(), ':') > 1) {
      fail("several colons in the host: an IPv6 address is written in brackets");
    }
    return host;
  }
  text.remove_prefix(1);
  std::string host = decoded(take_until(text, "]"), "host");
  if (text.empty()) fail("a [ before the host without its ]");
  text.remove_prefix(1);
  const bool address = std::count(host.begin(), host.end(), ':') >= 2 &&
                       host.find_first_not_of("0123456789abcdefABCDEF:.") >= host.find('%');
  if (!address) fail("what stands in brackets is not an IPv6 address");
  if (!text.empty() && text.front() != ':') fail("something other than a port behind the ]");
  return host;
}

void parse_host_and_port(std::string_view text, Dsn& dsn) {
  std::string host = take_host(text);
  if (!host.empty()) dsn.host = std::move(host);
  if (text.size() <= 1) return;  // "host:" has no port
  text.remove_prefix(1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    fail(
        "its port is not a number from 1 to 65535 (a '/', '?' or '#' in the user or password "
        "must be percent-encoded)");
  }
  dsn.port = port;
}

void parse_path(std::string_view text, Dsn& dsn) {
  const auto slash = text.rfind('/');
  if (slash == std::string_view::npos) return;
  const std::string_view database = text.substr(slash + 1);
  if (!database.empty()) dsn.database = decoded(database, "database");
  if (slash > 0) dsn.path = decoded(text.substr(0, slash), "path");
}

void parse_query(std::string_view text, Dsn& dsn) {
  for (const std::string_view item : wire::split(text, '&')) {
    if (item.empty()) continue;
    std::string plain(item);
    std::replace(plain.begin(), plain.end(), '+', ' ');
    std::string_view value = plain;
    const std::string key = decoded(take_until(value, "="), "name of an option");
    if (key.empty()) fail("an option without a name");
    if (value.empty()) fail("an option without a value");
    dsn.query.emplace_back(key, decoded(value.substr(1), "value of an option"));
  }
}

}  // namespace

Dsn parse_dsn(std::string_view text) {
  Dsn dsn;
  dsn.scheme = take_scheme(text);
  if (text.find('#') != std::string_view::npos) fail("a '#': write it %23");
  std::string_view authority = take_until(text, "/?");
  const std::string_view path = take_until(text, "?");
  const auto at = authority.rfind('@');
  if (at != std::string_view::npos) {
    parse_credentials(authority.substr(0, at), dsn);
    authority.remove_prefix(at + 1);
  } else if (path.find('@') != std::string_view::npos) {
    fail("an '@' behind the host: a '/' in the user or password is written %2F, an '@' %40");
  }
  parse_host_and_port(authority, dsn);
  parse_path(path, dsn);
  if (!text.empty()) parse_query(text.substr(1), dsn);
  return dsn;
}

}  // namespace millrace
