#include "pipeline/failure.h"

#include "transport/error.h"

namespace millrace {

LaneWait describe_failure(const std::exception& error) {
  LaneWait failure;
  failure.message = error.what();
  failure.reason = "internal_error";
  const auto* transport = dynamic_cast<const TransportError*>(&error);
  if (transport == nullptr) return failure;

  failure.disposition = transport->disposition();
  failure.code = transport->code();
  failure.reason = transport->name().empty() ? "transport" : transport->name();
  if (const auto* server = dynamic_cast<const ClickHouseError*>(&error)) {
    failure.reason = !server->details().name.empty() ? server->details().name
                     : server->code() != 0
                         ? "code_" + std::to_string(server->code())
                         : "http_" + std::to_string(server->details().http_status);
  } else if (const auto* network = dynamic_cast<const NetworkError*>(&error)) {
    failure.reason = to_string(network->kind());
  } else if (dynamic_cast<const PoolTimeoutError*>(&error) != nullptr) {
    failure.reason = "pool_timeout";
  }
  return failure;
}

namespace {

// What mends it, by ClickHouse's code.
std::string remedy_for(int code, const std::string& table) {
  switch (code) {
    case 10:  // NOT_FOUND_COLUMN_IN_BLOCK
    case 16:  // NO_SUCH_COLUMN_IN_TABLE
    case 36:  // BAD_ARGUMENTS
    case 47:  // UNKNOWN_IDENTIFIER
      return "compare the messages' fields and the configured `columns` with the columns of "
             "table " +
             table;
    case 60:  // UNKNOWN_TABLE
      return "create table " + table + ", or correct `table` or `tables` of the pipeline";
    case 81:  // UNKNOWN_DATABASE
      return "create the database, or correct `clickhouse.database` or the table's name";
    case 192:  // UNKNOWN_USER
    case 193:  // WRONG_PASSWORD
    case 194:  // REQUIRED_PASSWORD
    case 516:  // AUTHENTICATION_FAILED
      return "correct `clickhouse.user` and `clickhouse.password`";
    case 497:  // ACCESS_DENIED
      return "GRANT INSERT, SELECT ON " + table + " to the user of `clickhouse.user`";
    case 164:  // READONLY
      return "the user's profile is read-only: use another `clickhouse.user` or change its profile";
    case 115:  // UNKNOWN_SETTING
      return "the server does not know a setting of `clickhouse.settings` or "
             "`clickhouse.insert_settings`: remove it";
    case 242:  // TABLE_IS_READ_ONLY
      return "the replica is read-only: look at its Keeper connection and at system.replicas";
    case 243:  // NOT_ENOUGH_SPACE
      return "the server's disk is full: free some space";
    case 241:  // MEMORY_LIMIT_EXCEEDED
      return "the server is short of memory: lower `batch.target_bytes` or `workers.count`, or "
             "give "
             "it more";
    case 252:  // TOO_MANY_PARTS
      return "the server has too many parts: raise `batch.target_rows` and `batch.max_age` for "
             "fewer "
             "and larger inserts";
    default:
      return "";
  }
}

// Waits that are not one of ClickHouse's answers, or whose code alone says too little.
std::string remedy_for_wait(const LaneWait& failure, const std::string& table) {
  if (failure.reason == "DEAD_LETTERS_NOT_STORED")
    return "see that they can be written where `dead_letters` of the pipeline says";
  if (failure.reason == "NOT_EXACTLY_ONCE")
    return "run the statement that is named, or set `delivery: auto`";
  if (failure.reason == "ROWS_NOT_FOUND")
    return "see what deletes rows of " + table + " or hides them from `clickhouse.user`";
  if (failed_in_view(failure.message))
    return "a materialized view of " + table + " fails: mend the view or its target";
  const std::string remedy = remedy_for(failure.code, table);
  return remedy.empty() ? "mend what the message says on the server" : remedy;
}

std::string remedy_for_retry(const LaneWait& failure, const std::string& table) {
  if (failure.reason == "pool_timeout") {
    return "passes by itself; if it stays, raise `clickhouse.pool.hard_limit` or lower "
           "`workers.count`";
  }
  if (failure.reason == "internal_error")
    return "a fault in millrace: please report it; the block is kept and tried again";
  const std::string remedy = remedy_for(failure.code, table);
  if (!remedy.empty()) return remedy + "; it is tried again meanwhile";
  return "passes by itself when the server answers again; else see that ClickHouse answers at "
         "`clickhouse.endpoints`";
}

}  // namespace

std::string advice_for(const LaneWait& failure, const std::string& table) {
  if (!failure.advice.empty()) return failure.advice;
  if (failure.reason == "PLAN_EXPIRED") {
    return "start again with `on_expired_plan: verify` (needs columns.topic, columns.partition and "
           "columns.offset), which sends what is missing, or with `resend`, which may double it";
  }
  switch (failure.disposition) {
    case Disposition::kWait:
      return remedy_for_wait(failure, table) + "; the lane then goes on by itself";
    case Disposition::kSplit:
    case Disposition::kDeadLetter:
      return "ClickHouse refuses rows of this block: make table " + table +
             " take them (types, columns, constraints, `clickhouse.insert_settings`), or give the "
             "pipeline a `dead_letters.store`; the block is kept and tried again, and its lane "
             "stands until then";
    case Disposition::kRetry:
      return remedy_for_retry(failure, table);
    case Disposition::kDone:
      break;
  }
  return "nothing";
}

}  // namespace millrace
