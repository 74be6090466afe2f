// What can go wrong between us and ClickHouse.
//
// One small family of exceptions. Each answers the two questions that a caller has: what to do
// (disposition) and whether the insert may have been applied all the same. Nothing of Poco leaves
// this folder: its exceptions end in http_exchange.cc and http_session_pool.cc.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

// What to do with a block that was not inserted.
enum class Disposition {
  kRetry,       // passes by itself: send the same rows and token again
  kWait,        // somebody must act (missing table, wrong password, full disk): hold, probe, resume
  kSplit,       // some rows of the block are at fault
  kDeadLetter,  // the row itself is at fault
  kDone,        // not a failure: the rows are there
};
std::string_view to_string(Disposition disposition);

// By ClickHouse's error code; `message` decides where one code has several meanings (252). Codes
// nobody listed are kRetry: nothing is given up for a reason we do not know.
// Names and numbers: ClickHouse src/Common/ErrorCodes.cpp.
Disposition disposition_of(int code, std::string_view message);

// Whether an insert failed in a materialized view: the table that it named has the rows then.
bool failed_in_view(std::string_view message);

// ClickHouse's name of a code for logs and labels ("UNKNOWN_TABLE"); empty if not in our table.
std::string_view error_code_name(int code);

// What is known of a failed request; empty where it is not.
struct ErrorInfo {
  int code = 0;        // ClickHouse's: X-ClickHouse-Exception-Code, else "Code: N." of the body
  std::string name{};  // of that code: "UNKNOWN_TABLE"
  std::string query_id{};
  int http_status = 0;
  unsigned attempts = 0;  // requests that were begun
};

// The base of all that this library throws. Immutable after construction.
//
//   Error
//     UsageError                 the caller's mistake; nothing was sent
//       SessionBusyError         a second query at a time in one ClickHouse session
//       StreamClosedError        a stream that was read to its end, closed or moved away
//     FileError                  a local file or stream could not be written
//     TransportError             the request failed; says what to do
//       ClickHouseError          ClickHouse (or a proxy) answered with an error
//       NotClickHouseError       an answer of status 200 that is not ClickHouse's
//       NetworkError             no answer, or half of one
//       PoolTimeoutError         no HTTP session became free in time
//       AbortedError             stopped by the caller
//       ResultTooLargeError      longer than raw_query() may hold in memory
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, ErrorInfo info = {})
      : std::runtime_error(what), info_(std::move(info)) {}
  const ErrorInfo& info() const noexcept { return info_; }
  int code() const noexcept { return info_.code; }
  const std::string& name() const noexcept { return info_.name; }
  const std::string& query_id() const noexcept { return info_.query_id; }
  int http_status() const noexcept { return info_.http_status; }
  unsigned attempts() const noexcept { return info_.attempts; }

 private:
  ErrorInfo info_;
};

class TransportError : public Error {
 public:
  TransportError(const std::string& what, Disposition disposition, bool may_have_been_applied,
                 ErrorInfo info = {})
      : Error(what, std::move(info)),
        disposition_(disposition),
        may_have_been_applied_(may_have_been_applied) {}
  Disposition disposition() const noexcept { return disposition_; }
  // True when the server may have executed the request although we saw no success: only the same
  // rows under the same deduplication token may follow.
  bool may_have_been_applied() const noexcept { return may_have_been_applied_; }

 private:
  Disposition disposition_;
  bool may_have_been_applied_;
};

// ClickHouse answered, and the answer is an error.
class ClickHouseError : public TransportError {
 public:
  struct Details {
    int code = 0;  // this and the next ones: as in ErrorInfo
    std::string name{};
    std::string message{};  // the server's text, valid UTF-8, cut (common setting max_error_size)
    std::string query_id{};
    int http_status = 0;
    std::string endpoint{};
    unsigned attempts = 0;
    bool may_have_been_applied = false;
    // By the whole of the server's text; nothing: by code and message.
    std::optional<Disposition> disposition{};
  };
  explicit ClickHouseError(Details details);
  const Details& details() const noexcept { return details_; }
  const std::string& message() const noexcept { return details_.message; }

 private:
  Details details_;
};

// Status 200 and no proof that ClickHouse said it: a page of a proxy, another server at the
// address. Somebody must act, or the page goes by itself: kWait. Nothing is known of the request.
class NotClickHouseError : public TransportError {
 public:
  NotClickHouseError(const std::string& what, ErrorInfo info)
      : TransportError(what, Disposition::kWait, true, std::move(info)) {}
};

// No answer, or half of one: refused, reset, timed out, truncated. Always kRetry.
class NetworkError : public TransportError {
 public:
  enum class Kind { kConnect, kTimeout, kClosed, kTruncated, kProtocol };
  NetworkError(Kind kind, const std::string& what, bool may_have_been_applied, ErrorInfo info = {})
      : TransportError(what, Disposition::kRetry, may_have_been_applied, std::move(info)),
        kind_(kind) {}
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};
std::string_view to_string(NetworkError::Kind kind);

// No HTTP session became free in time. Nothing was sent.
class PoolTimeoutError : public TransportError {
 public:
  explicit PoolTimeoutError(const std::string& what, ErrorInfo info = {})
      : TransportError(what, Disposition::kRetry, false, std::move(info)) {}
};

// The pool was aborted, or the call's stop token asked for an end, while (or before) the request
// was under way.
class AbortedError : public TransportError {
 public:
  AbortedError(const std::string& what, bool may_have_been_applied, ErrorInfo info = {})
      : TransportError(what, Disposition::kRetry, may_have_been_applied, std::move(info)) {}
};

// The answer is longer than max_response_bytes: the same call would end so again.
class ResultTooLargeError : public TransportError {
 public:
  explicit ResultTooLargeError(const std::string& what, ErrorInfo info = {})
      : TransportError(what, Disposition::kWait, true, std::move(info)) {}
};

// A local file or stream could not be written. The request, if there was one, was given up.
class FileError : public Error {
 public:
  using Error::Error;
};

// The caller's mistake, found before anything was sent (reserved setting, wrong parameter …).
class UsageError : public Error {
 public:
  using Error::Error;
};

class SessionBusyError : public UsageError {
 public:
  using UsageError::UsageError;
};

class StreamClosedError : public UsageError {
 public:
  using UsageError::UsageError;
};

}  // namespace millrace
