// millrace-clickhouse-dev: a real ClickHouse server for development and tests, in the foreground.
//
// The engine comes as one library (deploy/dev/fetch). It exports a function that behaves like the
// program clickhouse-local, and clickhouse-local can be told to listen: that is a server with the
// real HTTP interface. SIGTERM ends it; the data under --path survives kill -9.
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "deploy/dev/interserver_override.h"

namespace millrace {
namespace {

struct Options {
  std::string library;
  std::string path;
  std::string listen = "127.0.0.1";
  uint16_t http_port = 0;
  uint16_t tcp_port = 0;
  std::string config_file;
  std::string interserver_host;
};

// Where deploy/dev/fetch puts the library.
std::string default_library() {
  if (const char* folder = std::getenv("MILLRACE_DEV")) return std::string(folder) + "/libchdb.so";
  return MILLRACE_SOURCE_DIR "/.dev/libchdb.so";
}

// The three functions of the library that are used.
struct Engine {
  using RunCommandLine = void* (*)(int argc, char** argv);
  using ResultError = const char* (*)(void* result);

  RunCommandLine run_command_line = nullptr;
  ResultError result_error = nullptr;
};

void* find_symbol(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) throw std::runtime_error(dlerror());
  return symbol;
}

Engine load_engine(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(std::string(dlerror()) + " (deploy/dev/fetch clickhouse gets it)");
  }
  Engine engine;
  engine.run_command_line =
      reinterpret_cast<Engine::RunCommandLine>(find_symbol(library, "chdb_query_cmdline"));
  engine.result_error =
      reinterpret_cast<Engine::ResultError>(find_symbol(library, "chdb_result_error"));
  return engine;
}

// Command line of clickhouse-local: start to listen, then a query that never ends.
std::vector<std::string> server_arguments(const Options& options) {
  std::string query = "SYSTEM START LISTEN HTTP;";
  if (options.tcp_port != 0) query += " SYSTEM START LISTEN TCP;";
  query +=
      " SELECT sleepEachRow(3) FROM system.numbers"
      " SETTINGS max_block_size = 1, max_execution_time = 0 FORMAT Null";

  std::vector<std::string> arguments = {
      "clickhouse-local",
      "--path=" + options.path,
      "--listen_host=" + options.listen,
      "--http_port=" + std::to_string(options.http_port),
  };
  if (options.tcp_port != 0) arguments.push_back("--tcp_port=" + std::to_string(options.tcp_port));
  if (!options.config_file.empty()) arguments.push_back("--config-file=" + options.config_file);
  arguments.push_back("--query");
  arguments.push_back(query);
  return arguments;
}

// Returns only when the server could not start or broke down.
void run_server(const Options& options) {
  std::filesystem::create_directories(options.path);
  const Engine engine = load_engine(options.library);
  if (!options.interserver_host.empty()) {
    override_interserver_host(reinterpret_cast<const void*>(engine.run_command_line),
                              options.interserver_host);
  }

  std::vector<std::string> arguments = server_arguments(options);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  void* result = engine.run_command_line(static_cast<int>(arguments.size()), argv.data());
  const char* error = result == nullptr ? nullptr : engine.result_error(result);
  throw std::runtime_error(error == nullptr ? "the server ended by itself" : error);
}

void declare_options(CLI::App& app, Options& options) {
  options.library = default_library();
  app.add_option("--library", options.library, "libchdb.so")->capture_default_str();
  app.add_option("--path", options.path, "folder of the data, made when missing")->required();
  app.add_option("--http-port", options.http_port, "port of the HTTP interface")->required();
  app.add_option("--tcp-port", options.tcp_port, "port of the native protocol (off)");
  app.add_option("--listen", options.listen, "address to listen on")->capture_default_str();
  app.add_option("--config-file", options.config_file, "ClickHouse configuration, for users say")
      ->check(CLI::ExistingFile);
  app.add_option("--interserver-host", options.interserver_host,
                 "make ReplicatedMergeTree usable, for tests; needs <zookeeper> in --config-file");
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  CLI::App app("A ClickHouse server for development and tests.", "millrace-clickhouse-dev");
  millrace::Options options;
  millrace::declare_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    millrace::run_server(options);
  } catch (const std::exception& error) {
    std::cerr << "millrace-clickhouse-dev: " << error.what() << std::endl;
  }
  return EXIT_FAILURE;
}
