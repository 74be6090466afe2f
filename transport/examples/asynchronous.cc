// The same calls with futures and callbacks.
//
//   asynchronous [URL]     http://127.0.0.1:8123 by default
#include <future>
#include <iostream>
#include <stop_token>
#include <string>
#include <vector>

#include "transport/async_client.h"

using namespace millrace;

int main(int argc, char** argv) {
  AsyncClient client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  client.command("CREATE OR REPLACE TABLE example_async (x UInt8) ENGINE = Memory").get();
  std::stop_source stop;  // stop.request_stop() ends the calls that have its token
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 5; ++i) {
    answers.push_back(
        client.raw_query("SELECT {i:UInt8}", {.parameters = {{"i", i}}, .stop = stop.get_token()}));
  }
  for (auto& answer : answers) std::cout << answer.get();

  std::promise<void> inserted;
  client.raw_insert("example_async", std::string("5\n"), {.fmt = "TSV"},
                    [&](Outcome<QuerySummary> done) {
                      if (!done) std::cerr << "the insert failed\n";
                      inserted.set_value();
                    });
  inserted.get_future().wait();
  std::cout << client.command("SELECT sum(x) FROM example_async").get() << "\n";
  client.command("DROP TABLE example_async").get();
}
