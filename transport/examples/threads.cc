// Many threads. A client has a ClickHouse session of its own, in which one query runs at a time; so
// either a client for each thread, or no session. All clients share a pool of connections, here one
// of our own.
//
//   threads [URL]     http://127.0.0.1:8123 by default
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  ClientOptions options = ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123");
  options.autogenerate_session_id = false;
  options.pool_mgr = std::make_shared<HttpSessionPool>(
      HttpSessionPoolOptions{.hard_limit = 4, .max_hosts = 12});  // who comes fifth waits
  Client client(options);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { client.raw_query("SELECT count() FROM numbers(1000)"); });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << options.pool_mgr->stats().created << " connections\n";
}
