// What the admin port can change (each POST of it), and who may.
//
//   POST /reload                    as SIGHUP
//   POST /drain                     as SIGTERM
//   POST /log-level?level=debug     until the next start, or a reload that changes log.level
//   POST /pipelines/<name>/pause    stop reading; what was read is sent and committed
//   POST /pipelines/<name>/resume
//
// Answers are JSON: what was done, or {"error": what is wrong and what to do}.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct AdminReply {
  int status = 200;
  std::string json{};
};
AdminReply admin_error(int status, const std::string& what);

// Who asks: what the access depends on.
struct AdminCaller {
  std::string address{};        // numeric, as the socket says
  std::string authorization{};  // the header fields of these names
  std::string origin{};
};

// Nothing when the caller may change something; else 401 or 403. Without a token only this host
// may, and no web page that is open in a browser here. Pure; takes as long for a wrong token as for
// a nearly right one.
std::optional<AdminReply> refusal(const AdminCaller& caller, const std::string& token);

// What is behind the actions. Called on the admin server's threads, several at a time.
struct AdminActions {
  std::function<std::string()> token = nullptr;  // null, or empty: none
  std::function<AdminReply()> reload = nullptr;
  std::function<void()> drain = nullptr;
  // Throws std::invalid_argument for a level that there is not.
  std::function<void(const std::string& level)> set_log_level = nullptr;
  std::function<std::vector<std::string>()> pipelines = nullptr;  // their names
  std::function<void(const std::string& pipeline, bool paused)> set_paused = nullptr;
};

// The paths, for people: "/drain" …
std::vector<std::string> admin_action_paths();
bool is_admin_action(std::string_view path);
// `query`: the items of the query string. Throws what the action throws.
using AdminQuery = std::map<std::string, std::string>;
AdminReply carry_out(const AdminActions& actions, const std::string& path, const AdminQuery& query);

}  // namespace millrace
