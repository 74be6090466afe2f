// The commands of the command line; main.cc reads the arguments. Each throws ConfigError for a
// configuration that can't be used, before anything is started.
#pragma once

#include <chrono>
#include <filesystem>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "service/application.h"
#include "service/commands/connection.h"
#include "service/config.h"

namespace millrace {

// SIGTERM, SIGINT and SIGHUP are then taken by the thread that run_service starts, and by no
// other: call it before any thread exists. SIGPIPE is ignored: a closed socket is an error of a
// write.
void block_signals();

// The service, until a signal ends it. The first SIGTERM or SIGINT drains, the second stops at
// once; SIGHUP reads the configuration again.
ExitCode run_service(const std::filesystem::path& config_file);

// Whether the service could work with this configuration: servers, topics, tables, columns. Prints
// a line for each finding. `patience` bounds each single question.
ExitCode check_service(const Config& config, std::chrono::milliseconds patience, std::ostream& out);

// What a running service with this admin port says of itself: /livez, or /readyz. Prints it. For
// containers without a shell.
ExitCode healthcheck(const AdminConfig& admin, bool ready, std::ostream& out);

struct QueryArguments {
  ConnectionArguments connection;
  std::string sql;       // or
  std::string sql_file;  // "-": standard input
  std::map<std::string, std::string> parameters;
  std::string format;                 // empty: by the output
  std::string output;                 // a file; empty or "-": standard output
  std::vector<std::string> external;  // file:structure[:format]
  bool raw = false;                   // to a terminal as it is, see terminal.h
};

// Runs one statement and streams its result. Throws UsageError and ConfigError for what can't be
// asked, nothing else: a failure is written to standard error, a result that is not whole
// leaves no file.
int query(const QueryArguments& arguments);

struct InsertArguments {
  ConnectionArguments connection;
  std::string table;
  std::vector<std::string> columns;
  std::string format;       // empty: by the file's name
  std::string compression;  // none, gzip, zstd, lz4, deflate: while sending
  std::string deduplication_token;
  std::vector<std::string> files;  // "-": standard input
};

// One insert for each file, in their order; the first that fails ends it. Throws as query() does.
int insert(const InsertArguments& arguments);

struct DeadLettersArguments {
  enum class Action { kList, kShow, kReplay };
  Action action = Action::kList;
  std::string config_file;
  std::string pipeline, table, token;  // empty: any; a token by its beginning
  std::optional<int> code;
  std::string since, until;  // a time, or how long ago
  bool all = false;          // those that were replayed, too
  bool json = false;
  bool raw = false;  // to a terminal as it is, see terminal.h
};

// What the pipelines of the configuration have put aside. Throws as query() does. One that is
// refused again is said on standard error; the exit code is 1 then.
int dead_letters(const DeadLettersArguments& arguments);

// What query and insert end with besides ExitCode: 128 + the number of the signal that stopped
// them.

}  // namespace millrace
