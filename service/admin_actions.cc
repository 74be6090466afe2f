#include "service/admin_actions.h"

#include <algorithm>
#include <stdexcept>

#include "service/config_value.h"
#include "service/json_writer.h"

namespace millrace {
namespace {

constexpr std::string_view kPipelines = "/pipelines/";
constexpr std::string_view kPause = "/pause", kResume = "/resume";
constexpr std::string_view kBearer = "Bearer ";

bool is_loopback(std::string_view address) {
  constexpr std::string_view kMapped = "::ffff:";
  if (address.starts_with(kMapped)) address.remove_prefix(kMapped.size());
  return address == "::1" || address.starts_with("127.");
}

// In a time that depends on the lengths only.
bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned different = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    different |= static_cast<unsigned>(given[i] ^ wanted[i % wanted.size()]);
  }
  return different == 0;
}

// The <name> of /pipelines/<name><action>; nothing when the path is another one.
std::optional<std::string> pipeline_in(std::string_view path, std::string_view action) {
  if (!path.starts_with(kPipelines) || !path.ends_with(action) ||
      path.size() <= kPipelines.size() + action.size()) {
    return std::nullopt;
  }
  path.remove_prefix(kPipelines.size());
  path.remove_suffix(action.size());
  return std::string(path);
}

AdminReply drain(const AdminActions& actions) {
  actions.drain();
  JsonWriter json;
  json.begin_object().member("draining", true).end_object();
  return {202, json.text()};
}

AdminReply set_log_level(const AdminActions& actions, const AdminQuery& query) {
  const auto level = query.find("level");
  if (level == query.end()) return admin_error(400, "say which: /log-level?level=debug");
  try {
    actions.set_log_level(level->second);
  } catch (const std::invalid_argument& error) {
    return admin_error(400, error.what());
  }
  JsonWriter json;
  json.begin_object().member("level", level->second).end_object();
  return {200, json.text()};
}

AdminReply set_paused(const AdminActions& actions, const std::string& pipeline, bool paused) {
  const std::vector<std::string> names = actions.pipelines();
  if (std::find(names.begin(), names.end(), pipeline) == names.end()) {
    return admin_error(404, "no pipeline \"" + pipeline + "\"; there is " + join(names));
  }
  actions.set_paused(pipeline, paused);
  JsonWriter json;
  json.begin_object().member("pipeline", pipeline).member("paused", paused).end_object();
  return {200, json.text()};
}

}  // namespace

AdminReply admin_error(int status, const std::string& what) {
  JsonWriter json;
  json.begin_object().member("error", what).end_object();
  return {status, json.text()};
}

std::optional<AdminReply> refusal(const AdminCaller& caller, const std::string& token) {
  if (!token.empty()) {
    const std::string_view given = caller.authorization;
    if (given.starts_with(kBearer) && same_secret(given.substr(kBearer.size()), token))
      return std::nullopt;
    return admin_error(401, caller.authorization.empty()
                                ? "send `Authorization: Bearer …` with the value of `admin.token`"
                                : "this is not the value of `admin.token`");
  }
  if (!is_loopback(caller.address))
    return admin_error(403,
                       "changes are taken from this host only; set `admin.token` and send it as "
                       "`Authorization: Bearer …`");
  // A browser lets every page send a POST to this host.
  if (!caller.origin.empty())
    return admin_error(403,
                       "a web page may change nothing here; set `admin.token`, or use the "
                       "command line");
  return std::nullopt;
}

std::vector<std::string> admin_action_paths() {
  return {"/reload", "/drain", "/log-level?level=<level>", "/pipelines/<name>/pause",
          "/pipelines/<name>/resume"};
}

bool is_admin_action(std::string_view path) {
  return path == "/reload" || path == "/drain" || path == "/log-level" ||
         pipeline_in(path, kPause) || pipeline_in(path, kResume);
}

AdminReply carry_out(const AdminActions& actions, const std::string& path,
                     const AdminQuery& query) {
  if (path == "/reload") return actions.reload();
  if (path == "/log-level") return set_log_level(actions, query);
  if (path == "/drain") return drain(actions);
  if (const auto name = pipeline_in(path, kPause)) return set_paused(actions, *name, true);
  if (const auto name = pipeline_in(path, kResume)) return set_paused(actions, *name, false);
  return admin_error(404, "no such action; there is " + join(admin_action_paths()));
}

}  // namespace millrace
