#include "transport/client_options.h"

#include <array>
#include <charconv>
#include <utility>

#include "transport/dsn.h"
#include "transport/error.h"

namespace millrace {
namespace {

bool to_bool(const std::string& name, const std::string& text) {
  if (text == "1" || text == "true" || text == "True") return true;
  if (text == "0" || text == "false" || text == "False") return false;
  throw UsageError("DSN: " + name + " must be true or false");
}

std::uint64_t to_number(const std::string& name, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > 1'000'000'000) {
    throw UsageError("DSN: " + name + " must be a number");
  }
  return number;
}

bool to_secure(const std::string& name, const std::string& text) {
  if (text == "http" || text == "https") return text == "https";
  throw UsageError("DSN: " + name + " must be http or https");
}

std::uint16_t to_port(const std::string& name, const std::string& text) {
  const std::uint64_t port = to_number(name, text);
  if (port == 0 || port > 65'535) throw UsageError("DSN: " + name + " must be from 1 to 65535");
  return static_cast<std::uint16_t>(port);
}

Codec to_codec(const std::string& name, const std::string& text) {
  if (text == "true" || text == "True" || text == "1") return Coding(true);
  if (text == "false" || text == "False" || text == "0") return Codec::kNone;
  const auto codec = text == "none" ? Codec::kNone : codec_of(text);
  if (!codec || (*codec != Codec::kNone && !can_code(*codec))) {
    throw UsageError("DSN: " + name + " must be true, false, gzip, deflate, zstd or lz4");
  }
  return *codec;
}

using Assign = void (*)(ClientOptions&, const std::string& name, const std::string& text);
struct Item {
  std::string_view name;
  Assign assign;
};

// What a query item of a DSN may set besides ClickHouse's settings.
constexpr Item kItems[] = {
    {"access_token", [](auto& o, auto&, auto& text) { o.access_token = text; }},
    {"autogenerate_query_id",
     [](auto& o, auto& name, auto& text) { o.autogenerate_query_id = to_bool(name, text); }},
    {"autogenerate_session_id",
     [](auto& o, auto& name, auto& text) { o.autogenerate_session_id = to_bool(name, text); }},
    {"basic_auth", [](auto& o, auto& name, auto& text) { o.basic_auth = to_bool(name, text); }},
    {"ca_cert", [](auto& o, auto&, auto& text) { o.tls.ca_cert = text; }},
    {"certificate_auth",
     [](auto& o, auto& name, auto& text) { o.certificate_auth = to_bool(name, text); }},
    {"client_cert", [](auto& o, auto&, auto& text) { o.tls.client_cert = text; }},
    {"client_cert_key", [](auto& o, auto&, auto& text) { o.tls.client_cert_key = text; }},
    {"client_name", [](auto& o, auto&, auto& text) { o.client_name = text; }},
    {"compress", [](auto& o, auto& name, auto& text) { o.compress = to_codec(name, text); }},
    {"compression", [](auto& o, auto& name, auto& text) { o.compress = to_codec(name, text); }},
    {"connect", [](auto& o, auto& name, auto& text) { o.connect = to_bool(name, text); }},
    {"connect_timeout",  // seconds
     [](auto& o, auto& name, auto& text) {
       o.connect_timeout = std::chrono::seconds(to_number(name, text));
     }},
    {"database", [](auto& o, auto&, auto& text) { o.database = text; }},
    {"form_encode_query_params",
     [](auto& o, auto& name, auto& text) { o.form_encode_query_params = to_bool(name, text); }},
    {"http_proxy", [](auto& o, auto&, auto& text) { o.http_proxy = text; }},
    {"https_proxy", [](auto& o, auto&, auto& text) { o.https_proxy = text; }},
    {"interface", [](auto& o, auto& name, auto& text) { o.secure = to_secure(name, text); }},
    {"password", [](auto& o, auto&, auto& text) { o.password = text; }},
    {"port", [](auto& o, auto& name, auto& text) { o.port = to_port(name, text); }},
    {"proof_header", [](auto& o, auto&, auto& text) { o.proof_header = text; }},
    {"proxy_path", [](auto& o, auto&, auto& text) { o.proxy_path = text; }},
    {"query_retries",
     [](auto& o, auto& name, auto& text) {
       o.query_retries = static_cast<unsigned>(to_number(name, text));
     }},
    {"request_timeout",  // seconds
     [](auto& o, auto& name, auto& text) {
       o.request_timeout = std::chrono::seconds(to_number(name, text));
     }},
    {"secure", [](auto& o, auto& name, auto& text) { o.secure = to_bool(name, text); }},
    {"send_receive_timeout",  // seconds
     [](auto& o, auto& name, auto& text) {
       o.request_timeout = std::chrono::seconds(to_number(name, text));
     }},
    {"server_host_name", [](auto& o, auto&, auto& text) { o.tls.server_host_name = text; }},
    {"session_id", [](auto& o, auto&, auto& text) { o.session_id = text; }},
    {"session_timeout",  // seconds
     [](auto& o, auto& name, auto& text) {
       o.session_timeout = std::chrono::seconds(to_number(name, text));
     }},
    {"trust_status", [](auto& o, auto& name, auto& text) { o.trust_status = to_bool(name, text); }},
    {"user", [](auto& o, auto&, auto& text) { o.user = text; }},
    {"user_agent", [](auto& o, auto&, auto& text) { o.user_agent = text; }},
    {"user_name", [](auto& o, auto&, auto& text) { o.user = text; }},
    {"username", [](auto& o, auto&, auto& text) { o.user = text; }},
    {"verify", [](auto& o, auto& name, auto& text) { o.tls.verify = to_bool(name, text); }},
};

void take_item(ClientOptions& options, const std::string& name, const std::string& text) {
  for (const Item& item : kItems) {
    if (item.name == name) return item.assign(options, name, text);
  }
  options.settings.insert_or_assign(name, text);
}

}  // namespace

ClientOptions ClientOptions::from_dsn(std::string_view dsn) {
  ClientOptions options;
  options.take_dsn(dsn);
  return options;
}

void ClientOptions::take_dsn(std::string_view dsn) {
  const Dsn parsed = parse_dsn(dsn);
  const ClientOptions defaults;
  secure = parsed.secure() || (!parsed.scheme && (parsed.port == 443 || parsed.port == 8443));
  host = parsed.host.value_or(defaults.host);
  port = parsed.port.value_or(defaults.port);
  proxy_path = parsed.path.value_or(defaults.proxy_path);
  if (parsed.user) user = *parsed.user;
  if (parsed.password) password = *parsed.password;
  if (parsed.database) database = *parsed.database;
  for (const auto& [name, text] : parsed.query) take_item(*this, name, text);
}

}  // namespace millrace
