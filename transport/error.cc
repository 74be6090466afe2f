#include "transport/error.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "transport/http_status.h"

namespace millrace {
namespace {

struct KnownCode {
  int code;
  Disposition disposition;
  std::string_view name;
};

// Sorted by code. What is not listed is retried.
constexpr auto kRetry = Disposition::kRetry;
constexpr auto kWait = Disposition::kWait;
constexpr auto kSplit = Disposition::kSplit;
constexpr KnownCode kKnownCodes[] = {
    {3, kRetry, "UNEXPECTED_END_OF_FILE"},
    {6, kSplit, "CANNOT_PARSE_TEXT"},
    {10, kWait, "NOT_FOUND_COLUMN_IN_BLOCK"},
    {16, kWait, "NO_SUCH_COLUMN_IN_TABLE"},
    {20, kWait, "NUMBER_OF_COLUMNS_DOESNT_MATCH"},
    {25, kSplit, "CANNOT_PARSE_ESCAPE_SEQUENCE"},
    {26, kSplit, "CANNOT_PARSE_QUOTED_STRING"},
    {27, kSplit, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"},
    {32, kRetry, "ATTEMPT_TO_READ_AFTER_EOF"},
    {33, kSplit, "CANNOT_READ_ALL_DATA"},
    {38, kSplit, "CANNOT_PARSE_DATE"},
    {41, kSplit, "CANNOT_PARSE_DATETIME"},
    {47, kWait, "UNKNOWN_IDENTIFIER"},
    {53, kSplit, "TYPE_MISMATCH"},
    {60, kWait, "UNKNOWN_TABLE"},
    {62, kWait, "SYNTAX_ERROR"},
    {69, kSplit, "ARGUMENT_OUT_OF_BOUND"},
    {70, kSplit, "CANNOT_CONVERT_TYPE"},
    {72, kSplit, "CANNOT_PARSE_NUMBER"},
    {73, kWait, "UNKNOWN_FORMAT"},
    {81, kWait, "UNKNOWN_DATABASE"},
    {115, kWait, "UNKNOWN_SETTING"},
    {117, kSplit, "INCORRECT_DATA"},
    {128, kSplit, "TOO_LARGE_ARRAY_SIZE"},
    {130, kSplit, "CANNOT_READ_ARRAY_FROM_TEXT"},
    {131, kSplit, "TOO_LARGE_STRING_SIZE"},
    {153, kSplit, "ILLEGAL_DIVISION"},
    {159, kRetry, "TIMEOUT_EXCEEDED"},
    {164, kWait, "READONLY"},
    {190, kSplit, "SIZES_OF_ARRAYS_DONT_MATCH"},
    {192, kWait, "UNKNOWN_USER"},
    {193, kWait, "WRONG_PASSWORD"},
    {194, kWait, "REQUIRED_PASSWORD"},
    {201, kRetry, "QUOTA_EXCEEDED"},
    {202, kRetry, "TOO_MANY_SIMULTANEOUS_QUERIES"},
    {203, kRetry, "NO_FREE_CONNECTION"},
    {209, kRetry, "SOCKET_TIMEOUT"},
    {210, kRetry, "NETWORK_ERROR"},
    {216, kRetry, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"},
    {225, kRetry, "NO_ZOOKEEPER"},
    {236, kRetry, "ABORTED"},
    {241, kRetry, "MEMORY_LIMIT_EXCEEDED"},
    {242, kWait, "TABLE_IS_READ_ONLY"},
    {243, kWait, "NOT_ENOUGH_SPACE"},
    {244, kRetry, "UNEXPECTED_ZOOKEEPER_ERROR"},
    {252, kRetry, "TOO_MANY_PARTS"},
    {254, kRetry, "NO_ACTIVE_REPLICAS"},
    {279, kRetry, "ALL_CONNECTION_TRIES_FAILED"},
    {285, kRetry, "TOO_FEW_LIVE_REPLICAS"},
    {286, kRetry, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"},
    {289, kRetry, "REPLICA_IS_NOT_IN_QUORUM"},
    {297, kRetry, "SHARD_HAS_NO_CONNECTIONS"},
    {319, kRetry, "UNKNOWN_STATUS_OF_INSERT"},
    {321, kSplit, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"},
    {349, kSplit, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"},
    {372, kRetry, "SESSION_NOT_FOUND"},
    {373, kRetry, "SESSION_IS_LOCKED"},
    {374, kWait, "INVALID_SESSION_TIMEOUT"},
    {376, kSplit, "CANNOT_PARSE_UUID"},
    {389, Disposition::kDone, "INSERT_WAS_DEDUPLICATED"},
    {394, kRetry, "QUERY_WAS_CANCELLED"},
    {395, kSplit, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"},
    {407, kSplit, "DECIMAL_OVERFLOW"},
    {425, kRetry, "SYSTEM_ERROR"},
    {441, kSplit, "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING"},
    {452, kWait, "SETTING_CONSTRAINT_VIOLATION"},
    {467, kSplit, "CANNOT_PARSE_BOOL"},
    {469, kSplit, "VIOLATED_CONSTRAINT"},
    {497, kWait, "ACCESS_DENIED"},
    {516, kWait, "AUTHENTICATION_FAILED"},
    {675, kSplit, "CANNOT_PARSE_IPV4"},
    {676, kSplit, "CANNOT_PARSE_IPV6"},
    {691, kSplit, "UNKNOWN_ELEMENT_OF_ENUM"},
    {745, kRetry, "SERVER_OVERLOADED"},
    {999, kRetry, "KEEPER_EXCEPTION"},
    {1000, kRetry, "POCO_EXCEPTION"},
    {1001, kRetry, "STD_EXCEPTION"},
    {1002, kRetry, "UNKNOWN_EXCEPTION"},
};
static_assert(std::is_sorted(std::begin(kKnownCodes), std::end(kKnownCodes),
                             [](const auto& a, const auto& b) { return a.code < b.code; }));

const KnownCode* find_code(int code) {
  const auto* found = std::lower_bound(std::begin(kKnownCodes), std::end(kKnownCodes), code,
                                       [](const KnownCode& k, int c) { return k.code < c; });
  return found != std::end(kKnownCodes) && found->code == code ? found : nullptr;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

void drop_suffix_from(std::string_view& text, std::string_view start) {
  const auto at = text.rfind(start);
  if (at != std::string_view::npos) text = text.substr(0, at);
}

// "Code: 60. DB::Exception: No such table. (UNKNOWN_TABLE) (version 26.7)" -> "No such table."
// On one line, for it goes into a log.
std::string essence(std::string_view message, const std::string& name) {
  constexpr std::string_view kException = "DB::Exception: ";
  if (message.starts_with("Code: ")) {
    const auto at = message.find(kException);
    if (at != std::string_view::npos) message.remove_prefix(at + kException.size());
  }
  drop_suffix_from(message, " (version ");
  if (!name.empty()) drop_suffix_from(message, " (" + name + ")");
  std::string line;
  for (const char c : message) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

std::string describe(const ClickHouseError::Details& d) {
  std::string text = "ClickHouse " + std::to_string(d.http_status) + " at " + d.endpoint + ": ";
  if (d.code != 0) {
    text += "code " + std::to_string(d.code);
    if (!d.name.empty()) text += " " + d.name;
    text += ": ";
  } else {
    text += "no ClickHouse error code (a proxy's answer?): ";
  }
  text += essence(d.message, d.name);
  if (!d.query_id.empty()) text += " (query_id " + d.query_id + ")";
  return text;
}

// Behind "Code: 117. DB::Exception: ", which a text may lack.
std::string_view exception_text_of(std::string_view message) {
  constexpr std::string_view kException = "DB::Exception: ";
  const auto at = message.find(kException);
  return at == std::string_view::npos ? message : message.substr(at + kException.size());
}

}  // namespace

std::string_view to_string(Disposition disposition) {
  switch (disposition) {
    case Disposition::kRetry:
      return "retry";
    case Disposition::kWait:
      return "wait";
    case Disposition::kSplit:
      return "split";
    case Disposition::kDeadLetter:
      return "dead_letter";
    case Disposition::kDone:
      return "done";
  }
  return "?";
}

Disposition disposition_of(int code, std::string_view message) {
  const KnownCode* known = find_code(code);
  Disposition found = known != nullptr ? known->disposition : kRetry;
  if (code == 252) {  // three different troubles under one code
    if (contains(message, "Too many partitions for single INSERT block")) found = kSplit;
    if (contains(message, "in all partitions in total")) found = kWait;  // merges won't clear it
  }
  // A field without a column is the table's fault, not the row's.
  if (code == 117 && exception_text_of(message).starts_with("Unknown field found")) found = kWait;
  // The table has the rows already, under the token of the whole: what is sent in parts would be
  // there twice.
  if (found == kSplit && failed_in_view(message)) found = kWait;
  return found;
}

bool failed_in_view(std::string_view message) {
  constexpr std::string_view kPhrase = ": while pushing to view ";
  const auto at = message.rfind(kPhrase);
  if (at == std::string_view::npos) return false;
  // The server says it last. Data in which it stands are quoted, or a row number follows.
  const std::string_view rest = message.substr(at + kPhrase.size());
  return !contains(rest, "'") && !contains(rest, "(at row ");
}

std::string_view error_code_name(int code) {
  const KnownCode* known = find_code(code);
  return known != nullptr ? known->name : std::string_view();
}

ClickHouseError::ClickHouseError(Details details)
    : TransportError(
          describe(details),
          details.disposition.value_or(details.code == 0
                                           ? disposition_of_status(details.http_status)
                                           : disposition_of(details.code, details.message)),
          details.may_have_been_applied,
          {details.code, details.name, details.query_id, details.http_status, details.attempts}),
      details_(std::move(details)) {}

std::string_view to_string(NetworkError::Kind kind) {
  switch (kind) {
    case NetworkError::Kind::kConnect:
      return "connect";
    case NetworkError::Kind::kTimeout:
      return "timeout";
    case NetworkError::Kind::kClosed:
      return "closed";
    case NetworkError::Kind::kTruncated:
      return "truncated";
    case NetworkError::Kind::kProtocol:
      return "protocol";
  }
  return "?";
}

}  // namespace millrace
