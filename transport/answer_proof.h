// Whether an answer of status 200 is ClickHouse's, and whether all of a result came: pure functions
// of what was received. A page of a proxy has status 200, too; and ClickHouse (26.7) whose disk is
// full answers a query that it buffers there with 200, a proper end, and nothing or a part of the
// result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

struct HttpResponseHead;

// See ClientOptions, where the words are explained.
struct ProofRules {
  std::string_view header;  // instead of ClickHouse's own; empty: those
  bool trust_status = false;
};

// Of a query that was sent with this ID (under `rules.header` with it as that header's value).
// Without an ID of ours any ID of a query proves it.
bool is_proven(const HttpResponseHead& head, std::string_view query_id, const ProofRules& rules);

// "what answers at http://proxy:80 is not ClickHouse: 200 text/html (nginx), "<html>…"", and what
// is missing. `body`: the first bytes of it.
std::string not_clickhouse_text(std::string_view endpoint, const HttpResponseHead& head,
                                std::string_view body, const ProofRules& rules);

// Compares what was received of a result with what the head's summary says of it. One thread.
class ResultCheck {
 public:
  // `is_query`: its statement has a result. An insert has none, whatever its summary says.
  ResultCheck(const HttpResponseHead& head, bool is_query);
  void received(std::string_view piece);
  // Empty when nothing is known to be missing; else how the result falls short.
  std::string missing() const;

 private:
  std::uint64_t rows_ = 0;  // by the summary; 0: nothing to compare
  bool lines_of_rows_ = false;
  std::uint64_t bytes_ = 0, lines_ = 0;
};

}  // namespace millrace
