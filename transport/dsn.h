// Takes a data source name apart: scheme://user:password@host:port/database?key=value
//
// A pure function. What is wrong with a DSN is a UsageError, whose text holds no piece of the DSN:
// any of them may be the password, misplaced.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

// Parts that are not there are empty optionals; all are percent-decoded.
struct Dsn {
  // In small letters: clickhouse, clickhouses, clickhousedb, http, https, clickhouse+http,
  // clickhouse+https. Of them clickhouses and …https mean TLS, see secure().
  std::optional<std::string> scheme{}, host{}, user{}, password{};
  // The last segment of the path; what stands before it is a proxy's path: in "/ch/db", the
  // database is "db" and the path "/ch"; "/ch/" names no database.
  std::optional<std::string> database{}, path{};
  std::optional<std::uint16_t> port{};
  std::vector<std::pair<std::string, std::string>> query{};  // in their order; `+` is a space

  bool secure() const noexcept { return scheme && scheme->ends_with('s'); }
};

Dsn parse_dsn(std::string_view text);

}  // namespace millrace
