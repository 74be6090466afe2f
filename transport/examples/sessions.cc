// ClickHouse sessions, for temporary tables and SET.
//
//   sessions [URL]     http://127.0.0.1:8123 by default
#include <chrono>
#include <iostream>

#include "transport/client.h"

using namespace millrace;

int main(int argc, char** argv) {
  Client client(ClientOptions::from_dsn(argc > 1 ? argv[1] : "http://127.0.0.1:8123"));
  Session session = client.new_session({}, std::chrono::seconds(300));
  session.command("CREATE TEMPORARY TABLE tt (a Int8)");
  session.raw_insert("tt", "1\n", {.fmt = "TSV"});
  std::cout << session.raw_query("SELECT * FROM tt");
  // By its ID, from any client.
  std::cout << client.raw_query("SELECT count() FROM tt", {.session_id = session.id()});
  session.close();
}
