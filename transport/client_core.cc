#include "transport/client_core.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "transport/common_settings.h"
#include "transport/error.h"
#include "transport/fork_guard.h"
#include "transport/proxy.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

std::string ascii(std::string_view text) {
  std::string plain;
  for (const char c : text) plain += c >= ' ' && c <= '~' ? c : '?';
  return plain;
}

// "app product millrace/0.1.0 (lv:cpp/20; mode:sync; os:linux; os_user:me)"
std::string make_user_agent(const ClientOptions& options) {
  if (!options.user_agent.empty()) return options.user_agent;
  std::string agent;
  if (!options.client_name.empty()) agent += ascii(options.client_name) + " ";
  const auto product = std::get<std::string>(common::get_setting("product_name"));
  if (!product.empty()) agent += ascii(product) + " ";
  agent += "millrace/" MILLRACE_VERSION " (lv:cpp/20; mode:sync; os:linux";
  if (std::get<bool>(common::get_setting("send_os_user"))) {
    const char* user = std::getenv("USER");
    if (user != nullptr && *user != '\0') agent += "; os_user:" + ascii(user);
  }
  return agent + ")";
}

// Without a word of the caller's the process-wide common setting decides.
ClickHouseSessionPolicy session_policy(const ClientOptions& options) {
  if (!options.session_id.empty()) return ClickHouseSessionPolicy::kNone;
  const bool wanted = options.autogenerate_session_id.value_or(
      std::get<bool>(common::get_setting("autogenerate_session_id")));
  return wanted ? options.session_policy : ClickHouseSessionPolicy::kNone;
}

ClientOptions with_one_user(ClientOptions options) {
  if (!options.username.empty()) options.user = std::exchange(options.username, {});
  return options;
}

void check_credentials(const ClientOptions& options) {
  wire::check_header_value("user", options.user);
  wire::check_header_value("password", options.password);
  wire::check_header_value("access_token", options.access_token);
  const bool token = !options.access_token.empty() || options.token_provider;
  if (!options.access_token.empty() && options.token_provider) {
    throw UsageError("Only one of access_token and token_provider can be given");
  }
  const bool password = !options.password.empty() || options.password_provider;
  if (token && password) {
    throw UsageError("Cannot use both token authentication and username/password");
  }
  if (options.certificate_auth && (token || password)) {
    throw UsageError("certificate_auth stands for password and token: give none of them");
  }
  if (options.certificate_auth && options.user.empty()) {
    throw UsageError("certificate_auth needs the user that the certificate stands for");
  }
  if (options.basic_auth && options.user.find(':') != std::string::npos) {
    throw UsageError("a user name with a colon cannot travel by basic_auth");
  }
}

}  // namespace

ClientCore::ClientCore(ClientOptions options, std::shared_ptr<EndpointList> endpoints,
                       std::shared_ptr<HttpSessionPool> pool)
    : options_(with_one_user(std::move(options))),
      endpoints_(std::move(endpoints)),
      pool_(std::move(pool)),
      user_agent_(make_user_agent(options_)),
      autogenerate_query_id_(options_.autogenerate_query_id.value_or(
          std::get<bool>(common::get_setting("autogenerate_query_id")))),
      settings_(options_.settings),
      session_(session_policy(options_)),
      session_epoch_(fork_epoch()),
      access_token_(options_.access_token) {
  check_credentials(options_);
  wire::check_header_value("user_agent", user_agent_);
  if (!options_.proof_header.empty()) wire::check_header_name(options_.proof_header);
  for (const auto& [name, value] : options_.headers) {
    wire::check_header_name(name);
    wire::check_header_value(name, value);
  }
  for (const auto& [name, value] : options_.settings) check_setting_name(name);
}

Settings ClientCore::settings() const {
  BriefLock lock(mutex_);
  return settings_;
}

void ClientCore::set_setting(std::string name, SettingText value) {
  check_setting_name(name);
  BriefLock lock(mutex_);
  settings_.insert_or_assign(std::move(name), std::move(value));
}

ClickHouseSession& ClientCore::own_session() const {
  if (std::exchange(session_epoch_, fork_epoch()) != fork_epoch()) session_.replace();
  return session_;
}

std::string ClientCore::session_id() const {
  if (!options_.session_id.empty()) return options_.session_id;
  BriefLock lock(mutex_);
  return own_session().id();
}

std::pair<std::string, bool> ClientCore::next_session_id() {
  if (!options_.session_id.empty()) return {options_.session_id, false};
  BriefLock lock(mutex_);
  return {own_session().next_id(), true};
}

void ClientCore::replace_session_id(const std::string& used) {
  BriefLock lock(mutex_);
  if (session_.id() == used) session_.replace();
}

void ClientCore::add_credentials(Headers& headers) const {
  std::string token;
  {
    BriefLock lock(mutex_);
    token = access_token_;
  }
  if (token.empty() && options_.token_provider) token = options_.token_provider();
  if (!token.empty()) {
    wire::check_header_value("access token", token);
    headers["Authorization"] = "Bearer " + token;
  } else if (options_.certificate_auth) {
    headers["X-ClickHouse-User"] = options_.user;
    headers["X-ClickHouse-SSL-Certificate-Auth"] = "on";
  } else if (options_.basic_auth) {
    headers["Authorization"] = basic_authorization(options_.user, password());
  } else if (!options_.user.empty()) {
    headers["X-ClickHouse-User"] = options_.user;
    if (std::string secret = password(); !secret.empty())
      headers["X-ClickHouse-Key"] = std::move(secret);
  }
}

std::string ClientCore::password() const {
  if (!options_.password_provider) return options_.password;
  std::string password = options_.password_provider();
  wire::check_header_value("password", password);
  return password;
}

void ClientCore::set_access_token(std::string token) {
  if (!options_.password.empty() || options_.password_provider || options_.certificate_auth) {
    throw UsageError("Cannot set access token when a different auth type is used");
  }
  wire::check_header_value("access_token", token);
  BriefLock lock(mutex_);
  access_token_ = std::move(token);
}

bool ClientCore::refresh_access_token() {
  if (!options_.token_provider) return false;
  set_access_token(options_.token_provider());
  return true;
}

std::shared_ptr<const ServerInfo> ClientCore::server_info() const {
  BriefLock lock(mutex_);
  return info_;
}

void ClientCore::set_server_info(std::shared_ptr<const ServerInfo> info) {
  BriefLock lock(mutex_);
  info_ = std::move(info);
}

}  // namespace millrace
