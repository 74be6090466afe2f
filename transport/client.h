// A ClickHouse client over HTTP.
//
// ```cpp
// Client client({.host = "127.0.0.1"});
// std::string csv = client.raw_query("SELECT {a:UInt8}",
//                                    {.parameters = {{"a", 13}}, .format = "CSV"});
// client.raw_stream("SELECT 1 AS x", {.format = "CSVWithNames"}).save_as("x.csv");
// client.raw_insert("t1", R"({"x": 1})", {.format = "JSONEachRow"});
// ```
//
// Thread-safe: any number of threads may call. But ClickHouse runs one query at a time in each
// ClickHouse session, and a client has a session of its own by default (`session_policy`): a second
// call at a time gets SessionBusyError. So either a client for each thread, or kPerQuery, or kNone.
//
// What clients share is thread-safe too: the pool of HTTP sessions and the list of endpoints.
//
// What is tried again: a kept connection that turns out to be closed before a single response byte
// arrived is replaced by a fresh one, once, if the body can be sent again and either was not
// sent whole or may be sent twice (a read, or an insert with a deduplication token). Reads are
// tried again `query_retries` times. Every other failure is the caller's to decide; see error.h.
#pragma once

#include <chrono>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/client_options.h"
#include "transport/error.h"
#include "transport/insert_body.h"
#include "transport/raw_stream.h"

namespace millrace {

class ClientCore;
class Session;
struct CallRequest;

struct ColumnDescription {
  std::string name, type, default_kind, default_expression;
};

class Client {
 public:
  // All of the connection is in the options. Asks the server for its version and settings, unless
  // `connect` is false. Throws UsageError for options that contradict each other, and what a query
  // throws.
  Client() : Client(ClientOptions()) {}
  explicit Client(ClientOptions options);
  // On endpoints and a pool of the caller's, which must outlive the client; asks nothing.
  Client(ClientOptions options, EndpointList& endpoints, HttpSessionPool& pool);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  // Open streams stay good.
  ~Client();

  // All of these throw ClickHouseError, NotClickHouseError, NetworkError, PoolTimeoutError,
  // AbortedError, and UsageError before anything is sent. The text of each names endpoint, code and
  // query ID. Success means: status 2xx, no X-ClickHouse-Exception-Code, our X-ClickHouse-Query-Id
  // or a summary, body read to its framed end and no shorter than the summary says.

  // The whole result, in memory. The server answers when it knows how the query ended, so an error
  // has its real status.
  std::string raw_query(std::string_view sql, const QueryOptions& options = {});
  // The result while it is made; see raw_stream.h.
  RawStream raw_stream(std::string_view sql, const QueryOptions& options = {});
  // `table` is `name` or `database.name`, unquoted; it is quoted here. Empty: the body holds the
  // whole statement.
  QuerySummary raw_insert(std::string_view table, InsertBody body,
                          const InsertOptions& options = {});
  QuerySummary raw_insert(std::string_view table, BodyPieces body,
                          const InsertOptions& options = {});
  // Format by default CSVWithNames, or CSV with columns; a coding by the file's extension. A header
  // with a name that no column has is refused, unless input_format_skip_unknown_fields is given.
  QuerySummary insert_file(std::string_view table, const std::filesystem::path& file,
                           InsertOptions options = {});
  // A statement without a result worth having (DDL, SYSTEM …); returns the body, trimmed.
  std::string command(std::string_view sql, const QueryOptions& options = {});
  void ping();               // GET /ping; throws when the server does not answer "Ok."
  bool is_alive() noexcept;  // the same, as an answer, within 3 s
  std::vector<ColumnDescription> describe_table(std::string_view table);

  // A ClickHouse session with an ID of its own, or the given one, for temporary tables and SET.
  Session new_session(std::string id = {}, std::optional<std::chrono::seconds> timeout = {});
  // The client's current ClickHouse session ID; empty for none.
  std::string session_id() const;

  // Settings that go with every request from now on.
  void set_client_setting(std::string name, SettingText value);
  std::optional<std::string> get_client_setting(std::string_view name) const;
  void set_access_token(std::string token);

  // Asks the server if nobody did yet.
  std::string server_version();
  bool min_version(std::string_view version);  // "25.8": by up to four numbers

  // Closes the pool's idle connections, those of other clients on it too; busy ones end after
  // their request.
  void close_connections();
  const ClientOptions& options() const noexcept;
  const std::shared_ptr<HttpSessionPool>& pool() const noexcept;

 private:
  friend class Session;
  explicit Client(std::shared_ptr<ClientCore> core);
  template <class Options>
  CallRequest base_request(const Options& options);
  CallRequest make_query(std::string_view sql, const QueryOptions& options);
  void put_statement(CallRequest& request, const std::shared_ptr<BoundQuery>& bound,
                     const std::optional<ExternalData>& external);
  CallRequest make_insert(std::string_view table, const InsertOptions& options);
  void close_session(const std::string& id);
  void connect();

  std::shared_ptr<ClientCore> core_;
};

// A ClickHouse session: temporary tables, SET, and so on live in it, on one server. One query at a
// time, a stream included until it was read to its end; a second one gets SessionBusyError.
class Session {
 public:
  const std::string& id() const noexcept { return id_; }
  std::string raw_query(std::string_view sql, QueryOptions options = {});
  RawStream raw_stream(std::string_view sql, QueryOptions options = {});
  QuerySummary raw_insert(std::string_view table, InsertBody body, InsertOptions options = {});
  QuerySummary insert_file(std::string_view table, const std::filesystem::path& file,
                           InsertOptions options = {});
  std::string command(std::string_view sql, QueryOptions options = {});
  bool check();  // whether the server still has it: not after session_timeout without a query
  void close() noexcept;  // on the server, too

 private:
  friend class Client;
  Session(Client client, std::string id, std::chrono::seconds timeout);
  template <class Options>
  Options in_session(Options options) const;

  Client client_;
  std::string id_;
  std::chrono::seconds timeout_;
};

// `name` in backticks, with what is inside escaped. quote_table splits at the first unquoted dot.
std::string quote_identifier(std::string_view name);
std::string quote_table(std::string_view table);

}  // namespace millrace
