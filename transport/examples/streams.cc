// Results that are larger than memory: piece by piece, and into a file.
//
//   streams [URL]     http://127.0.0.1:8123 by default
#include <fstream>
#include <iostream>
#include <string_view>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  RawStream stream =
      client.raw_stream("SELECT * FROM numbers(1000000)", {.fmt = "RowBinary", .accept = "zstd"});
  std::size_t bytes = 0;
  for (const std::string_view chunk : stream) bytes += chunk.size();
  std::cout << bytes << " bytes\n";

  const std::string_view five =
      "SELECT number, toString(number) AS number_as_str FROM system.numbers LIMIT 5";
  // The file appears only when the result is whole.
  client.raw_stream(five, {.fmt = "CSVWithNames"}).save_as("output.csv");

  std::ofstream file("output.tsv", std::ios::binary);
  client.raw_stream(five, {.fmt = "TSV"}).copy_to(file);
}
