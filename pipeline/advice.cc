#include "pipeline/advice.h"

#include <algorithm>

#include "transport/error.h"

namespace millrace {
namespace {

constexpr std::string_view kRedirected =
    "write the address that it redirects to (Location) into `clickhouse.endpoints`: https where it "
    "asks for that; redirects are not followed";
constexpr std::string_view kRefusedByProxy =
    "see in the log of the proxy before ClickHouse why it refuses, and let it pass POST requests "
    "of "
    "`clickhouse.user` through";
constexpr std::string_view kLogIn =
    "the proxy before ClickHouse, or what else answers at `clickhouse.endpoints`, wants a login: "
    "let it pass requests that have ClickHouse's own login, or set `clickhouse.endpoints` to an "
    "address behind it";
constexpr std::string_view kLongHeaders =
    "raise the proxy's limit for headers (nginx: large_client_header_buffers; haproxy: "
    "tune.bufsize), or send fewer settings (`clickhouse.settings`, `clickhouse.insert_settings`)";
constexpr std::string_view kBackendDown =
    "passes by itself when ClickHouse answers behind the proxy; else see that the proxy finds its "
    "servers (its log names them) and that they run";

constexpr AdviceRow kHttp[] = {
    {"HTTP_301", 0, "something redirects instead of ClickHouse's answer", kRedirected},
    {"HTTP_302", 0, "something redirects instead of ClickHouse's answer", kRedirected},
    {"HTTP_303", 0, "something redirects instead of ClickHouse's answer", kRedirected},
    {"HTTP_307", 0, "something redirects instead of ClickHouse's answer", kRedirected},
    {"HTTP_308", 0, "something redirects instead of ClickHouse's answer", kRedirected},
    {"HTTP_3xx", 0, "an answer that is no success, and no error of ClickHouse", kRedirected},
    {"HTTP_400", 0, "a proxy did not understand the request",
     "see in the proxy's log what it did not understand; that `clickhouse.endpoints` says https "
     "where its port wants TLS, and http where not"},
    {"HTTP_401", 0, "a proxy, not ClickHouse, wants a login", kLogIn},
    {"HTTP_403", 0, "a proxy or firewall, not ClickHouse, forbids the request",
     "let the proxy or firewall before ClickHouse pass POST requests from this host; a web "
     "application firewall may take SQL for an attack"},
    {"HTTP_404", 0, "nothing of ClickHouse is at this path",
     "correct host, port and path in `clickhouse.endpoints`"},
    {"HTTP_405", 0, "a proxy does not allow POST",
     "allow POST in the proxy before ClickHouse, or correct host, port and path in "
     "`clickhouse.endpoints`"},
    {"HTTP_407", 0, "a forward proxy wants a login",
     "set `clickhouse.endpoints` to ClickHouse itself, or let the proxy pass its address without "
     "a login"},
    {"HTTP_408", 0, "a proxy waited for the request for too long",
     "raise the proxy's time for request bodies (nginx: client_body_timeout; haproxy: timeout "
     "http-request), or lower `batch.target_bytes`"},
    {"HTTP_411", 0, "a proxy takes no body of unknown length",
     "let the proxy pass chunked requests, or send bodies of known length: not compressed on "
     "their way"},
    {"HTTP_413", 0, "a record by itself makes a larger body than a proxy takes",
     "raise the proxy's limit for bodies (nginx: client_max_body_size), or lower "
     "`batch.target_bytes` if the log says that blocks are refused; larger blocks are sent in "
     "parts by themselves, and only a single record that is too large waits"},
    {"HTTP_414", 0, "the request's address is too long for a proxy", kLongHeaders},
    {"HTTP_415", 0, "a proxy does not take bodies of this kind",
     "let the proxy pass application/octet-stream, and the `compression.codec` that is set"},
    {"HTTP_429", 0, "a proxy limits the rate of requests",
     "raise the proxy's rate limit, or send fewer and larger blocks (`batch.max_age`, "
     "`batch.target_rows`)"},
    {"HTTP_431", 0, "the request's headers are too large for a proxy", kLongHeaders},
    {"HTTP_4xx", 0, "a proxy refuses the request", kRefusedByProxy},
    {"HTTP_500", 0, "a proxy failed, or ClickHouse without saying why",
     "see in the log of the proxy, then of ClickHouse, what failed"},
    {"HTTP_501", 0, "something does not know this kind of request",
     "correct `clickhouse.endpoints`: what answers there can't pass a POST to ClickHouse"},
    {"HTTP_502", 0, "a proxy got no proper answer from ClickHouse", kBackendDown},
    {"HTTP_503", 0, "a proxy has no ClickHouse server that it could ask", kBackendDown},
    {"HTTP_504", 0, "a proxy waited for ClickHouse for too long",
     "raise the proxy's time for an answer (nginx: proxy_read_timeout; haproxy: timeout server) "
     "above that of the longest insert, or lower `batch.target_rows`"},
    {"HTTP_505", 0, "something does not speak HTTP/1.1",
     "let the proxy before ClickHouse speak HTTP/1.1"},
    {"HTTP_511", 0, "a network wants a login first", kLogIn},
    {"HTTP_5xx", 0, "a proxy failed",
     "passes by itself when the proxy has recovered; else see its log, and that ClickHouse answers "
     "at `clickhouse.endpoints`"},
};

constexpr AdviceRow kNetwork[] = {
    {"connect", 0, "no connection to ClickHouse",
     "see that ClickHouse runs and listens at `clickhouse.endpoints`, and that name, port and "
     "firewall are right"},
    {"timeout", 0, "no answer within the time",
     "passes by itself when the server answers again; if it stays, raise "
     "`clickhouse.request_timeout` or lower `batch.target_rows`"},
    {"closed", 0, "the connection was closed before an answer",
     "passes by itself when the server answers again; if it stays, see that no proxy between "
     "closes "
     "idle connections sooner than `clickhouse.pool.idle_timeout`, and why ClickHouse ends"},
    {"truncated", 0, "the answer broke off",
     "passes by itself when the server answers again; if it stays, see whether a proxy cuts "
     "answers, "
     "or ClickHouse ends"},
    {"protocol", 0, "the answer is not proper HTTP",
     "see that ClickHouse's HTTP port (8123, TLS: 8443) stands in `clickhouse.endpoints`, and not "
     "its native one (9000, 9440)"},
    {"pool_timeout", 0, "no HTTP session became free in time",
     "passes by itself; if it stays, raise `clickhouse.pool.hard_limit` or lower `workers.count`"},
};

constexpr AdviceRow kMillrace[] = {
    {"DEAD_LETTERS_NOT_STORED", 0, "records that are refused can't be kept as dead letters",
     "see that they can be written where `dead_letters` of the pipeline says"},
    {"NOT_EXACTLY_ONCE", 0, "`delivery: exactly_once`, and the table can't give it",
     "run the statement that is named, or set `delivery: auto`"},
    {"NOT_CLICKHOUSE", 0, "what answers 200 at `clickhouse.endpoints` is not ClickHouse",
     "see what answers there: a page of a proxy, another server? For a proxy that takes "
     "ClickHouse's header fields away set `clickhouse.proof_header`"},
    {"REFUSED_IN_PART", 0, "a table that passes rows on refused some, and may have kept others",
     "make the tables behind {name} take the record (its type, constraint or view is in the "
     "message), or write to the table that is named, where a record that is refused becomes a "
     "dead letter by itself"},
    {"ROWS_NOT_FOUND", 0, "rows that the table has confirmed are not there",
     "see what deletes rows of {table} or hides them from `clickhouse.user`"},
    {"QUESTION_FAILED", 0, "a question about the table was refused",
     "let `clickhouse.user` ask for {table}: GRANT SELECT, SHOW ON {name}, and SELECT on system.* "
     "tables; else correct what the message says"},
    {"PLAN_EXPIRED", 0,
     "blocks were written down so long ago that the table may have forgotten them",
     "start again with `on_expired_plan: verify` (needs columns.topic, columns.partition and "
     "columns.offset), which sends what is missing, or with `resend`, which may double it",
     After::kRestart},
    {"PLAN_OF_ANOTHER_CONFIGURATION", 0,
     "blocks were planned with another table, format, columns or "
     "tombstones",
     "start the former configuration until the planned blocks are in, then this one; or give them "
     "up: with `delivery: at_least_once` their records are read again, and can be there twice",
     After::kRestart},
    {"RECORD_TOO_LARGE", 0, "a record has no room in the memory budget",
     "raise `memory.budget` and start again", After::kRestart},
    {"VIEW_FAILS", 0, "a materialized view of the table fails; the table itself has the rows",
     "correct or drop the materialized view of {table} that the message names, or its target"},
    {"internal_error", 0, "an error within millrace",
     "please report it with the log; the block is kept and tried again", After::kRestart},
};

// What is in neither table.
constexpr std::string_view kUnknownWait = "correct what the message says on the server";
constexpr std::string_view kUnknownRetry =
    "passes by itself when the server answers again; else see that ClickHouse answers at "
    "`clickhouse.endpoints`";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

const AdviceRow* find_status(std::string_view reason) {
  if (const AdviceRow* row = find_advice(kHttp, reason)) return row;
  return reason.size() == 8 ? find_advice(kHttp, std::string(reason.substr(0, 6)) + "xx") : nullptr;
}

}  // namespace

std::span<const AdviceRow> http_advice() { return kHttp; }
std::span<const AdviceRow> network_advice() { return kNetwork; }
std::span<const AdviceRow> millrace_advice() { return kMillrace; }

const AdviceRow* find_advice(std::span<const AdviceRow> rows, std::string_view reason) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const AdviceRow& row) { return row.reason == reason; });
  return found == rows.end() ? nullptr : &*found;
}

const AdviceRow* find_advice(const LaneWait& failure) {
  if (const AdviceRow* row = find_advice(kMillrace, failure.reason)) return row;
  if (failed_in_view(failure.message)) return find_advice(kMillrace, "VIEW_FAILS");
  if (failure.code != 0) {
    for (const AdviceRow& row : clickhouse_advice())
      if (row.code == failure.code) return &row;
    return nullptr;
  }
  if (failure.reason.starts_with("HTTP_")) return find_status(failure.reason);
  return find_advice(kNetwork, failure.reason);
}

std::string fill_in(std::string_view advice, const std::string& table) {
  std::string text(advice);
  replace_all(text, "{table}", table.empty() ? "the table" : "table " + table);
  replace_all(text, "{name}", table.empty() ? "the table" : table);
  return text;
}

std::string remedy_for(const LaneWait& failure, const std::string& table) {
  if (!failure.advice.empty()) return failure.advice;
  if (const AdviceRow* row = find_advice(failure)) return fill_in(row->advice, table);
  return std::string(failure.disposition == Disposition::kRetry ? kUnknownRetry : kUnknownWait);
}

std::string advice_for(const LaneWait& failure, const std::string& table) {
  std::string remedy = remedy_for(failure, table);
  const AdviceRow* row = find_advice(failure);
  if (!failure.advice.empty() || (row != nullptr && row->after == After::kRestart)) return remedy;
  switch (failure.disposition) {
    case Disposition::kWait:
      return remedy + "; the lane then goes on by itself";
    case Disposition::kSplit:
    case Disposition::kDeadLetter:
      return fill_in("ClickHouse refuses rows of this block, and {table} has no dead letters: ",
                     table) +
             remedy +
             "; or give the pipeline a `dead_letters.store`; the block is kept and tried again, "
             "and "
             "its lane stands until then";
    case Disposition::kRetry:
      return remedy +
             (remedy.starts_with("passes by itself") ? "" : "; it is tried again meanwhile");
    case Disposition::kDone:
      break;
  }
  return "nothing";
}

}  // namespace millrace
