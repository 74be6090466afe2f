// What a client, its streams, its sessions and its asynchronous twin share. Internal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "transport/answer_proof.h"
#include "transport/clickhouse_session.h"
#include "transport/client_options.h"
#include "transport/mutex.h"
#include "transport/server_info.h"

namespace millrace {

// Thread-safe.
class ClientCore {
 public:
  // Throws UsageError for options that contradict each other or can't be sent.
  ClientCore(ClientOptions options, std::shared_ptr<EndpointList> endpoints,
             std::shared_ptr<HttpSessionPool> pool);

  const ClientOptions& options() const { return options_; }
  EndpointList& endpoints() { return *endpoints_; }
  HttpSessionPool& pool() { return *pool_; }
  const std::shared_ptr<HttpSessionPool>& shared_pool() const { return pool_; }

  Settings settings() const;
  void set_setting(std::string name, SettingText value);
  std::string session_id() const;  // the current one; empty for none
  // The ID for the next query, and whether it is of our making.
  std::pair<std::string, bool> next_session_id();
  void replace_session_id(const std::string& used);  // unless another call did already

  // Header fields that say who we are.
  void add_credentials(Headers& headers) const;
  void set_access_token(std::string token);
  bool refresh_access_token();  // false without a provider
  const std::string& user_agent() const { return user_agent_; }
  bool autogenerate_query_id() const { return autogenerate_query_id_; }
  ProofRules proof_rules() const { return {options_.proof_header, options_.trust_status}; }

  // Nothing until somebody asked the server.
  std::shared_ptr<const ServerInfo> server_info() const;
  void set_server_info(std::shared_ptr<const ServerInfo> info);

 private:
  std::string password() const;
  // In a forked child another one: the parent's is the parent's.
  ClickHouseSession& own_session() const REQUIRES(mutex_);

  const ClientOptions options_;
  const std::shared_ptr<EndpointList> endpoints_;
  const std::shared_ptr<HttpSessionPool> pool_;
  const std::string user_agent_;
  const bool autogenerate_query_id_;
  mutable Mutex mutex_;
  Settings settings_ GUARDED_BY(mutex_);
  mutable ClickHouseSession session_ GUARDED_BY(mutex_);
  mutable std::uint64_t session_epoch_ GUARDED_BY(mutex_);
  std::string access_token_ GUARDED_BY(mutex_);
  std::shared_ptr<const ServerInfo> info_ GUARDED_BY(mutex_);
};

}  // namespace millrace
