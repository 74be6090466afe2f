// Inserts: of text, bytes, a file, a stream, and of generators that are compressed while they are
// sent.
//
//   inserts [URL]     http://127.0.0.1:8123 by default
#include <cstddef>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  client.command("CREATE OR REPLACE TABLE example_inserts (x UInt64) ENGINE = Memory");
  client.raw_insert("example_inserts", "1\n2\n", {.column_names = {"x"}, .fmt = "CSV"});
  client.raw_insert("example_inserts", std::vector<std::byte>{std::byte{'3'}}, {.fmt = "CSV"});

  std::ofstream("example_inserts.csv") << "x\n4\n5\n";
  client.insert_file("example_inserts", "example_inserts.csv");  // its first line has the names
  client.raw_insert("example_inserts", std::ifstream("example_inserts.csv"),
                    {.fmt = "CSVWithNames"});

  // A result as it is into another table: without a format it is Native.
  client.raw_insert("example_inserts",
                    client.raw_query("SELECT toUInt64(6) AS x", {.fmt = "Native"}));

  int n = 0;
  const QuerySummary pulled = client.raw_insert("example_inserts",
                                                [&]() -> std::optional<std::string> {
                                                  if (n == 100'000) return std::nullopt;
                                                  return std::to_string(n++) + "\n";
                                                },
                                                {.fmt = "TSV", .compress_with = "zstd"});
  const QuerySummary pushed = client.raw_insert("example_inserts",
                                                [](BodyWriter& out) {
                                                  for (int i = 0; i < 1000; ++i)
                                                    out.write(std::to_string(i) + "\n");
                                                },
                                                {.fmt = "TSV"});
  std::cout << pulled.written_rows << " and " << pushed.written_rows << " rows\n";
  const std::string count = client.command("SELECT count() FROM example_inserts");
  client.command("DROP TABLE example_inserts");
  return count == "101008" ? 0 : 1;
}
