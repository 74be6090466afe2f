// The corpus tests/cases: what a report brought, as files. tests/cases/README.md describes them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/real_kafka.h"

namespace millrace::test {

// What millrace should say of one dead letter.
struct ExpectedLetter {
  std::string offset, code;
  std::string message;  // a part of it
  bool operator==(const ExpectedLetter&) const = default;
};

// Everything of one folder, with `${CASE}` and the like replaced. A value; throws
// std::runtime_error for a folder that lacks what each case needs, or has a file that nothing
// reads.
struct Case {
  // `variables`: ${NAME} -> text.
  Case(const std::filesystem::path& folder,
       const std::vector<std::pair<std::string, std::string>>& variables);

  std::string config;                   // millrace.yaml
  std::vector<std::string> statements;  // of table.sql
  std::vector<KafkaMessage> messages;   // of messages.jsonl or records.jsonl
  std::string rows_sql, rows;           // rows.sql and its answer, rows.tsv
  std::vector<ExpectedLetter> letters;  // of letters.tsv
  std::vector<std::string> log, log_without, status;
  std::optional<int> check_code;
  std::vector<std::string> check;
  int exit_code = 0;  // of `run`, at SIGTERM
};

// The names of the folders, sorted.
std::vector<std::string> case_names();

}  // namespace millrace::test
