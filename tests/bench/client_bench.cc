// What the `client` benchmark has the client library do. It measures nothing and prints nothing:
// the script `client` runs it under millrace_measure, as it runs curl. See README.md.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "transport/client.h"

namespace millrace::bench {
namespace {

constexpr const char* kUsage =
    "usage: millrace_client_bench PORT insert TABLE THREADS BLOCK_FILE BLOCKS_PER_THREAD\n"
    "       millrace_client_bench PORT insert_file TABLE FILE\n"
    "       millrace_client_bench PORT save SQL FILE\n"
    "       millrace_client_bench PORT discard SQL\n"
    "       millrace_client_bench PORT select THREADS COUNT_PER_THREAD reuse|close\n";

// What both sides say of an insert: the server makes each block that arrives a block.
const Settings kInsertSettings{{"min_insert_block_size_bytes", "0"},
                               {"min_insert_block_size_rows", "0"}};

// Calls `work` on that many threads; throws what one of them threw.
void on_threads(int threads, const std::function<void()>& work) {
  std::vector<std::future<void>> running;
  for (int i = 0; i < threads; ++i) running.push_back(std::async(std::launch::async, work));
  for (auto& thread : running) thread.get();
}

// `blocks` times the file's block, from one place in memory.
void insert(Client& client, const std::string& table, int threads, const std::string& file,
            std::size_t blocks) {
  std::ifstream in(file, std::ios::binary);
  const std::string block{std::istreambuf_iterator<char>(in), {}};
  if (block.empty()) throw std::runtime_error("cannot read " + file);
  const std::vector<std::string_view> pieces(blocks, block);
  on_threads(threads,
             [&] { client.raw_insert(table, BodyPieces(pieces), {.settings = kInsertSettings}); });
}

void discard(Client& client, std::string_view sql) {
  RawStream stream = client.raw_stream(sql, {.format = "Native"});
  while (stream.next_chunk()) {
  }
}

// `close`: a connection for each query.
void select(Client& client, int threads, int count, bool close) {
  QueryOptions options;
  if (close) options.headers["Connection"] = "close";
  on_threads(threads, [&] {
    for (int i = 0; i < count; ++i) {
      if (client.raw_query("SELECT 1", options) != "1\n") throw std::runtime_error("no 1");
    }
  });
}

int run(const std::vector<std::string>& arguments) {
  const auto is = [&](std::string_view verb, std::size_t count) {
    return arguments.size() == count + 2 && arguments[1] == verb;
  };
  const auto number = [&](std::size_t at) { return std::stoi(arguments[at]); };
  if (arguments.size() < 2) return 2;
  ClientOptions options;
  options.host = "127.0.0.1";
  options.port = static_cast<std::uint16_t>(number(0));
  options.session_policy = ClickHouseSessionPolicy::kNone;
  Client client(options);
  if (is("insert", 4)) {
    insert(client, arguments[2], number(3), arguments[4], static_cast<std::size_t>(number(5)));
  } else if (is("insert_file", 2)) {
    client.raw_insert(arguments[2], std::filesystem::path(arguments[3]),
                      {.settings = kInsertSettings});
  } else if (is("save", 2)) {
    client.raw_stream(arguments[2], {.format = "Native"}).save_as(arguments[3]);
  } else if (is("discard", 1)) {
    discard(client, arguments[2]);
  } else if (is("select", 3)) {
    select(client, number(2), number(3), arguments[4] == "close");
  } else {
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  try {
    const int code = millrace::bench::run({argv + 1, argv + argc});
    if (code == 2) std::fputs(millrace::bench::kUsage, stderr);
    return code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "client bench: %s\n", error.what());
    return 1;
  }
}
