// Rows as typed values: what the Python client does with result_rows, and with rows that it
// inserts.
//
//   rows [URL]     http://127.0.0.1:8123 by default
#include "transport/rows.h"

#include <chrono>
#include <iostream>
#include <optional>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  client.command(
      "CREATE OR REPLACE TABLE example_rows (name String, born Date, score Nullable(Float64), "
      "tags Array(String)) ENGINE = Memory");

  RowWriter writer(client.describe_table("example_rows"));
  writer.append("Ada", 1985y / 12 / 10, 9.5, Array{"maths"});
  writer.append("Grace", 1990y / 12 / 9, std::nullopt, Array{});
  client.raw_insert("example_rows", writer.bytes(), writer.options());

  RowReader rows(client, "SELECT * FROM example_rows ORDER BY name");
  for (const ResultColumn& column : rows.columns()) {
    std::cout << column.name << " " << column.type << "\n";
  }
  for (const Row& row : rows) {
    const auto score = row.get<std::optional<double>>("score");
    std::cout << row.get<std::string>("name") << ": " << (score ? std::to_string(*score) : "none")
              << "\n";
  }
  client.command("DROP TABLE example_rows");
}
