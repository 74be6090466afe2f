// One call of a client: a request, tried as often as its rules allow, and its answered response.
// Internal: Client, Session, AsyncClient and RawStream are made of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/answer_proof.h"
#include "transport/client_options.h"
#include "transport/error.h"
#include "transport/http_exchange.h"
#include "transport/http_session_pool.h"
#include "transport/mutex.h"
#include "transport/response_body.h"
#include "transport/session_lock.h"

namespace millrace {

class ClientCore;

struct CallRequest {
  std::string method = "POST";
  std::string path{};                                        // appended to the endpoint's, for ping
  std::map<std::string, std::string, std::less<>> params{};  // of the query string
  Headers headers{};
  std::string text{};  // the body: this,
  BodyPieces body{};   // or this memory of the caller's,
  // or what this opens for each try; nullptr when it can't be had again.
  std::function<std::unique_ptr<RequestBody>()> open_body{};
  bool can_open_again = true;
  // Sending it twice does no harm: a read, or an insert with a deduplication token.
  bool repeatable = false;
  enum class Kind { kOther, kQuery, kInsert, kPing } kind = Kind::kOther;
  // How often more after 429, 503, 504 or a connection that closed without an answer.
  unsigned retries = 0;
  std::string query_id{};  // empty: a random one for each attempt
  std::string session_id{};
  bool own_session_id = false;  // of our making: may be replaced
  // How long to try again while the server says that the ClickHouse session is busy.
  std::chrono::milliseconds session_wait{};
  SessionLock session_lock{};
  std::chrono::milliseconds timeout{};
  bool streamed = false;  // the time-out is that of each wait for progress
  std::function<void(const Progress&)> on_progress{};
  std::stop_token stop{};
};

// Owned by one thread at a time.
class Call {
 public:
  // Sends, and reads the head of the response. What is no success is thrown, its text read.
  static std::unique_ptr<Call> begin(std::shared_ptr<ClientCore> core, CallRequest request);
  ~Call();  // closes the connection, unless the body was read to its end
  Call(const Call&) = delete;

  // The next bytes of the decoded body, valid until the next call; empty at the proven end. Throws
  // ClickHouseError for an exception in the body, NetworkError, AbortedError.
  std::string_view next();
  // All of it. NetworkError (kProtocol) when it is longer.
  std::string read_all(std::size_t max_bytes);
  // The same, of a query: at most max_response_bytes, more is a ResultTooLargeError.
  std::string read_result();
  // Ends the call early. shut_down() only wakes who reads: any thread.
  void close() noexcept;
  void shut_down() noexcept;

  const HttpResponseHead& head() const;
  const QuerySummary& summary() const { return summary_; }

 private:
  struct Attempt;
  Call(std::shared_ptr<ClientCore> core, CallRequest request);
  // True when it was answered with success; false to try again.
  bool try_once();
  std::optional<std::string> read_up_to(std::size_t max_bytes);
  std::unique_ptr<Attempt> open_attempt(bool fresh);
  bool send_and_receive();
  bool after_network_error(const NetworkError& error);
  bool after_error_answer();
  [[noreturn]] void throw_server_error(std::string_view text);
  void fail_with(const NetworkError& error);
  void require_proof();
  void throw_if_stopped(const std::string& why) const;
  bool pause_before_retry();
  bool pause_for_session();
  void finish();
  void set_session(HttpSession* session);
  void summarize();
  HttpRequest http_request() const;
  ErrorInfo info(const ErrorInfo& of = {}) const;

  const std::shared_ptr<ClientCore> core_;
  CallRequest request_;
  const std::string_view text_;
  const SteadyTime deadline_;
  unsigned attempts_ = 0;
  unsigned retries_left_;
  bool fresh_ = false;           // this try follows one that found a kept connection closed
  bool maybe_executed_ = false;  // by an earlier try
  bool token_refreshed_ = false;
  std::optional<SteadyTime> session_until_;
  const Endpoint* endpoint_ = nullptr;
  std::string query_id_;
  std::string proof_;  // what the answer must carry
  std::unique_ptr<Attempt> attempt_;
  std::optional<ResultCheck> result_check_;
  Mutex mutex_;
  HttpSession* session_ GUARDED_BY(mutex_) = nullptr;  // for shut_down(), while it is ours
  Progress progress_;
  QuerySummary summary_;
};

}  // namespace millrace
