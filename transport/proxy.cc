#include "transport/proxy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "transport/error.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxAnswerBytes = 8192;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string percent_decode(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      result += static_cast<char>(byte);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto byte = i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u;
      group = group << 8 | byte;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      result += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return result;
}

// Does `host` end in `suffix` at the border of a label, or equal it?
bool is_within(std::string_view host, std::string_view suffix) {
  if (!host.ends_with(suffix)) return false;
  return host.size() == suffix.size() || host[host.size() - suffix.size() - 1] == '.';
}

[[noreturn]] void refuse_tunnel(const Proxy& proxy, const Endpoint& endpoint,
                                const std::string& why) {
  throw NetworkError(NetworkError::Kind::kConnect,
                     proxy.to_string() + " opens no tunnel to " + endpoint.authority() + ": " + why,
                     false);
}

// Moves bytes until `step` is content (true), or throws.
template <class Step>
void move_until(const Socket& socket, const StopGuard& guard, const Proxy& proxy,
                const Endpoint& endpoint, SteadyTime deadline, Step&& step) {
  for (;;) {
    const Transfer transfer = step();
    guard.check("asking " + proxy.to_string() + " for a tunnel");
    if (transfer.state == Transfer::State::kMoved) return;
    if (transfer.state == Transfer::State::kEnded) {
      refuse_tunnel(proxy, endpoint, "it closed the connection");
    }
    if (transfer.state == Transfer::State::kFailed) {
      refuse_tunnel(proxy, endpoint, std::generic_category().message(transfer.error));
    }
    const bool wants_read = transfer.state == Transfer::State::kWantsRead;
    if (poll_until(socket.fd(), wants_read ? POLLIN : POLLOUT, deadline) == 0) {
      refuse_tunnel(proxy, endpoint, "no answer in the time left");
    }
  }
}

// Of "HTTP/1.1 407 Proxy Authentication Required\r\n…"; without the version.
std::string status_of(std::string_view answer) {
  const std::string_view line = answer.substr(0, answer.find("\r\n"));
  const auto space = line.find(' ');
  if (!line.starts_with("HTTP/1.") || space == std::string_view::npos) return "no HTTP";
  return wire::valid_utf8(line.substr(space + 1), 200);
}

}  // namespace

std::string Proxy::to_string() const {
  return "proxy http://" + Endpoint{.host = host, .port = port}.authority();
}

std::string basic_authorization(std::string_view user, std::string_view password) {
  return "Basic " + base64(std::string(user) + ":" + std::string(password));
}

Proxy parse_proxy(std::string_view url) {
  const auto refuse = [](const std::string& why) {
    throw UsageError("proxy: " + why + "; expected [http://][user:password@]host[:port]");
  };
  std::string_view rest = url;
  if (const auto scheme_end = rest.find("://"); scheme_end != std::string_view::npos) {
    const std::string scheme = lower(rest.substr(0, scheme_end));
    if (scheme != "http") refuse("cannot speak '" + scheme + "' to a proxy");
    rest = rest.substr(scheme_end + 3);
  }
  Proxy proxy;
  rest = rest.substr(0, rest.find('/'));
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    const auto colon = std::min(user.find(':'), user.size());
    const std::string_view password =
        colon == user.size() ? std::string_view() : user.substr(colon + 1);
    proxy.authorization =
        basic_authorization(percent_decode(user.substr(0, colon)), percent_decode(password));
    rest = rest.substr(at + 1);
  }
  const auto port_at = rest.find(':', rest.starts_with('[') ? rest.find(']') : 0);
  const bool has_port = port_at != std::string_view::npos;
  try {
    const Endpoint parsed = parse_endpoint("http://" + std::string(rest) + (has_port ? "" : ":80"));
    proxy.host = parsed.host;
    proxy.port = parsed.port;
  } catch (const UsageError&) {
    refuse("bad host or port in '" + std::string(rest) + "'");
  }
  return proxy;
}

std::string process_environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

bool bypasses_proxy(const Endpoint& endpoint, std::string_view list) {
  const std::string host = lower(endpoint.host);
  for (const std::string_view item : wire::split(list, ',')) {
    std::string name = lower(trim(item));
    if (name == "*") return true;
    if (name.starts_with('.')) name.erase(0, 1);
    if (name.empty()) continue;
    const std::string port = ":" + std::to_string(endpoint.port);
    const bool bracketed = name.starts_with('[');
    if (name.ends_with(port) && (bracketed ? name[name.size() - port.size() - 1] == ']'
                                           : name.find(':') == name.size() - port.size())) {
      name.resize(name.size() - port.size());
    }
    if (bracketed && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    if (is_within(host, name)) return true;
  }
  return false;
}

std::optional<Proxy> proxy_from_environment(const Endpoint& endpoint,
                                            const Environment& environment) {
  const auto either = [&](const std::string& name) {
    std::string value = environment(name);
    return value.empty() ? std::pair(upper(name), environment(upper(name)))
                         : std::pair(name, std::move(value));
  };
  const auto [name, url] = either(endpoint.secure ? "https_proxy" : "http_proxy");
  if (url.empty() || bypasses_proxy(endpoint, either("no_proxy").second)) return std::nullopt;
  try {
    return parse_proxy(url);
  } catch (const UsageError& e) {
    throw UsageError("environment variable " + name + ": " + e.what());
  }
}

void open_tunnel(const Socket& socket, const Proxy& proxy, const Endpoint& endpoint,
                 SteadyTime deadline, const std::stop_token& stop) {
  const StopGuard guard(socket, stop);
  const auto move = [&](auto&& step) {
    move_until(socket, guard, proxy, endpoint, deadline, step);
  };
  const std::string target = endpoint.authority();
  std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!proxy.authorization.empty()) {
    request += "Proxy-Authorization: " + proxy.authorization + "\r\n";
  }
  request += "\r\n";
  for (std::string_view left = request; !left.empty();) {
    move([&] {
      const iovec piece{const_cast<char*>(left.data()), left.size()};
      const Transfer sent = send_plain(socket.fd(), {&piece, 1});
      left.remove_prefix(sent.bytes);
      return sent;
    });
  }
  std::string answer;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    std::array<char, kMaxAnswerBytes> buffer;
    move([&] {
      const Transfer got =
          receive_plain(socket.fd(), buffer.data(), kMaxAnswerBytes - answer.size());
      answer.append(buffer.data(), got.bytes);
      return got;
    });
    end = answer.find("\r\n\r\n");
    if (end == std::string::npos && answer.size() == kMaxAnswerBytes) {
      refuse_tunnel(proxy, endpoint, "its answer is too long");
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      refuse_tunnel(proxy, endpoint, "no answer in the time left");
    }
  }
  const std::string status = status_of(answer);
  if (!status.starts_with("2")) refuse_tunnel(proxy, endpoint, status);
  // Nobody speaks in a tunnel before we do.
  if (answer.size() != end + 4) refuse_tunnel(proxy, endpoint, "bytes after its answer");
}

}  // namespace millrace
