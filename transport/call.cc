#include "transport/call.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include "transport/client_core.h"
#include "transport/common_settings.h"
#include "transport/http_session.h"
#include "transport/http_status.h"
#include "transport/request_text.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = NetworkError::Kind;

constexpr std::size_t kMaxErrorBodyBytes = 1u << 20;
// All the rows that the server still held, coded, may stand before the text of an error: it is
// looked for at the end.
constexpr std::uint64_t kMaxErrorAnswerBytes = 1u << 30;
constexpr std::chrono::milliseconds kRetryPause{100};  // times the number of the try
constexpr std::chrono::milliseconds kSessionPause{20};
constexpr int kSessionIsLocked = 373;
constexpr std::size_t kMaxLocation = 1'000;  // of an error's text

int parse_int(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Whether a request that ended with this error can have changed something. An insert of one block
// that the server refused for its rows, its table, or its user was not begun; a view fails when the
// table has the rows.
bool may_have_been_applied(int code, int http_status, Disposition disposition,
                           std::string_view text) {
  if (code == 0) return http_status >= 500;  // a proxy's: it may have passed the request on
  if (failed_in_view(text)) return true;
  if (disposition == Disposition::kDone) return true;
  return disposition == Disposition::kRetry && code != 202 && code != 745;
}

bool passes_by_itself(int http_status) {
  return http_status == 429 || http_status == 503 || http_status == 504;
}

// What X-ClickHouse-Progress and X-ClickHouse-Summary both say.
template <class Counts>
void read_counts(std::string_view json, Counts& to) {
  to.read_rows = wire::summary_value(json, "read_rows");
  to.read_bytes = wire::summary_value(json, "read_bytes");
  to.total_rows_to_read = wire::summary_value(json, "total_rows_to_read");
  to.written_rows = wire::summary_value(json, "written_rows");
  to.written_bytes = wire::summary_value(json, "written_bytes");
  to.elapsed_ns = wire::summary_value(json, "elapsed_ns");
  to.memory_usage = wire::summary_value(json, "memory_usage");
}

// The name that is looked for in the certificate is the host's, whatever address leads there.
std::string host_field(const Endpoint& endpoint, const HttpSessionPool& pool) {
  if (endpoint.secure) {
    if (std::string name = pool.options().tls.server_host_name; !name.empty()) return name;
  }
  return endpoint.authority();
}

std::size_t max_error_text_bytes() {
  const auto size = std::get<std::int64_t>(common::get_setting("max_error_size"));
  return size == 0 ? kMaxErrorBodyBytes : static_cast<std::size_t>(size);
}

}  // namespace

// A connection and what goes on over it.
struct Call::Attempt {
  Attempt(HttpSessionLease taken, ExchangeLimits limits, const std::stop_token& stop)
      : lease(std::move(taken)), exchange(lease->session(), limits) {
    // Ends before the lease does, so the session that it shuts down is still ours.
    on_stop.emplace(stop, [&session = lease->session()] { session.shut_down(); });
  }

  std::optional<HttpSessionLease> lease;
  HttpExchange exchange;
  std::optional<ResponseBody> body;
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

Call::Call(std::shared_ptr<ClientCore> core, CallRequest request)
    : core_(std::move(core)),
      request_(std::move(request)),
      text_(request_.text),
      deadline_(deadline_after(request_.timeout)),
      retries_left_(request_.retries) {}

Call::~Call() { close(); }

std::unique_ptr<Call> Call::begin(std::shared_ptr<ClientCore> core, CallRequest request) {
  std::unique_ptr<Call> call(new Call(std::move(core), std::move(request)));
  while (!call->try_once()) {
  }
  return call;
}

ErrorInfo Call::info(const ErrorInfo& of) const {
  ErrorInfo info = of;
  info.query_id = query_id_;
  info.attempts = attempts_;
  return info;
}

void Call::throw_if_stopped(const std::string& why) const {
  if (!core_->pool().aborted() && !request_.stop.stop_requested()) return;
  // The server may still be at work in it.
  if (request_.own_session_id) core_->replace_session_id(request_.session_id);
  throw AbortedError("aborted: " + endpoint_->to_string() + ": " + why, true, info());
}

bool Call::try_once() {
  ++attempts_;
  if (!fresh_) endpoint_ = &core_->endpoints().choose(Clock::now());
  // Of our own making: a new one for each attempt, or the server could refuse the second (216).
  query_id_ = request_.query_id;
  if (query_id_.empty() && core_->autogenerate_query_id()) query_id_ = random_uuid();
  const bool no_id = query_id_.empty() && !core_->proof_rules().header.empty();
  proof_ = no_id ? random_uuid() : query_id_;
  const auto started = Clock::now();
  attempt_ = open_attempt(fresh_);
  set_session(&attempt_->lease->session());
  summary_.acquire_time = Clock::now() - started;
  try {
    if (!send_and_receive()) return after_error_answer();
  } catch (const NetworkError& e) {
    return after_network_error(e);
  }
  core_->endpoints().report_success(*endpoint_);
  summarize();
  return true;
}

std::unique_ptr<Call::Attempt> Call::open_attempt(bool fresh) {
  const bool before = maybe_executed_;
  try {
    const ExchangeLimits limits{deadline_,
                                request_.streamed ? std::optional(request_.timeout) : std::nullopt};
    return std::make_unique<Attempt>(
        core_->pool().acquire(*endpoint_, limits.until(), fresh, request_.stop), limits,
        request_.stop);
  } catch (const NetworkError& e) {
    core_->endpoints().report_failure(*endpoint_, Clock::now());
    throw NetworkError(e.kind(), e.what(), e.may_have_been_applied() || before, info());
  } catch (const PoolTimeoutError& e) {
    if (!before) throw PoolTimeoutError(e.what(), info());
    throw NetworkError(Kind::kClosed, e.what(), true, info());
  } catch (const AbortedError& e) {
    throw AbortedError(e.what(), before, info());
  }
}

HttpRequest Call::http_request() const {
  HttpRequest http;
  http.method = request_.method;
  http.target = endpoint_->path;
  if (!request_.path.empty()) {
    if (!http.target.ends_with('/')) http.target += '/';
    http.target += request_.path;
  } else {
    UrlParameters params;
    if (!query_id_.empty()) params.emplace_back("query_id", query_id_);
    params.insert(params.end(), request_.params.begin(), request_.params.end());
    if (const std::string header(core_->proof_rules().header); !header.empty()) {
      params.emplace_back("http_response_headers", "{'" + header + "':'" + proof_ + "'}");
    }
    http.target += "?" + query_string(params);
  }
  Headers headers{{"Accept-Encoding", "identity"}};
  headers["User-Agent"] = core_->user_agent();
  headers["Host"] = host_field(*endpoint_, core_->pool());
  core_->add_credentials(headers);
  for (const Headers* more : {&core_->options().headers, &request_.headers}) {
    for (const auto& [name, value] : *more) headers.insert_or_assign(name, value);
  }
  http.headers.assign(headers.begin(), headers.end());
  http.body = request_.text.empty() ? request_.body : BodyPieces(&text_, 1);
  return http;
}

// False when the answer is an error.
bool Call::send_and_receive() {
  HttpRequest http = http_request();
  std::unique_ptr<RequestBody> streamed;
  if (request_.open_body) {
    streamed = request_.open_body();
    if (!streamed) throw UsageError("the body was read already and cannot be read again");
    http.streamed = streamed.get();
  }
  HttpExchange& exchange = attempt_->exchange;
  exchange.send(http);
  exchange.receive_head([this](std::string_view name, std::string_view value) {
    if (!request_.on_progress || name != "X-ClickHouse-Progress") return;
    read_counts(value, progress_);
    request_.on_progress(progress_);
  });
  const HttpResponseHead& head = exchange.head();
  if (const auto id = head.header("X-ClickHouse-Query-Id"); !id.empty()) query_id_ = id;
  attempt_->body.emplace(exchange);
  if (!head.is_success() || !head.header("X-ClickHouse-Exception-Code").empty()) return false;
  require_proof();
  result_check_.emplace(head, request_.kind == CallRequest::Kind::kQuery);
  return true;
}

// That the answer, a success by its head, is ClickHouse's.
void Call::require_proof() {
  if (request_.kind == CallRequest::Kind::kPing) return;  // by its text
  const HttpResponseHead& head = attempt_->exchange.head();
  const ProofRules rules = core_->proof_rules();
  const bool proven = is_proven(head, proof_, rules);
  const bool may_have_body = request_.kind != CallRequest::Kind::kInsert || !rules.trust_status;
  if (proven && may_have_body) return;
  std::string body;
  try {
    body = attempt_->body->next();
  } catch (const NetworkError&) {
    if (proven) throw;  // else the head says enough
  }
  if (proven && body.empty()) return;
  std::string text = not_clickhouse_text(endpoint_->to_string(), head, body, rules);
  if (!query_id_.empty()) text += " (query_id " + query_id_ + ")";
  const int status = head.status;
  close();
  if (request_.own_session_id) core_->replace_session_id(request_.session_id);
  core_->endpoints().report_failure(*endpoint_, Clock::now());
  ErrorInfo about{.name = "NOT_CLICKHOUSE", .http_status = status};
  throw NotClickHouseError(text, info(about));
}

// True: try again. All else is thrown.
bool Call::after_network_error(const NetworkError& e) {
  const bool reused = attempt_->lease->reused();
  const bool sent_all = attempt_->exchange.sent_all();
  set_session(nullptr);
  attempt_.reset();
  throw_if_stopped(e.what());
  if (e.kind() == Kind::kClosed && request_.can_open_again) {
    // A kept connection that was closed meanwhile. At most once: the next one is fresh.
    if (reused && !fresh_ && (request_.repeatable || !sent_all)) {
      fresh_ = true;
      maybe_executed_ = true;
      return false;
    }
    if (request_.repeatable && pause_before_retry()) return false;
  }
  fail_with(e);
  return false;
}

void Call::fail_with(const NetworkError& e) {
  if (request_.own_session_id) core_->replace_session_id(request_.session_id);
  core_->endpoints().report_failure(*endpoint_, Clock::now());
  throw NetworkError(e.kind(),
                     endpoint_->to_string() + ": " + e.what() + " (query_id " + query_id_ + ")",
                     e.may_have_been_applied(), info(e.info()));
}

// False when no try is left.
bool Call::pause_before_retry() {
  if (retries_left_ == 0) return false;
  const auto pause = kRetryPause * attempts_;
  if (Clock::now() + pause >= deadline_) return false;
  --retries_left_;
  fresh_ = false;
  // In slices, so that a stop is obeyed soon.
  for (auto left = pause; left.count() > 0; left -= std::chrono::milliseconds(10)) {
    throw_if_stopped("before another try");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

// For a query that was given up and still holds the ClickHouse session: nothing of this try was
// executed. False when the wait is over.
bool Call::pause_for_session() {
  const auto now = Clock::now();
  if (!session_until_) session_until_ = std::min(deadline_, now + request_.session_wait);
  if (now + kSessionPause > *session_until_) return false;
  throw_if_stopped("waiting for ClickHouse session " + request_.session_id);
  std::this_thread::sleep_for(kSessionPause);
  return true;
}

// Reads what the server says. False: try again. All else is thrown.
bool Call::after_error_answer() {
  std::string text;
  try {
    std::uint64_t read = 0;
    for (std::string_view piece = attempt_->body->next();
         !piece.empty() && read < kMaxErrorAnswerBytes; piece = attempt_->body->next()) {
      read += piece.size();
      text += piece;
      if (text.size() > 2 * kMaxErrorBodyBytes) text.erase(0, text.size() - kMaxErrorBodyBytes);
    }
  } catch (const NetworkError&) {
    // Half a text is better than none, and the status is known.
  }
  if (attempt_->body->exception()) text += *attempt_->body->exception();
  const HttpResponseHead head = attempt_->exchange.head();
  finish();
  if (request_.repeatable && passes_by_itself(head.status) && pause_before_retry()) return false;
  const int code = parse_int(head.header("X-ClickHouse-Exception-Code"));
  if (code == kSessionIsLocked && request_.can_open_again && pause_for_session()) return false;
  if (code == 516 && request_.can_open_again && !token_refreshed_) {
    token_refreshed_ = core_->refresh_access_token();
    if (token_refreshed_) return false;
  }
  throw_server_error(text);
}

// For an error answer, and for an exception behind half a result.
void Call::throw_server_error(std::string_view text) {
  const HttpResponseHead& head = attempt_->exchange.head();
  ClickHouseError::Details details;
  details.query_id = query_id_;
  details.attempts = attempts_;
  details.code = parse_int(head.header("X-ClickHouse-Exception-Code"));
  // In a compressed answer rows may stand before the text.
  if (const auto from = exception_text(text); !from.empty()) text = from;
  if (details.code == 0) details.code = exception_code(text);
  if (details.code == 0 && text.starts_with("Code: ")) details.code = parse_int(text.substr(6));
  details.name = wire::error_name_in(text);
  if (details.name.empty()) details.name = error_code_name(details.code);
  details.message = wire::valid_utf8(text, max_error_text_bytes());
  if (const auto to = head.header("Location"); details.code == 0 && !to.empty()) {
    details.message = "it redirects to " + wire::valid_utf8(to, 400) +
                      ", and redirects are not followed: name that address itself";
  }
  details.http_status = head.status;
  details.endpoint = endpoint_->to_string();
  if (const auto to = head.header("Location"); details.code == 0 && !to.empty())
    details.message = "redirects to " + wire::valid_utf8(to, kMaxLocation) + " " + details.message;
  const Disposition disposition = details.code == 0 ? disposition_of_status(details.http_status)
                                                    : disposition_of(details.code, text);
  details.disposition = disposition;
  details.may_have_been_applied =
      maybe_executed_ ||
      may_have_been_applied(details.code, details.http_status, disposition, text);

  const bool unanswered = details.code == 0 && details.http_status >= 500;
  // 372, 373: this ClickHouse session is gone, or an earlier request still holds it.
  if (request_.own_session_id &&
      (unanswered || details.code == 372 || details.code == kSessionIsLocked)) {
    core_->replace_session_id(request_.session_id);
  }
  // Another host may do better: overloaded, out of touch with Keeper, read-only, or full.
  if (disposition == Disposition::kRetry || details.code == 242 || details.code == 243) {
    core_->endpoints().report_failure(*endpoint_, Clock::now());
  } else {
    core_->endpoints().report_success(*endpoint_);
  }
  throw ClickHouseError(std::move(details));
}

std::string_view Call::next() {
  if (!attempt_->lease) return {};
  try {
    const std::string_view piece = attempt_->body->next();
    result_check_->received(piece);
    if (!piece.empty()) return piece;
  } catch (const NetworkError& e) {
    close();
    throw_if_stopped(e.what());
    fail_with(e);
  }
  finish();
  request_.session_lock.release();
  if (attempt_->body->exception()) throw_server_error(*attempt_->body->exception());
  if (const std::string missing = result_check_->missing(); !missing.empty()) {
    fail_with(NetworkError(Kind::kTruncated, missing, true));
  }
  return {};
}

// As many bytes as `max_bytes`, or nothing when there are more; then the connection is closed.
std::optional<std::string> Call::read_up_to(std::size_t max_bytes) {
  std::string all;
  for (std::string_view piece = next(); !piece.empty(); piece = next()) {
    if (all.size() + piece.size() > max_bytes) {
      close();
      return std::nullopt;
    }
    all += piece;
  }
  return all;
}

std::string Call::read_all(std::size_t max_bytes) {
  if (auto all = read_up_to(max_bytes)) return std::move(*all);
  fail_with(NetworkError(
      Kind::kProtocol, "response longer than the limit of " + std::to_string(max_bytes) + " bytes",
      true));
  return {};
}

std::string Call::read_result() {
  const std::size_t limit = core_->options().max_response_bytes;
  if (auto all = read_up_to(limit)) return std::move(*all);
  if (request_.own_session_id) core_->replace_session_id(request_.session_id);
  throw ResultTooLargeError(endpoint_->to_string() + ": the result is longer than " +
                                std::to_string(limit) +
                                " bytes (max_response_bytes): raise that, or read it with "
                                "raw_stream() (query_id " +
                                query_id_ + ")",
                            info());
}

// The end of the body was reached, somehow: gives the connection back if nothing can be left on it.
void Call::finish() {
  attempt_->on_stop.reset();
  const HttpResponseHead& head = attempt_->exchange.head();
  const bool late_error = head.is_success() && !head.header("X-ClickHouse-Exception-Code").empty();
  summary_.response_time = attempt_->exchange.time_since_sent();
  set_session(nullptr);
  HttpSessionLease lease = std::move(*attempt_->lease);
  attempt_->lease.reset();
  if (late_error || attempt_->body->exception() || !attempt_->exchange.body_done()) {
    std::move(lease).close(HttpSessionCloseReason::kFailed);
  } else if (attempt_->exchange.reusable()) {
    std::move(lease).keep();
  } else {
    std::move(lease).close(HttpSessionCloseReason::kServerAsked);
  }
}

void Call::close() noexcept {
  if (!attempt_ || !attempt_->lease) return;
  attempt_->on_stop.reset();
  set_session(nullptr);
  attempt_->lease.reset();  // not kept: closed
  request_.session_lock.release();
}

void Call::shut_down() noexcept {
  MutexLock lock(mutex_);
  if (session_ != nullptr) session_->shut_down();
}

void Call::set_session(HttpSession* session) {
  MutexLock lock(mutex_);
  session_ = session;
}

const HttpResponseHead& Call::head() const { return attempt_->exchange.head(); }

void Call::summarize() {
  const HttpExchange& exchange = attempt_->exchange;
  const std::string_view json = exchange.head().header("X-ClickHouse-Summary");
  summary_.query_id = query_id_;
  summary_.endpoint = endpoint_->to_string();
  summary_.has_counts = !json.empty();
  read_counts(json, summary_);
  summary_.result_rows = wire::summary_value(json, "result_rows");
  summary_.result_bytes = wire::summary_value(json, "result_bytes");
  summary_.send_time = exchange.send_time();
  summary_.response_time = exchange.time_since_sent();
  summary_.repeated = maybe_executed_;
}

}  // namespace millrace
