#include "transport/server_info.h"

#include <chrono>
#include <deque>
#include <utility>

#include "transport/call.h"
#include "transport/client_core.h"
#include "transport/fork_guard.h"
#include "transport/mutex.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;
using Info = std::shared_ptr<const ServerInfo>;

constexpr std::chrono::seconds kGoodFor{60};
constexpr std::size_t kKept = 64;
constexpr std::size_t kMaxBytes = 8u << 20;
constexpr const char* kQuestion =
    "SELECT name, value, toString(readonly) FROM system.settings LIMIT 10000 UNION ALL "
    "SELECT ' version', version(), timezone() FORMAT TabSeparated";

// Answers by endpoint and user, the oldest in front. Thread-safe.
class Answers {
 public:
  Info find(const std::string& key) {
    BriefLock lock(mutex_);
    for (const Answer& answer : answers_) {
      if (answer.key == key && Clock::now() < answer.good_until) return answer.info;
    }
    return nullptr;
  }
  void add(const std::string& key, Info info) {
    BriefLock lock(mutex_);
    std::erase_if(answers_, [&](const Answer& answer) { return answer.key == key; });
    if (answers_.size() == kKept) answers_.pop_front();
    answers_.push_back({key, Clock::now() + kGoodFor, std::move(info)});
  }

 private:
  struct Answer {
    std::string key;
    Clock::time_point good_until;
    Info info;
  };
  Mutex mutex_;
  std::deque<Answer> answers_ GUARDED_BY(mutex_);
};

Info parse(const std::string& text) {
  auto info = std::make_shared<ServerInfo>();
  for (const std::string_view line : wire::split(text, '\n')) {
    const auto fields = wire::split(line, '\t');
    if (fields.size() != 3) continue;  // behind the last line end
    if (fields[0] == " version") {
      info->version = wire::unescape_tsv(fields[1]);
      info->timezone = wire::unescape_tsv(fields[2]);
    } else {
      info->settings[wire::unescape_tsv(fields[0])] = {wire::unescape_tsv(fields[1]),
                                                       fields[2] != "0"};
    }
  }
  return info;
}

}  // namespace

Info ask_server(const std::shared_ptr<ClientCore>& core) {
  static Answers answers;
  Headers who;
  core->add_credentials(who);
  std::string key = core->endpoints().all().front().to_string();
  for (const auto& [name, value] : who) key += "\n" + value;
  if (Info known = answers.find(key)) return known;
  CallRequest request;
  request.text = kQuestion;
  request.params["wait_end_of_query"] = "1";
  request.params["buffer_size"] = std::to_string(kMaxBytes + 1);  // in memory: see raw_query
  request.kind = CallRequest::Kind::kQuery;
  request.repeatable = true;
  request.retries = core->options().query_retries;
  request.timeout = core->options().request_timeout;
  request.stop = core->options().connect_stop;
  const auto call = Call::begin(core, std::move(request));
  Info info = parse(call->read_all(kMaxBytes));
  if (info->version.empty() || info->settings.empty()) {
    throw NetworkError(
        NetworkError::Kind::kTruncated,
        call->summary().endpoint + ": the server's version and settings did not come", false);
  }
  answers.add(key, info);
  return info;
}

void add_if_writable(const ServerInfo& info,
                     std::map<std::string, std::string, std::less<>>& params,
                     const std::string& name, const std::string& value) {
  const auto found = info.settings.find(name);
  if (found == info.settings.end() || found->second.readonly || found->second.value == value) {
    return;
  }
  params.try_emplace(name, value);
}

}  // namespace millrace
