#include "service/admin_server.h"

#include <Poco/Net/HTTPBasicCredentials.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/URI.h>
#include <sys/resource.h>

#include <stdexcept>

#include "service/admin_connections.h"
#include "service/metrics.h"
#include "service/page/page_files.h"
#include "service/terminal.h"
#include "transport/mutex.h"

namespace millrace {
namespace {

namespace net = Poco::Net;

// As many as may come before we accept one: a probe must not have to knock twice.
constexpr int kBacklog = 4096;

constexpr char kJson[] = "application/json";
constexpr char kLive[] = "/livez", kReady[] = "/readyz", kMetrics[] = "/metrics";

using Texts = std::vector<std::string>;

Reply faults_reply(const Texts& faults, const char* when_none) {
  if (faults.empty()) return {.body = when_none};
  Reply reply{.status = 503};
  for (const std::string& fault : faults) reply.body += fault + "\n";
  return reply;
}

// Ready is, by default, who waits for an operator, too: but it says so.
Reply ready_reply(const Texts& reasons, const Texts& waiting) {
  Reply reply = faults_reply(reasons, "ready\n");
  for (const std::string& each : waiting) reply.body += each + "\n";
  return reply;
}

struct Page {
  std::string path;
  std::function<Reply()> make;
  AdminAccess access = AdminAccess::kProtected;
};

Texts allowed_hosts(const AdminConfig& config) {
  Texts names = config.allowed_hosts;
  names.push_back(config.host);  // the name that is configured is ours
  return names;
}

// What a browser sends that was asked for a password: of any user.
std::string bearer_of(const std::string& authorization) {
  constexpr std::string_view kBasic = "Basic ";
  if (!authorization.starts_with(kBasic)) return authorization;
  return "Bearer " + net::HTTPBasicCredentials(authorization.substr(kBasic.size())).getPassword();
}

// What there is. Immutable after construction.
class Pages {
 public:
  Pages(const AdminConfig& config, const AdminHandlers& handlers)
      : hosts_(allowed_hosts(config)),
        protect_reads_(config.protect_reads),
        pages_{{kMetrics,
                [handlers] {
                  return Reply{.content_type = kMetricsContentType, .body = handlers.metrics()};
                },
                AdminAccess::kOpen},
               {kLive, [handlers] { return faults_reply(handlers.live_faults(), "ok\n"); },
                AdminAccess::kOpen},
               {kReady,
                [handlers] {
                  return ready_reply(handlers.ready_reasons(),
                                     handlers.waiting ? handlers.waiting() : Texts{});
                },
                AdminAccess::kOpen},
               {"/status",
                [handlers] { return Reply{.content_type = kJson, .body = handlers.status()}; }}},
        actions_(handlers.actions) {
    for (const PageFile& file : page_files()) {
      pages_.push_back({file.path, [file] {
                          return Reply{.content_type = file.content_type, .body = file.content};
                        }});
    }
  }

  Reply make(const AdminRequest& request, const std::string& peer) const {
    try {
      const std::string host = request.header("host");
      if (!host_allowed(host, hosts_)) return host_reply(host);
      if (request.method == "GET" || request.method == "HEAD") return get(request, peer);
      if (request.method == "POST") return post(request, peer);
      return other(std::string(request.path()));
    } catch (const std::exception& error) {
      return {.status = 500, .body = std::string("a bug in millrace: ") + error.what() + "\n"};
    }
  }

 private:
  Reply get(const AdminRequest& request, const std::string& peer) const {
    const std::string path(request.path());
    if (is_admin_action(path)) return method_reply("only POST\n", "POST");
    for (const Page& page : pages_) {
      if (path != page.path) continue;
      if (!protect_reads_ || page.access == AdminAccess::kOpen) return page.make();
      AdminCaller caller = caller_of(request, peer);
      caller.authorization = bearer_of(caller.authorization);
      const auto refused = refusal(caller, token());
      return refused ? to_reply(*refused, "Basic realm=\"millrace\"") : page.make();
    }
    Reply reply{.status = 404, .body = "not found; there is\n"};
    for (const Page& page : pages_) reply.body += page.path + "\n";
    for (const std::string& action : admin_action_paths()) reply.body += "POST " + action + "\n";
    return reply;
  }

  // What may be changed, and by whom, is decided elsewhere.
  Reply post(const AdminRequest& request, const std::string& peer) const {
    const std::string path(request.path());
    if (!is_admin_action(path)) return other(path);
    if (const auto refused = refusal(caller_of(request, peer), token()))
      return to_reply(*refused, "Bearer");
    AdminQuery query;
    for (auto& [name, value] : Poco::URI(request.uri).getQueryParameters()) query[name] = value;
    return to_reply(carry_out(actions_, path, query));
  }
  // Neither read nor changed: a method that nothing here has.
  static Reply other(const std::string& path) {
    return is_admin_action(path) ? method_reply("only POST\n", "POST")
                                 : method_reply("only GET and HEAD\n", "GET, HEAD");
  }

  std::string token() const { return actions_.token ? actions_.token() : ""; }
  static AdminCaller caller_of(const AdminRequest& request, const std::string& peer) {
    return {.address = peer,
            .authorization = request.header("authorization"),
            .origin = request.header("origin")};
  }
  static Reply to_reply(const AdminReply& reply, const char* authenticate = "") {
    Reply made{.status = reply.status, .content_type = kJson, .body = reply.json + "\n"};
    if (reply.status == 401) made.headers.emplace_back("WWW-Authenticate", authenticate);
    return made;
  }
  static Reply method_reply(const char* text, const char* allow) {
    return {.status = 405, .body = text, .headers = {{"Allow", allow}}};
  }
  static Reply host_reply(const std::string& host) {
    return {.status = 403,
            .body = "the host \"" + escape_for_line(host) +
                    "\" is none of ours: ask by address, or put it into `admin.allowed_hosts`\n"};
  }

  const Texts hosts_;
  const bool protect_reads_;
  std::vector<Page> pages_;
  const AdminActions actions_;
};

// Those who ask the same at the same time can have the same answer, but where something changes.
std::string same_text(const AdminRequest& request) {
  if (request.method != "GET") return "";
  std::string text = request.uri;
  for (const char* name : {"host", "authorization", "accept-encoding", "origin"}) {
    text.append("\n").append(request.header(name));
  }
  return text;
}

net::ServerSocket listen_on(const AdminConfig& config) {
  try {
    net::ServerSocket socket;
    // Reuse the address after a restart, but never share the port with another process.
    socket.bind(net::SocketAddress(config.host, config.port), true, false);
    socket.listen(kBacklog);
    return socket;
  } catch (const Poco::Exception& error) {
    throw std::runtime_error("admin.listen: cannot listen on " + config.host + ":" +
                             std::to_string(config.port) + ": " + error.displayText() +
                             "; set `admin.listen` to a free address of this machine");
  }
}

std::size_t most_descriptors() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

}  // namespace

struct AdminServer::Impl {
  Impl(AdminConfig given, const AdminHandlers& handlers, std::chrono::milliseconds limit)
      : config(std::move(given)), pages(config, handlers), timeout(limit) {}

  AdminAnswers answers() const {
    return {.urgent =
                [](const AdminRequest& request) {
                  return request.path() == kLive || request.path() == kReady;
                },
            .same = same_text,
            .answer =
                [this](const AdminRequest& request, const std::string& peer) {
                  Reply reply = pages.make(request, peer);
                  compress(reply, request);
                  return to_bytes(reply, request.method);
                }};
  }

  const AdminConfig config;
  const Pages pages;
  const std::chrono::milliseconds timeout;
  mutable Mutex mutex;
  std::unique_ptr<net::ServerSocket> socket GUARDED_BY(mutex);
  std::unique_ptr<AdminConnections> connections GUARDED_BY(mutex);
  std::uint16_t port GUARDED_BY(mutex) = 0;
};

AdminServer::AdminServer(AdminConfig config, const AdminHandlers& handlers,
                         std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>(std::move(config), handlers, timeout)) {}

AdminServer::~AdminServer() { stop(); }

void AdminServer::start() {
  MutexLock lock(impl_->mutex);
  if (impl_->port != 0) throw std::logic_error("AdminServer::start: a second time");
  impl_->socket = std::make_unique<net::ServerSocket>(listen_on(impl_->config));
  impl_->connections = std::make_unique<AdminConnections>(
      impl_->socket->impl()->sockfd(), impl_->answers(),
      admin_connection_limits(most_descriptors()), impl_->timeout);
  impl_->port = impl_->socket->address().port();
}

void AdminServer::stop() {
  MutexLock lock(impl_->mutex);
  impl_->connections.reset();
  impl_->socket.reset();
}

std::uint16_t AdminServer::port() const {
  MutexLock lock(impl_->mutex);
  return impl_->port;
}

}  // namespace millrace
