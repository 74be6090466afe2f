// The settings that go with every insert, so that no profile of the server decides what a repeat
// is and what becomes of rows that do not parse.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/table_target.h"
#include "transport/client_options.h"
#include "transport/socket.h"

namespace millrace {

// All of them are sent, whatever is known of the server. Which one it does not know (they came with
// different versions) it says itself, by error 115, before it takes a row. Pure but for what it
// learns; owned by one thread.
class InsertSettings {
 public:
  explicit InsertSettings(Settings of_user) : of_user_(std::move(of_user)) {}

  // Ours, with the user's over those that are not fixed.
  Settings of_insert(const TableTarget& target, std::string_view format, SteadyTime now) const;

  // The server said this with error 115. True: it names one of ours, which is left out for ten
  // minutes (servers are upgraded, and several may stand behind one address), so that another try
  // has a chance. Each can be named once in that time, so tries have an end.
  bool leave_out(std::string_view server_message, SteadyTime now);

 private:
  bool left_out(const std::string& name, SteadyTime now) const;

  const Settings of_user_;
  std::map<std::string, SteadyTime> left_out_until_;
};

// Of every insert, whatever the table and its format, with the user's over those that are not
// fixed.
Settings all_insert_settings(const Settings& of_user);

// "Unknown setting 'x'", "Setting x is neither a builtin setting …" -> x; empty for another text.
std::string unknown_setting_in(std::string_view server_message);

}  // namespace millrace
