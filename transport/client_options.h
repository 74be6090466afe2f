// How a client connects, and what may be said with each call. Values: copy them as you like.
//
// The names, and the order of the first ones, are ClickHouse Connect's where it has one
// (https://clickhouse.com/docs/integrations/language-clients/python/driver-api).
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/clickhouse_session.h"
#include "transport/compression.h"
#include "transport/endpoint.h"
#include "transport/external_data.h"
#include "transport/headers.h"
#include "transport/http_session_pool.h"
#include "transport/parameters.h"
#include "transport/tls_options.h"
#include "transport/value.h"

namespace millrace {

// The text of a setting, from whatever it is given as: text, a number, a bool (1 or 0), an Array or
// a Map (as ClickHouse writes them).
class SettingText : public std::string {
 public:
  SettingText() = default;
  SettingText(std::string text) : std::string(std::move(text)) {}
  SettingText(std::string_view text) : std::string(text) {}
  SettingText(const char* text) : std::string(text) {}
  template <class T>
  requires(!std::convertible_to<const T&, std::string_view> && std::convertible_to<const T&, Value>)
      SettingText(const T& value)
      : std::string(Value(value).as_setting_text()) {}
};

// ClickHouse settings by name: {{"max_threads", 2}, {"join_use_nulls", true}}.
using Settings = std::map<std::string, SettingText, std::less<>>;

// Progress of a running query, as the server reports it (X-ClickHouse-Progress); later values
// replace earlier ones. Zero where the server does not say.
struct Progress {
  std::uint64_t read_rows = 0, read_bytes = 0, total_rows_to_read = 0;
  std::uint64_t written_rows = 0, written_bytes = 0;
  std::uint64_t elapsed_ns = 0, memory_usage = 0;
};

struct ClientOptions {
  // Where. Not looked at by the constructor that is given its endpoints and pool.
  std::string host = "localhost";
  std::uint16_t port = 0;  // 0: 8123, or 8443 with TLS

  // Who. At most one of password (or its provider), access_token, token_provider, and a client
  // certificate that stands for the user (certificate_auth).
  std::string username{};  // the same as user, and before it
  std::string user = "default";
  std::string password{};
  std::string database = "default";
  bool secure = false;       // TLS; also for ports 443 and 8443 of a DSN without a scheme
  std::string proxy_path{};  // what a proxy in front of ClickHouse wants before the query string

  // Wins over `password`: called by any thread, for each request, so that it may change.
  std::function<std::string()> password_provider{};
  std::string access_token{};
  std::function<std::string()> token_provider{};  // called by any thread; asked again after a 516
  bool certificate_auth = false;  // X-ClickHouse-SSL-Certificate-Auth: the certificate is the login
  bool basic_auth = false;        // `Authorization: Basic` instead of X-ClickHouse-User and -Key

  Settings settings{};  // go with every request
  Headers headers{};    // go with every request, over ours

  // Whether a call that brings no query_id gets a random one, a new one for each try; else the
  // server makes it. None: the common setting.
  std::optional<bool> autogenerate_query_id{};

  // How an answer is known to be ClickHouse's. By default it must carry the query's ID
  // (X-ClickHouse-Query-Id) or a summary; else NotClickHouseError. For a proxy that takes such
  // header fields away: the name of one that it lets through ("ETag"). ClickHouse (24.12 or later)
  // is then asked to answer with the query's ID in that one, by its setting http_response_headers.
  std::string proof_header{};
  // Where no field gets through: every 2xx is believed that is no HTML page and, to an insert, has
  // no body. Something else that answers an insert with an empty 200 is then taken for ClickHouse,
  // and the rows are lost.
  bool trust_status = false;

  // ClickHouse sessions.
  ClickHouseSessionPolicy session_policy = ClickHouseSessionPolicy::kPerClient;
  std::optional<bool> autogenerate_session_id{};  // none: common setting; false: no session
  std::string session_id{};                       // a fixed one
  std::chrono::seconds session_timeout{60};
  // How long a call waits for another one in its ClickHouse session; 0: SessionBusyError at once. A
  // session that only the server says is busy (373) is waited for at least a second: it may be held
  // by a query that was given up.
  std::chrono::milliseconds session_wait{0};

  // Deadline of a request from its first byte to the last one of its answer; 0: none. For bodies
  // and results that are streamed: of each wait for progress.
  std::chrono::milliseconds request_timeout{300'000};
  // How often a read (SELECT, SHOW …) is tried again after 429, 503, 504, or a connection that
  // closed without an answer. What may change something is never tried again by itself.
  unsigned query_retries = 0;
  // A longer result of raw_query() is an error: it is held in memory as a whole.
  std::size_t max_response_bytes = 64u << 20;
  bool form_encode_query_params = false;  // parameters always in the body, not only when long
  Coding compress{};                      // asked for results, if the call does not say

  std::string user_agent{};   // empty: millrace's, with version and system
  std::string client_name{};  // in front of the user agent

  // HTTP sessions: a pool to share, else the process' default pool, else (with `tls`, a proxy or a
  // connect_timeout of its own) one that belongs to this client.
  std::shared_ptr<HttpSessionPool> pool_mgr{};
  TlsOptions tls{};
  std::string http_proxy{}, https_proxy{};
  std::optional<std::chrono::milliseconds> connect_timeout{};  // none: the default pool's

  // Ask the server for its version and settings when the client is made: errors come early, and
  // settings are checked before they are sent. The answer is shared by clients of one endpoint.
  // By default yes, but not for a client on endpoints and a pool of the caller's.
  std::optional<bool> connect{};
  std::stop_token connect_stop{};  // ends the asking, with AbortedError

  // clickhouse://user:password@host:port/database?setting=value, percent-decoded. Also http, https,
  // clickhouses (TLS). Query items: the options above by name (secure, compress, query_retries …),
  // under ClickHouse Connect's names, too (send_receive_timeout, interface …), else ClickHouse
  // settings. Throws UsageError, which never shows the password.
  static ClientOptions from_dsn(std::string_view dsn);
  // The same, over what is here: the address as a whole, of the rest what the DSN says.
  void take_dsn(std::string_view dsn);
};

// What the server says of a query it ran (X-ClickHouse-Summary), and where the time went.
struct QuerySummary {
  std::string query_id;
  std::string endpoint;
  std::uint64_t read_rows = 0, read_bytes = 0, written_rows = 0, written_bytes = 0;
  std::uint64_t total_rows_to_read = 0, result_rows = 0, result_bytes = 0, memory_usage = 0;
  std::uint64_t elapsed_ns = 0;              // by the server
  std::chrono::nanoseconds acquire_time{};   // waiting for an HTTP session
  std::chrono::nanoseconds send_time{};      // header and body into the socket
  std::chrono::nanoseconds response_time{};  // last byte sent to response read
  bool has_counts = false;                   // the server sent a summary: zeros above are zeros
  // The first try met a connection that closed without an answer; this is the second one's.
  bool repeated = false;
};

// The first fields of both stand in the order of ClickHouse Connect's arguments.
struct QueryOptions {
  Parameters parameters{};  // {name:Type} in the statement
  Settings settings{};
  std::string fmt{}, format{};  // one thing under two names: appended as "\n FORMAT x"
  bool use_database = true;
  std::string query_id{};  // empty: a random one for each attempt
  std::optional<ExternalData> external_data{};
  Headers headers{};               // extra HTTP headers (ClickHouse Connect: transport_settings)
  std::optional<Coding> accept{};  // how the result travels; it is decoded here
  std::string session_id{};        // instead of the client's
  // Called by the calling thread while the server works, as often as the server reports.
  std::function<void(const Progress&)> on_progress{};
  // The statement may be run twice without harm: it is tried again as a read is.
  bool idempotent = false;
  QuerySummary* summary = nullptr;  // filled in by raw_query() and command()
  std::optional<std::chrono::milliseconds> request_timeout{};  // instead of the client's
  std::stop_token stop{};  // ends the call, with AbortedError; the server cancels the query
};

struct InsertOptions {
  // One thing under two names. Empty: no column list. Quoted where they are not yet: `a b` in
  // backticks or double quotes. With names, no header is expected: every line of CSV, TSV or
  // CustomSeparated is a row, even one that equals the names.
  std::vector<std::string> column_names{}, columns{};
  Settings settings{};
  std::string fmt{}, format{};        // one thing; empty: Native; of insert_file(), see there
  std::string deduplication_token{};  // empty: none
  std::string query_id{};             // empty: a random one
  Coding compression{};               // the coding that the body already has
  Coding compress_with{};             // the coding to apply while sending
  std::optional<int> compression_level{};
  bool use_database = true;
  Headers headers{};
  std::string session_id{};
  std::function<void(const Progress&)> on_progress{};
  std::optional<std::chrono::milliseconds> request_timeout{};  // instead of the client's
  std::stop_token stop{};
};

}  // namespace millrace
