// The one table of what can go wrong, what it means, and what somebody can do about it.
//
// Log, /status, the page, `millrace check` and deploy/ERRORS.md take their words from here. A row
// is found by ClickHouse's code, else by the reason, which is the label that logs and metrics have.
// A source's own reasons are rows of the same form in a table of its own
// (service/sources/kafka_advice.h).
//
// To add a reason: a row in advice.cc (or the source's table), then write deploy/ERRORS.md again:
// `tests/manual/check MILLRACE --write`. Pure; no state.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pipeline/lane.h"

namespace millrace {

// What happens once somebody has followed the advice.
enum class After {
  kGoesOn,   // the lane goes on by itself
  kRestart,  // the advice says to start again, or what else is to be done
};

struct AdviceRow {
  std::string_view reason;   // of a ClickHouse code its name: "UNKNOWN_TABLE"
  int code = 0;              // ClickHouse's, or 0
  std::string_view meaning;  // what has happened
  // What to do, as an order without a full stop. `{table}` stands for "table db.events" and
  // `{name}` for "db.events"; where no table is known both become "the table".
  std::string_view advice;
  After after = After::kGoesOn;
};

// All codes that transport/error.cc knows, by code.
std::span<const AdviceRow> clickhouse_advice();
// Answers that are not ClickHouse's: HTTP_413 …
std::span<const AdviceRow> http_advice();
// No answer, or half of one; no connection.
std::span<const AdviceRow> network_advice();
// What millrace itself waits for.
std::span<const AdviceRow> millrace_advice();

// nullptr: there is none.
const AdviceRow* find_advice(std::span<const AdviceRow> rows, std::string_view reason);
// In all of the above: by code, or by reason.
const AdviceRow* find_advice(const LaneWait& failure);

// What to do about it, without what happens to the lane; never empty.
std::string remedy_for(const LaneWait& failure, const std::string& table);
// The same as one sentence for who looks at a lane that waits: it says how the lane goes on.
std::string advice_for(const LaneWait& failure, const std::string& table);
// Its placeholders replaced. `table` may be empty.
std::string fill_in(std::string_view advice, const std::string& table);

}  // namespace millrace
