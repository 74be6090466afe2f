#include "service/advice_document.h"

#include <ostream>

#include "service/bottleneck.h"
#include "service/sources/kafka_advice.h"
#include "transport/error.h"

namespace millrace {
namespace {

constexpr const char* kHead =
    R"(# Errors: what each means, and what to do

Made by `millrace manual errors` from the table that log, `/status`, the page and `millrace check` take
their words from; a test compares. The reason is `reason` in the log and in `/status`, and the label of
`millrace_retries_total`. See also [what to do when](TROUBLESHOOTING.md).

What millrace does with a block: **retry** sends the same rows under the same token again; **wait** holds
its lane until somebody has acted, and then goes on by itself; **split** finds the rows that are refused,
and makes dead letters of them; `clickhouse.dispositions` changes that by code.
)";

void print_cell(std::ostream& out, std::string_view text) {
  for (const char c : text) {
    if (c == '|') out << '\\';
    out << c;
  }
}

void print_row(std::ostream& out, const AdviceRow& row) {
  out << "| <a id=\"" << row.reason << "\"></a>`" << row.reason << "` |";
  if (row.code != 0) {
    out << ' ' << row.code << " | " << to_string(disposition_of(row.code, "")) << " |";
  }
  out << ' ';
  print_cell(out, row.meaning);
  out << " | ";
  print_cell(out, fill_in(row.advice, ""));
  out << " |\n";
}

}  // namespace

std::vector<AdviceSection> advice_sections() {
  return {
      {"ClickHouse's codes", "A code that is not here is tried again.", clickhouse_advice()},
      {"Answers that are not ClickHouse's",
       "A status without a ClickHouse code: a proxy's, a balancer's, or that of something else "
       "that listens there. 3xx and 4xx wait, but for 408, 425 and 429; 5xx are tried again, but "
       "for 501, 505 and 511.",
       http_advice()},
      {"No answer", "All of them are tried again.", network_advice()},
      {"What millrace waits for", "Lanes say these of themselves.", millrace_advice()},
      {"Kafka", "By librdkafka's name of the error; `/readyz` and the log have them.",
       kafka_advice()},
      {"What limits the flow",
       "`limiting_stage` of `/status`, `millrace_limiting_stage`, and the page.", limit_advice()},
  };
}

void print_advice_document(std::ostream& out) {
  out << kHead;
  for (const AdviceSection& section : advice_sections()) {
    const bool codes = section.rows.front().code != 0;
    out << "\n## " << section.title << "\n\n" << section.intro << "\n\n";
    out << (codes ? "| reason | code | what millrace does | what has happened | what to do |\n"
                    "|---|---|---|---|---|\n"
                  : "| reason | what has happened | what to do |\n|---|---|---|\n");
    for (const AdviceRow& row : section.rows) print_row(out, row);
  }
}

}  // namespace millrace
