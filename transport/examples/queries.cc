// Queries: parameters that the server puts in, settings, a time-out for one call, errors.
//
//   queries [URL]     http://127.0.0.1:8123 by default
#include <chrono>
#include <iostream>
#include <string>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  std::cout << client.raw_query("SELECT {a:UInt8} AS a, {names:Array(String)} AS names",
                                {.parameters = {{"a", 13}, {"names", Array{"x", "it's"}}},
                                 .settings = {{"max_threads", 2}, {"join_use_nulls", true}},
                                 .fmt = "CSVWithNames"});

  // Names of tables and columns are parameters, too.
  std::cout << client.command("SELECT count() FROM {db:Identifier}.{table:Identifier}",
                              {.parameters = {{"db", "system"}, {"table", "one"}}})
            << "\n";

  QuerySummary summary;
  client.command("SELECT sum(number) FROM numbers(1000)",
                 {.summary = &summary, .request_timeout = std::chrono::seconds(20)});
  std::cout << summary.read_rows << " rows read by query " << summary.query_id << "\n";

  try {
    client.raw_query("SELECT * FROM missing");
    return 1;
  } catch (const ClickHouseError& error) {
    std::cout << error.code() << " " << error.name() << ", HTTP " << error.http_status() << "\n";
  }
}
