// Files and data as tables of a query.
//
//   external_data [URL]     http://127.0.0.1:8123 by default
#include <fstream>
#include <iostream>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  std::ofstream("movies.csv") << "Alien,1979\nBrazil,1985\n";
  ExternalData files(
      {.file_path = "movies.csv", .fmt = "CSV", .structure = "name String, year UInt16"});
  files.add_file({.file_name = "directors.csv",
                  .data = "Alien,Ridley Scott\nBrazil,Terry Gilliam\n",
                  .fmt = "CSV",
                  .structure = "name String, director String"});
  std::cout << client.raw_query("SELECT * FROM movies JOIN directors USING name ORDER BY year",
                                {.external_data = files});
}
