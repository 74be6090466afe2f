#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "service/commands/commands.h"
#include "service/commands/formats.h"
#include "service/commands/interrupt.h"
#include "service/commands/progress_line.h"
#include "service/terminal.h"
#include "transport/client.h"
#include "transport/format_header.h"

namespace millrace {
namespace {

std::string statement(const QueryArguments& arguments, const std::stop_token& stop) {
  if (arguments.sql_file.empty()) return arguments.sql;
  if (arguments.sql_file == "-") {
    std::string sql, buffer(64u << 10, '\0');
    while (const std::size_t size = read_some(STDIN_FILENO, buffer, "standard input", stop)) {
      sql.append(buffer, 0, size);
    }
    return sql;
  }
  std::ifstream file(arguments.sql_file, std::ios::binary);
  if (!file) {
    throw UsageError("cannot read " + arguments.sql_file + ": " +
                     std::generic_category().message(errno));
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// file:structure[:format]; the structure has no colon, but "a String, b UInt8" has spaces.
ExternalFile external_file(const std::string& text) {
  const auto first = text.find(':');
  if (first == std::string::npos) {
    throw UsageError("--external " + text + ": wanted is file:structure[:format], as in " +
                     "movies.csv:'name String, year UInt16':CSV");
  }
  const auto second = text.find(':', first + 1);
  const std::filesystem::path path = text.substr(0, first);
  ExternalFile file;
  file.file_name = path.filename().string();
  file.source = path;
  file.structure = text.substr(first + 1, second - first - 1);
  file.format = second != std::string::npos
                    ? text.substr(second + 1)
                    : format_of_file(path, ColumnNames::kGiven).value_or("TabSeparated");
  return file;
}

// No row of it is taken for a header, and no column of a header is passed over. The caller's
// --setting goes before.
void expect_every_field(const ClientOptions& connection, const ExternalFile& file,
                        QueryOptions& options) {
  const std::string guess = header_guess_setting(file.format);
  if (!guess.empty() && !connection.settings.contains(guess)) options.settings[guess] = "0";
  const std::string skip(kSkipUnknownFields);
  if (has_header(file.format) && !connection.settings.contains(skip)) options.settings[skip] = "0";
}

QueryOptions query_options(const QueryArguments& arguments, const ClientOptions& connection) {
  QueryOptions options;
  options.format = arguments.format;
  // Not in the statement, which may have a format of its own, or no room for one.
  if (options.format.empty()) {
    options.headers["X-ClickHouse-Format"] = default_output_format(arguments.output);
  }
  Named parameters;
  for (const auto& [name, value] : arguments.parameters) {
    // As in ClickHouse's own client.
    parameters.emplace(name, value == "\\N" ? Value(Null{}) : Value(value));
  }
  if (!parameters.empty()) options.parameters = std::move(parameters);
  for (const std::string& text : arguments.external) {
    if (!options.external_data) options.external_data.emplace();
    const ExternalFile file = external_file(text);
    expect_every_field(connection, file, options);
    options.external_data->add_file(file);
  }
  return options;
}

// False when nobody reads it any more.
bool write_out(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      return false;
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot write the result");
    }
  }
  return true;
}

// The statement may go on although we left: the server is told by name.
void kill_on_server(const ClientOptions& connection, const std::string& query_id) {
  try {
    ClientOptions options = connection;
    options.connect = false;
    options.request_timeout = std::chrono::seconds(3);
    Client(options).command("KILL QUERY WHERE query_id = {id:String} ASYNC",
                            {.parameters = Named{{"id", query_id}}});
  } catch (const std::exception& error) {
    std::cerr << "the server was not told to stop query " << query_id << ": " << error.what()
              << "\n";
  }
}

bool to_file(const QueryArguments& arguments) {
  return !arguments.output.empty() && arguments.output != "-";
}

// "x.csv.gz" is compressed.
Codec coding_of_output(const QueryArguments& arguments) {
  const Codec codec = codec_of_file(arguments.output).value_or(Codec::kNone);
  if (codec != Codec::kNone && !can_code(codec)) {
    throw UsageError("-o " + arguments.output + ": it can be compressed as .gz, .zst or .lz4 only");
  }
  return codec;
}

// The result on standard output: on a terminal it can't steer it.
class StandardOutput {
 public:
  explicit StandardOutput(const QueryArguments& arguments)
      : escaped_(!arguments.raw && ::isatty(STDOUT_FILENO) == 1) {}

  // False when nobody reads it any more.
  bool write(std::string_view bytes) {
    if (!escaped_) return write_out(bytes);
    std::string text;
    text_.add(bytes, text);
    return write_out(text);
  }
  void finish() {
    std::string text;
    text_.finish(text);
    write_out(text);
  }

 private:
  const bool escaped_;
  TerminalText text_;
};

void stream_result(const QueryArguments& arguments, Codec coding, Client& client,
                   const std::string& sql, QueryOptions options) {
  // On a terminal that shows the result the line would stand in its way.
  ProgressLine line(to_file(arguments) || ::isatty(STDOUT_FILENO) == 0);
  ProgressCounts counts;
  options.on_progress = [&](const Progress& progress) {
    counts = {progress.read_rows, progress.read_bytes, progress.total_rows_to_read, 0};
    line.show(counts, std::chrono::steady_clock::now());
  };
  RawStream stream = client.raw_stream(sql, options);
  counts = {};  // from here on: what arrived
  const auto arrived = [&](std::string_view piece) {
    counts.bytes += piece.size();
    line.show(counts, std::chrono::steady_clock::now());
  };
  if (to_file(arguments)) {
    stream.save_as(arguments.output, 0, arrived, coding);
    return;
  }
  StandardOutput output(arguments);
  while (const auto piece = stream.next_chunk()) {
    arrived(*piece);
    if (!output.write(*piece)) {
      stream.close();
      return;
    }
  }
  output.finish();
}

}  // namespace

int query(const QueryArguments& arguments) {
  ClientOptions connection = connection_options(arguments.connection, process_environment);
  QueryOptions options = query_options(arguments, connection);
  const Codec coding = coding_of_output(arguments);
  const Interrupt interrupt;
  connection.connect_stop = options.stop = interrupt.token();
  try {
    const std::string sql = statement(arguments, options.stop);
    if (sql.find_first_not_of(" \t\r\n;") == std::string::npos) {
      throw UsageError("there is no statement: give it as an argument or with -f FILE");
    }
    Client client(connection);
    options.query_id = random_uuid();
    stream_result(arguments, coding, client, sql, options);
    return static_cast<int>(ExitCode::kOk);
  } catch (const AbortedError&) {
    const bool begun = !options.query_id.empty();
    if (begun) kill_on_server(connection, options.query_id);
    std::cerr << "interrupted" << (begun ? "; the query was stopped on the server, too\n" : "\n");
    return 128 + interrupt.signal();
  } catch (const TransportError& error) {
    std::cerr << "millrace: " << error.what() << "\n";
  } catch (const std::system_error& error) {
    std::cerr << "millrace: " << error.what() << "\n";
  }
  return static_cast<int>(ExitCode::kFailure);
}

}  // namespace millrace
