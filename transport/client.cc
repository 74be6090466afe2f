#include "transport/client.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ostream>
#include <utility>

#include "transport/call.h"
#include "transport/client_core.h"
#include "transport/common_settings.h"
#include "transport/format_header.h"
#include "transport/request_body.h"
#include "transport/request_text.h"
#include "transport/server_info.h"
#include "transport/statement.h"
#include "transport/type_name.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxErrorBodyBytes = 1u << 20;
constexpr std::chrono::milliseconds kPingTimeout{5'000};
constexpr std::chrono::milliseconds kAliveTimeout{3'000};
// A query that was given up, by closing its stream, say, holds its session until the server has
// noticed.
constexpr std::chrono::milliseconds kLeastSessionWait{1'000};
constexpr const char* kProgressInterval = "200";  // milliseconds
// Proxies take request lines of 8 KiB (nginx) or 16 KiB, ClickHouse of 128 KiB; settings, token and
// database stand there, too, and escaped a byte is three.
constexpr std::size_t kLongStatement = 1'024;
constexpr std::size_t kMaxQuerySize = 262'144;  // of the server, by default
// A result up to this size is made whole in the server's memory before its first byte leaves.
constexpr std::size_t kMaxBufferedBytes = 64u << 20;

Endpoint endpoint_of(const ClientOptions& options) {
  Endpoint endpoint;
  endpoint.host = options.host;
  endpoint.secure = options.secure;
  endpoint.port = options.port != 0 ? options.port : options.secure ? 8443 : 8123;
  if (!options.proxy_path.empty()) {
    endpoint.path =
        options.proxy_path.starts_with('/') ? options.proxy_path : "/" + options.proxy_path;
  }
  return endpoint;
}

// Of its own only when the options say how its connections differ.
std::shared_ptr<HttpSessionPool> pool_of(const ClientOptions& options) {
  const bool special = options.tls != TlsOptions{} || !options.http_proxy.empty() ||
                       !options.https_proxy.empty() || options.connect_timeout;
  if (options.pool_mgr) {
    if (special) {
      throw UsageError("tls, proxies and connect_timeout are the pool's when pool_mgr is given");
    }
    return options.pool_mgr;
  }
  if (!special) return default_pool();
  HttpSessionPoolOptions own = default_pool()->options();
  own.tls = options.tls;
  own.http_proxy = options.http_proxy;
  own.https_proxy = options.https_proxy;
  own.connect_timeout = options.connect_timeout.value_or(own.connect_timeout);
  if (own.connect_timeout.count() <= 0) throw UsageError("connect_timeout must be more than 0");
  return std::make_shared<HttpSessionPool>(own);
}

// Another's: it outlives us by the caller's word.
template <class T>
std::shared_ptr<T> borrowed(T& object) {
  return {std::shared_ptr<void>(), &object};
}

// Throws UsageError for what this user may not change.
bool should_send(const ServerInfo* info, const std::string& name, const std::string& value) {
  if (info == nullptr) return true;
  const auto action_name = std::get<std::string>(common::get_setting("invalid_setting_action"));
  const InvalidSettingAction action = action_name == "send"   ? InvalidSettingAction::kSend
                                      : action_name == "drop" ? InvalidSettingAction::kDrop
                                                              : InvalidSettingAction::kError;
  const SettingVerdict verdict = check_setting(info->settings, name, value, std::nullopt, action);
  if (verdict.kind == SettingVerdict::Kind::kRefuse) throw UsageError(verdict.text);
  return verdict.kind == SettingVerdict::Kind::kSend;
}

// What we would like to be set. Where nobody asked what is allowed, the server says.
void wish(CallRequest& request, const ServerInfo* info, const std::string& name,
          const std::string& value) {
  if (info != nullptr) {
    add_if_writable(*info, request.params, name, value);
  } else {
    request.params.try_emplace(name, value);
  }
}

void ask_for_progress(CallRequest& request, const ServerInfo* info,
                      std::function<void(const Progress&)> on_progress) {
  if (!on_progress) return;
  request.on_progress = std::move(on_progress);
  wish(request, info, "send_progress_in_http_headers", "1");
  wish(request, info, "http_headers_progress_interval_ms", kProgressInterval);
}

// An option that has two names.
template <class T>
const T& one_of(const char* name, const T& value, const char* other_name, const T& other) {
  if (!value.empty() && !other.empty()) {
    throw UsageError(std::string(name) + " and " + other_name + " are one thing: give one of them");
  }
  return value.empty() ? other : value;
}

CallRequest ping_request(const ClientOptions& options, std::chrono::milliseconds timeout) {
  CallRequest request;
  request.method = "GET";
  request.path = "ping";
  request.kind = CallRequest::Kind::kPing;
  request.repeatable = true;
  const bool shorter = options.request_timeout.count() != 0 && options.request_timeout < timeout;
  request.timeout = shorter ? options.request_timeout : timeout;
  return request;
}

// What is to stand in front of the body instead of in the URL: a long statement, in the body's
// coding, as a frame of its own. Empty: it is short, or the coding can't have frames one after the
// other.
std::string take_long_statement(CallRequest& request, Codec body) {
  const auto query = request.params.find("query");
  if (query == request.params.end() || query->second.size() <= kLongStatement) return {};
  if (body != Codec::kNone && (!can_code(body) || body == Codec::kDeflate)) return {};
  std::string statement = std::move(query->second) + "\n";
  request.params.erase(query);
  if (statement.size() > kMaxQuerySize / 2)
    request.params.try_emplace("max_query_size", std::to_string(2 * statement.size()));
  if (body == Codec::kNone) return statement;
  std::string coded;
  const auto compressor = Compressor::make(body);
  compressor->compress(statement, coded);
  compressor->finish(coded);
  return coded;
}

void trim_end(std::string& text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
}

bool is_pong(std::string answer) {
  trim_end(answer);
  return answer == "Ok.";
}

}  // namespace

Client::Client(ClientOptions options) {
  auto endpoints = std::make_shared<EndpointList>(std::vector<Endpoint>{endpoint_of(options)});
  auto pool = pool_of(options);
  const bool ask = options.connect.value_or(true);
  core_ = std::make_shared<ClientCore>(std::move(options), std::move(endpoints), std::move(pool));
  if (ask) connect();
}

Client::Client(ClientOptions options, EndpointList& endpoints, HttpSessionPool& pool)
    : core_(std::make_shared<ClientCore>(std::move(options), borrowed(endpoints), borrowed(pool))) {
}

Client::Client(std::shared_ptr<ClientCore> core) : core_(std::move(core)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

void Client::connect() { core_->set_server_info(ask_server(core_)); }

// Later wins: what we add, the client's settings, the call's.
template <class Options>
CallRequest Client::base_request(const Options& call) {
  const ClientOptions& options = core_->options();
  CallRequest request;
  if (call.use_database && !options.database.empty()) request.params["database"] = options.database;
  std::tie(request.session_id, request.own_session_id) =
      call.session_id.empty() ? core_->next_session_id() : std::pair(call.session_id, false);
  const auto info = core_->server_info();
  const Settings of_client = core_->settings();
  for (const Settings* settings : {&of_client, &call.settings}) {
    for (const auto& [name, value] : *settings) {
      check_setting_name(name);
      if (name == "query_id") {
        request.query_id = value;
      } else if (name == "session_id") {
        request.session_id = value;
        request.own_session_id = false;
      } else if (should_send(info.get(), name, value)) {
        request.params.insert_or_assign(name, value);
      }
    }
  }
  if (!request.session_id.empty()) {
    request.params["session_id"] = request.session_id;
    request.params.try_emplace("session_timeout", std::to_string(options.session_timeout.count()));
    request.session_wait = std::max(options.session_wait, kLeastSessionWait);
    request.session_lock = SessionLock::take(request.session_id, options.session_wait, call.stop);
  }
  if (!options.proof_header.empty() && request.params.contains("http_response_headers")) {
    throw UsageError("proof_header is asked for by the setting http_response_headers: give one");
  }
  for (const auto& [name, value] : call.headers) {
    wire::check_header_name(name);
    wire::check_header_value(name, value);
  }
  request.headers = call.headers;
  request.timeout = call.request_timeout.value_or(options.request_timeout);
  request.stop = call.stop;
  return request;
}

CallRequest Client::make_query(std::string_view sql, const QueryOptions& options) {
  CallRequest request = base_request(options);
  const bool reads = is_read(sql);
  request.repeatable = options.idempotent || reads;
  if (reads) request.kind = CallRequest::Kind::kQuery;
  if (request.repeatable) request.retries = core_->options().query_retries;
  const bool says_readonly = sql.find("readonly") != sql.npos;  // it may not be set twice
  const auto info = core_->server_info();
  if (info && reads && !says_readonly) {
    // So that dropping the connection ends the query. ClickHouse looks after its client only if the
    // query's own settings are read-only: what a SELECT is does not count (26.7).
    add_if_writable(*info, request.params, "cancel_http_readonly_queries_on_client_close", "1");
    add_if_writable(*info, request.params, "readonly", "2");
  }
  if (!options.query_id.empty()) request.query_id = options.query_id;
  ask_for_progress(request, info.get(), options.on_progress);
  const Codec accept = options.accept.value_or(core_->options().compress);
  if (accept != Codec::kNone) {
    if (!can_code(accept)) {
      throw UsageError("results cannot be decoded from " + std::string(content_coding(accept)) +
                       ": gzip, deflate, zstd and lz4 are");
    }
    request.headers.insert_or_assign("Accept-Encoding", std::string(content_coding(accept)));
    wish(request, info.get(), "enable_http_compression", "1");
  }

  const auto map_text = std::get<std::string>(common::get_setting("dict_parameter_format"));
  const auto bound = std::make_shared<BoundQuery>(
      bind_parameters(sql, options.parameters, map_text == "map" ? MapText::kMap : MapText::kJson));
  const std::string& format = one_of("fmt", options.fmt, "format", options.format);
  if (!bound->binary) bound->sql = with_format(bound->sql, format);
  put_statement(request, bound, options.external_data);
  return request;
}

// The statement is the body, or with external data or long parameters a part of a form.
void Client::put_statement(CallRequest& request, const std::shared_ptr<BoundQuery>& bound,
                           const std::optional<ExternalData>& external) {
  const auto parts = std::make_shared<const QueryRequest>(
      millrace::query_request(*bound, external ? &*external : nullptr,
                              core_->options().form_encode_query_params, random_uuid()));
  for (const auto& [name, value] : parts->url) request.params.insert_or_assign(name, value);
  if (const auto* form = std::get_if<Multipart>(&parts->body)) {
    request.headers.insert_or_assign("Content-Type", form->content_type);
    // Opened before the call has begun, while the caller's external data, into which the form
    // points, is still there.
    request.open_body = [bound, parts, form] { return multipart_body(*form); };
  } else {
    request.text = std::move(bound->sql);
  }
}

std::string Client::raw_query(std::string_view sql, const QueryOptions& options) {
  CallRequest request = make_query(sql, options);
  // In memory: what the server buffers on its disk is lost without a word when that is full. One
  // byte more than is taken here, so that a result that fills the buffer is too long, never cut.
  const std::size_t most = core_->options().max_response_bytes;
  request.params.try_emplace("wait_end_of_query", most <= kMaxBufferedBytes ? "1" : "0");
  if (!request.params.contains("http_response_buffer_size")) {
    request.params.try_emplace("buffer_size",
                               std::to_string(std::min(most, kMaxBufferedBytes) + 1));
  }
  const auto call = Call::begin(core_, std::move(request));
  std::string result = call->read_result();
  if (options.summary != nullptr) *options.summary = call->summary();
  return result;
}

RawStream Client::raw_stream(std::string_view sql, const QueryOptions& options) {
  CallRequest request = make_query(sql, options);
  request.streamed = true;
  request.params.try_emplace("wait_end_of_query", "0");  // whatever a profile says: see raw_query
  if (const auto info = core_->server_info()) {
    // So that an exception can be told from data.
    add_if_writable(*info, request.params, "http_write_exception_in_output_format", "0");
  }
  return RawStream(Call::begin(core_, std::move(request)));
}

CallRequest Client::make_insert(std::string_view table, const InsertOptions& options) {
  if (options.compression != Codec::kNone && options.compress_with != Codec::kNone) {
    throw UsageError(
        "compression says that the body is compressed already: compress_with does it again");
  }
  CallRequest request = base_request(options);
  if (!table.empty()) {
    std::string format = one_of("fmt", options.fmt, "format", options.format);
    if (format.empty()) format = "Native";
    wire::check_format(format);
    const auto& columns = one_of("column_names", options.column_names, "columns", options.columns);
    std::string sql = "INSERT INTO " + quote_table(table);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string& name = columns[i];
      sql += (i == 0 ? " (" : ", ") + (is_quoted_identifier(name) ? name : quote_identifier(name));
    }
    if (!columns.empty()) {
      sql += ")";
      const std::string guess = header_guess_setting(format);  // no header is expected
      if (!guess.empty()) wish(request, core_->server_info().get(), guess, "0");
    }
    request.params["query"] = sql + " FORMAT " + format;
    request.kind = CallRequest::Kind::kInsert;
  }
  if (!options.deduplication_token.empty()) {
    request.params["insert_deduplication_token"] = options.deduplication_token;
  }
  request.repeatable = request.params.contains("insert_deduplication_token");
  request.headers.try_emplace("Content-Type", "application/octet-stream");
  const Codec coding =
      options.compress_with != Codec::kNone ? options.compress_with : options.compression;
  if (coding != Codec::kNone) {
    request.headers.insert_or_assign("Content-Encoding", std::string(content_coding(coding)));
  }
  if (!options.query_id.empty()) request.query_id = options.query_id;
  ask_for_progress(request, core_->server_info().get(), options.on_progress);
  return request;
}

QuerySummary Client::raw_insert(std::string_view table, BodyPieces body,
                                const InsertOptions& options) {
  if (options.compress_with != Codec::kNone) {
    return raw_insert(table, InsertBody(PushSource([body](BodyWriter& out) {
                        for (const std::string_view piece : body) out.write(piece);
                      })),
                      options);
  }
  CallRequest request = make_insert(table, options);
  const std::string statement = take_long_statement(request, options.compression);
  std::vector<std::string_view> pieces;  // the body itself is not copied
  if (!statement.empty()) {
    pieces.reserve(body.size() + 1);
    pieces.push_back(statement);
    pieces.insert(pieces.end(), body.begin(), body.end());
    body = pieces;
  }
  request.body = body;
  const auto call = Call::begin(core_, std::move(request));
  (void)call->read_all(kMaxErrorBodyBytes);
  return call->summary();
}

QuerySummary Client::raw_insert(std::string_view table, InsertBody body,
                                const InsertOptions& options) {
  if (const auto bytes = body.in_memory(); bytes && options.compress_with == Codec::kNone) {
    return raw_insert(table, BodyPieces(&*bytes, 1), options);
  }
  CallRequest request = make_insert(table, options);
  request.streamed = true;
  request.can_open_again = body.can_open_again();
  const std::string statement = take_long_statement(request, options.compression);
  request.open_body = [&]() -> std::unique_ptr<RequestBody> {
    auto opened = body.open();
    if (opened && !statement.empty()) opened = prefixed_body(statement, std::move(opened));
    if (!opened || options.compress_with == Codec::kNone) return opened;
    return compressed_body(std::move(opened), options.compress_with, options.compression_level);
  };
  const auto call = Call::begin(core_, std::move(request));
  (void)call->read_all(kMaxErrorBodyBytes);
  return call->summary();
}

QuerySummary Client::insert_file(std::string_view table, const std::filesystem::path& file,
                                 InsertOptions options) {
  std::string format = one_of("fmt", options.fmt, "format", options.format);
  const bool names_given = !options.columns.empty() || !options.column_names.empty();
  if (format.empty()) format = names_given ? "CSV" : "CSVWithNames";
  // A file without header would lose its first row and leave defaults of the others.
  const std::string skip(kSkipUnknownFields);
  if (has_header(format) && !get_client_setting(skip)) options.settings.try_emplace(skip, "0");
  options.fmt.clear();
  options.format = std::move(format);
  if (options.compression == Codec::kNone && options.compress_with == Codec::kNone) {
    options.compression = codec_of_file(file.string()).value_or(Codec::kNone);
  }
  return raw_insert(table, InsertBody(file), options);
}

std::string Client::command(std::string_view sql, const QueryOptions& options) {
  std::string result = raw_query(sql, options);
  trim_end(result);
  return result;
}

void Client::ping() {
  const auto call = Call::begin(core_, ping_request(core_->options(), kPingTimeout));
  const std::string answer = call->read_all(kMaxErrorBodyBytes);
  if (!is_pong(answer)) {
    throw NetworkError(NetworkError::Kind::kProtocol,
                       call->summary().endpoint +
                           ": /ping was not answered with Ok.: " + wire::valid_utf8(answer, 100),
                       false);
  }
}

bool Client::is_alive() noexcept {
  try {
    const auto call = Call::begin(core_, ping_request(core_->options(), kAliveTimeout));
    return is_pong(call->read_all(kMaxErrorBodyBytes));
  } catch (const std::exception&) {
    return false;
  }
}

std::vector<ColumnDescription> Client::describe_table(std::string_view table) {
  const std::string text =
      raw_query("DESCRIBE TABLE " + quote_table(table),
                {.settings = {{"describe_compact_output", "0"}}, .format = "TabSeparated"});
  const auto fail = [&](const std::string& what) {
    throw NetworkError(NetworkError::Kind::kTruncated,
                       "DESCRIBE TABLE " + quote_table(table) + " was answered with " + what,
                       false);
  };
  // A table has a column, and each one a line.
  if (text.empty()) fail("nothing");
  if (!text.ends_with('\n')) fail("half a line");
  std::vector<ColumnDescription> columns;
  for (const std::string_view line :
       wire::split(std::string_view(text).substr(0, text.size() - 1), '\n')) {
    const auto fields = wire::split(line, '\t');
    if (fields.size() < 4) fail("a line that describes no column: " + wire::valid_utf8(line, 100));
    columns.push_back({wire::unescape_tsv(fields[0]), one_line(wire::unescape_tsv(fields[1])),
                       wire::unescape_tsv(fields[2]), wire::unescape_tsv(fields[3])});
  }
  return columns;
}

void Client::close_session(const std::string& id) {
  CallRequest request = make_query("SELECT 1", {.session_id = id});
  request.params["close_session"] = "1";
  (void)Call::begin(core_, std::move(request))->read_all(kMaxErrorBodyBytes);
}

std::string Client::session_id() const { return core_->session_id(); }

void Client::set_client_setting(std::string name, SettingText value) {
  core_->set_setting(std::move(name), std::move(value));
}

std::optional<std::string> Client::get_client_setting(std::string_view name) const {
  const Settings settings = core_->settings();
  const auto found = settings.find(name);
  if (found == settings.end()) return std::nullopt;
  return found->second;
}

void Client::set_access_token(std::string token) { core_->set_access_token(std::move(token)); }

std::string Client::server_version() {
  if (!core_->server_info()) connect();
  return core_->server_info()->version;
}

bool Client::min_version(std::string_view version) {
  const auto numbers = [](std::string_view text) {
    std::array<int, 4> parts{};
    std::size_t i = 0;
    for (const std::string_view part : wire::split(text, '.')) {
      if (i == parts.size()) break;
      std::from_chars(part.data(), part.data() + part.size(), parts[i++]);
    }
    return parts;
  };
  return numbers(server_version()) >= numbers(version);
}

void Client::close_connections() { core_->pool().close_connections(); }
const ClientOptions& Client::options() const noexcept { return core_->options(); }
const std::shared_ptr<HttpSessionPool>& Client::pool() const noexcept {
  return core_->shared_pool();
}

}  // namespace millrace
