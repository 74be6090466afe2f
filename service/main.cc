// The command line: arguments in, exit code out.
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "service/advice_document.h"
#include "service/commands/admin.h"
#include "service/commands/commands.h"
#include "service/commands/manual.h"
#include "service/terminal.h"
#include "service/version.h"

namespace {

using millrace::ExitCode;

constexpr std::chrono::seconds kCheckPatience{10};

constexpr char kFooter[] = R"(Exit codes:
  0  done; a running service was drained: all that was read is in ClickHouse and committed
  1  could not start, a fault at run time, or a check that failed
  2  the configuration or the command line is wrong; nothing was started
  3  the grace period ended before all was inserted; the rest will be read again
  4  a second signal: stopped at once; what was not committed will be read again
  130, 143, 129  query or insert was interrupted by SIGINT, SIGTERM or SIGHUP
Signals: SIGTERM or SIGINT drains, a second one stops at once.)";

constexpr char kRawHelp[] =
    "Bytes as they are on a terminal, too: control characters in them can steer it.";

struct Arguments {
  std::string config_file;
  bool print_config = false;
  bool ready = false;
  millrace::ConnectionArguments connection;
  std::vector<std::string> settings, parameters;  // name=value
  std::string columns;                            // a,b
  millrace::QueryArguments query;
  millrace::InsertArguments insert;
  millrace::DeadLettersArguments dead_letters;
  millrace::AdminArguments admin;
  std::string manual;  // man, bash or zsh
};

// Commands that ask a running service, and what they do.
constexpr std::pair<const char*, const char*> kAdminCommands[] = {
    {"reload", "Ask the running service to read its configuration again; prints what has changed."},
    {"log-level", "Ask the running service to log from this level on, until it starts again."},
    {"drain", "Ask the running service to end as after SIGTERM: send and commit what was read."},
    {"pause", "Ask the running service to stop reading; what was read is sent and committed."},
    {"resume", "Ask the running service to go on reading."}};

// "name=value" of each; throws UsageError.
std::map<std::string, std::string> pairs(const std::vector<std::string>& texts, const char* flag) {
  std::map<std::string, std::string> result;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw millrace::UsageError(std::string(flag) + " " + text + ": wanted is name=value");
    }
    result.insert_or_assign(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

std::vector<std::string> split_columns(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t start = 0; !text.empty() && start <= text.size();) {
    const auto comma = std::min(text.find(',', start), text.size());
    names.push_back(text.substr(start, comma - start));
    if (names.back().empty()) throw millrace::UsageError("--columns " + text + ": a name is empty");
    start = comma + 1;
  }
  return names;
}

int query(Arguments arguments) {
  arguments.connection.settings = pairs(arguments.settings, "--setting");
  arguments.query.connection = arguments.connection;
  arguments.query.parameters = pairs(arguments.parameters, "--param");
  return millrace::query(arguments.query);
}

int insert(Arguments arguments) {
  arguments.connection.settings = pairs(arguments.settings, "--setting");
  arguments.insert.connection = arguments.connection;
  arguments.insert.columns = split_columns(arguments.columns);
  return millrace::insert(arguments.insert);
}

// What deploy/ installs; hidden, as it is of use to the build only.
void add_manual(CLI::App& app, std::string& manual) {
  app.add_subcommand("manual", "Print the man page, a completion for a shell, or the errors.")
      ->group("")
      ->add_option("what", manual, "man, bash, zsh or errors.")
      ->required()
      ->check(CLI::IsMember({"man", "bash", "zsh", "errors"}));
}

void print_manual(const CLI::App& app, const std::string& manual) {
  if (manual == "man") millrace::print_man_page(app, std::cout);
  if (manual == "bash") millrace::print_bash_completion(app, std::cout);
  if (manual == "zsh") millrace::print_zsh_completion(app, std::cout);
  if (manual == "errors") millrace::print_advice_document(std::cout);
}

// The command that the arguments ask for.
ExitCode dispatch(const CLI::App& app, const Arguments& arguments) {
  if (app.got_subcommand("config-reference")) {
    millrace::print_config_reference(std::cout);
    return ExitCode::kOk;
  }
  if (app.got_subcommand("manual")) {
    print_manual(app, arguments.manual);
    return ExitCode::kOk;
  }
  if (app.got_subcommand("check"))
    return millrace::check_service(millrace::load_config(arguments.config_file), kCheckPatience,
                                   std::cout);
  if (app.got_subcommand("healthcheck"))
    return millrace::healthcheck(millrace::load_config(arguments.config_file).admin,
                                 arguments.ready, std::cout);
  if (!arguments.print_config) return millrace::run_service(arguments.config_file);
  millrace::print_config(millrace::load_config(arguments.config_file), std::cout);
  return ExitCode::kOk;
}

// Says so if it is none: the library would only say that one is missing.
bool is_command(CLI::App& app, const std::string& word) {
  std::string known;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == word) return true;
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  std::cerr << "unknown command \"" << word << "\"; known: " << known << "\n";
  return false;
}

void add_connection(CLI::App& command, Arguments& arguments) {
  millrace::ConnectionArguments& to = arguments.connection;
  command.add_option("-c,--config", to.config_file, "Take the connection from this configuration.");
  command.add_option("--url", to.url,
                     "http[s]://[user:password@]host[:port][/database][?option=value]; also "
                     "CLICKHOUSE_URL. Flags go before it, it goes before the environment, and that "
                     "before the configuration.");
  command.add_option("--user", to.user, "Also CLICKHOUSE_USER.");
  command.add_option("--password", to.password, "Better in CLICKHOUSE_PASSWORD.");
  command.add_option("--database", to.database, "Also CLICKHOUSE_DATABASE.");
  command.add_option("--ca-cert", to.ca_cert, "PEM file of the authority that signs the server.");
  command.add_option("--client-cert", to.client_cert, "PEM file of our own certificate.");
  command.add_option("--client-key", to.client_cert_key, "PEM file of its key.");
  command.add_option("--server-name", to.server_host_name, "The name in the server's certificate.");
  command.add_flag("--insecure", to.insecure, "Do not check the server's certificate.");
  command.add_option("--setting", arguments.settings, "A ClickHouse setting, name=value.")
      ->allow_extra_args(false);
}

void add_query(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      app.add_subcommand("query", "Run a statement; its result goes to standard output or a file.");
  millrace::QueryArguments& query = arguments.query;
  CLI::Option* file = command->add_option("-f,--file", query.sql_file,
                                          "Read the statement from a file, - is standard input.");
  command->add_option("sql", query.sql, "The statement.")->excludes(file);
  command
      ->add_option("--param", arguments.parameters,
                   "name=value for {name:Type} in the statement; \\N is NULL.")
      ->allow_extra_args(false);
  command->add_option("--format", query.format,
                      "The result's format; by default the statement's FORMAT, else that of the "
                      "file's name, else PrettyCompact on a terminal and TabSeparated elsewhere.");
  command->add_option("-o,--output", query.output,
                      "A file, which appears only when the result is whole; compressed if its "
                      "name ends in .gz, .zst ... A device or a pipe is written straight into.");
  command->add_flag("--raw", query.raw, kRawHelp);
  command
      ->add_option(
          "--external", query.external,
          "file:structure[:format], a table for the statement, named as the file. Its .csv "
          "or .tsv is without a header, unless :CSVWithNames is said.")
      ->allow_extra_args(false);
  add_connection(*command, arguments);
}

void add_insert(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand("insert", "Insert files, each as one statement.");
  millrace::InsertArguments& insert = arguments.insert;
  command->add_option("--table", insert.table, "The table, or database.table.")->required();
  command->add_option(
      "--columns", arguments.columns,
      "a,b: the columns that the rows have. No header is expected then: .csv is CSV, not "
      "CSVWithNames.");
  command->add_option("--format", insert.format,
                      "The rows' format; by default by the file's name.");
  command->add_option("--compression", insert.compression,
                      "none, gzip, deflate, zstd or lz4, while sending. Files that are compressed "
                      "(.gz, .zst, .lz4 ...) are sent as they are.");
  command->add_option("--deduplication-token", insert.deduplication_token,
                      "The same insert again with the same token leaves no second copy, on tables "
                      "with a deduplication window. Of several files each has its own: TOKEN/1, "
                      "TOKEN/2 ..., in their order.");
  command->add_option("files", insert.files, "Files, - is standard input.")->required();
  add_connection(*command, arguments);
}

void add_dead_letters(CLI::App& app, Arguments& arguments) {
  using Action = millrace::DeadLettersArguments::Action;
  CLI::App* command = app.add_subcommand(
      "dead-letters", "What ClickHouse refused: list it, look at it, send it again.");
  command->require_subcommand(1);
  millrace::DeadLettersArguments& letters = arguments.dead_letters;
  const auto add = [&](const char* name, Action action, const char* help) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("-c,--config", letters.config_file, "The configuration, a YAML file.")
        ->required();
    sub->add_option("token", letters.token, "Only those whose token begins so.");
    sub->add_option("--pipeline", letters.pipeline, "Only those of this pipeline.");
    sub->add_option("--table", letters.table, "Only those of this table.");
    sub->add_option("--code", letters.code, "Only those with this ClickHouse error code.");
    sub->add_option("--since", letters.since,
                    "Only those from then on: 2026-01-31T12:00:00 (UTC), or 2h (ago).");
    sub->add_option("--until", letters.until, "Only those before then.");
    sub->add_flag("--all", letters.all, "Those, too, that were replayed.");
    sub->callback([&letters, action] { letters.action = action; });
    return sub;
  };
  CLI::App* list = add("list", Action::kList, "One line each.");
  list->add_flag("--json", letters.json, "As JSON lines, payloads included.");
  CLI::App* show = add("show", Action::kShow, "All that is known of each.");
  for (CLI::App* sub : {list, show}) sub->add_flag("--raw", letters.raw, kRawHelp);
  add("replay", Action::kReplay,
      "Insert them, each under the token that it had; what is refused again stays.");
}

void add_admin_commands(CLI::App& app, Arguments& arguments) {
  millrace::AdminArguments& admin = arguments.admin;
  for (const auto& [name, help] : kAdminCommands) {
    CLI::App* command = app.add_subcommand(name, help);
    command
        ->add_option("-c,--config", admin.config_file,
                     "The configuration of the service: where it listens, and its admin.token.")
        ->required();
    if (name == std::string("log-level"))
      command->add_option("level", admin.level, "debug, info, warning or error.")->required();
    if (name == std::string("pause") || name == std::string("resume"))
      command->add_option("pipeline", admin.pipelines, "Only these pipelines.");
  }
}

int run(int argc, char** argv) {
  std::optional<millrace::TerminalGuard> output(std::in_place, std::cout, STDOUT_FILENO);
  const millrace::TerminalGuard errors(std::cerr, STDERR_FILENO);
  CLI::App app("Feeds ClickHouse from Kafka.", "millrace");
  app.footer(kFooter);
  app.set_version_flag(
      "--version", std::string("millrace ") + millrace::kVersion + " (" + millrace::kBuild + ")");
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App* service = app.add_subcommand("run", "Run the service until SIGTERM.");
  CLI::App* check = app.add_subcommand(
      "check", "Read the configuration, connect, and say what is missing; changes nothing.");
  CLI::App* healthcheck = app.add_subcommand(
      "healthcheck", "Ask the running service with this configuration whether it lives.");
  healthcheck->add_flag("--ready", arguments.ready, "Whether data can flow, too.");
  app.add_subcommand("config-reference", "Print all settings as Markdown.");
  for (CLI::App* command : {service, check, healthcheck})
    command->add_option("-c,--config", arguments.config_file, "The configuration, a YAML file.")
        ->required();
  service->add_flag("--print-config", arguments.print_config,
                    "Print the configuration in effect, secrets redacted, and leave.");
  add_query(app, arguments);
  add_insert(app, arguments);
  add_dead_letters(app, arguments);
  add_admin_commands(app, arguments);
  add_manual(app, arguments.manual);
  constexpr int kBadConfig = static_cast<int>(ExitCode::kBadConfig);
  if (argc > 1 && argv[1][0] != '-' && !is_command(app, argv[1])) return kBadConfig;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadConfig;
  }
  if (arguments.dead_letters.raw) output.reset();
  try {
    if (app.got_subcommand("query")) return query(arguments);
    if (app.got_subcommand("insert")) return insert(arguments);
    if (app.got_subcommand("dead-letters")) return millrace::dead_letters(arguments.dead_letters);
    for (const auto& [name, help] : kAdminCommands)
      if (app.got_subcommand(name)) return millrace::admin_command(name, arguments.admin);
    return static_cast<int>(dispatch(app, arguments));
  } catch (const millrace::ConfigError& error) {
    std::cerr << error.what() << "\n";
  } catch (const millrace::UsageError& error) {
    std::cerr << "millrace: " << error.what() << "\n";
  }
  return kBadConfig;
}

// Blocks come and go by the megabyte. Left to itself glibc gives each back to the kernel and takes
// fresh pages for the next, which costs a sixth of all CPU; `memory.budget` bounds what is kept.
void keep_freed_memory() {
  (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);  // it takes no larger one
  (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  millrace::block_signals();
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    const millrace::TerminalGuard errors(std::cerr, STDERR_FILENO);
    std::cerr << "millrace: " << error.what() << "\n";
    return static_cast<int>(ExitCode::kFailure);
  }
}
