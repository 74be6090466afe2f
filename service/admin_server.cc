#include "service/admin_server.h"

#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServerConnection.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/TCPServer.h>
#include <Poco/ThreadPool.h>
#include <Poco/URI.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <stdexcept>
#include <thread>

#include "service/metrics.h"
#include "service/page/page_files.h"
#include "transport/mutex.h"

namespace millrace {
namespace {

namespace net = Poco::Net;
using Poco::Net::HTTPResponse;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr int kThreads = 4;                    // a scraper, a probe, a person, and one to spare
constexpr int kWaitingConnections = 64;        // above it a connection is closed at once
constexpr std::size_t kMostBodyBytes = 65536;  // nothing here takes a body

// The page may load nothing but its own files and /status, and be put into no other one.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// The connections that hold a thread, each with the moment at which it is cut, whatever it does.
// run() is one thread; thread-safe.
//
// Each has a descriptor of its own (dup): Poco closes its one when it likes, and shutting down a
// number that meanwhile belongs to another connection would hit a stranger.
class ConnectionTable {
 public:
  explicit ConnectionTable(std::chrono::milliseconds timeout) : timeout_(timeout) {}

  void add(const void* connection, int socket_fd) {
    const int fd = ::fcntl(socket_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) throw std::runtime_error("admin server: out of file descriptors");
    MutexLock lock(mutex_);
    if (closed_) ::shutdown(fd, SHUT_RDWR);
    entries_[connection] = {fd, std::chrono::steady_clock::now() + timeout_};
    changed_.notify_all();
  }
  void remove(const void* connection) {
    MutexLock lock(mutex_);
    const auto found = entries_.find(connection);
    ::close(found->second.fd);
    entries_.erase(found);
  }
  // Cuts what is overdue, until close().
  void run() {
    MutexLock lock(mutex_);
    while (!closed_) {
      const SteadyTime next = cut_overdue();
      if (next == SteadyTime::max()) {
        changed_.wait(mutex_);
      } else {
        changed_.wait_until(mutex_, next);
      }
    }
  }
  void close() {
    MutexLock lock(mutex_);
    closed_ = true;
    for (const auto& [connection, entry] : entries_) ::shutdown(entry.fd, SHUT_RDWR);
    changed_.notify_all();
  }

 private:
  struct Entry {
    int fd = -1;
    SteadyTime deadline;
  };
  // The deadline of the next one.
  SteadyTime cut_overdue() REQUIRES(mutex_) {
    const SteadyTime now = std::chrono::steady_clock::now();
    SteadyTime next = SteadyTime::max();
    for (auto& [connection, entry] : entries_) {
      if (entry.deadline <= now) {
        ::shutdown(entry.fd, SHUT_RDWR);
        entry.deadline = SteadyTime::max();
      }
      next = std::min(next, entry.deadline);
    }
    return next;
  }

  const std::chrono::milliseconds timeout_;
  Mutex mutex_;
  CondVar changed_;
  bool closed_ GUARDED_BY(mutex_) = false;
  std::map<const void*, Entry> entries_ GUARDED_BY(mutex_);
};

constexpr char kJson[] = "application/json";

struct Reply {
  HTTPResponse::HTTPStatus status = HTTPResponse::HTTP_OK;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string allow{};  // the methods that there are, where the request had another one
};

Reply faults_reply(const std::vector<std::string>& faults, const char* when_none) {
  if (faults.empty()) return {.body = when_none};
  Reply reply{.status = HTTPResponse::HTTP_SERVICE_UNAVAILABLE, .body = {}};
  for (const std::string& fault : faults) reply.body += fault + "\n";
  return reply;
}

std::string path_of(const std::string& uri) { return uri.substr(0, uri.find_first_of("?#")); }

struct Page {
  std::string path;
  std::function<Reply()> make;
};

// Immutable after construction.
class Pages {
 public:
  explicit Pages(const AdminHandlers& handlers)
      : pages_{{"/metrics",
                [handlers] {
                  return Reply{.content_type = kMetricsContentType, .body = handlers.metrics()};
                }},
               {"/livez", [handlers] { return faults_reply(handlers.live_faults(), "ok\n"); }},
               {"/readyz",
                [handlers] { return faults_reply(handlers.ready_reasons(), "ready\n"); }},
               {"/status",
                [handlers] { return Reply{.content_type = kJson, .body = handlers.status()}; }}},
        actions_(handlers.actions) {
    for (const PageFile& file : page_files()) {
      pages_.push_back({file.path, [file] {
                          return Reply{.content_type = file.content_type, .body = file.content};
                        }});
    }
  }

  Reply get(const std::string& uri) const {
    const std::string path = path_of(uri);
    if (is_admin_action(path)) return method_reply("only POST\n", "POST");
    for (const Page& page : pages_) {
      if (path == page.path) return page.make();
    }
    Reply reply{.status = HTTPResponse::HTTP_NOT_FOUND, .body = "not found; there is\n"};
    for (const Page& page : pages_) reply.body += page.path + "\n";
    for (const std::string& action : admin_action_paths()) reply.body += "POST " + action + "\n";
    return reply;
  }

  // What may be changed, and by whom, is decided elsewhere.
  Reply post(const std::string& uri, const AdminCaller& caller) const {
    const std::string path = path_of(uri);
    if (!is_admin_action(path)) return other(path);
    if (const auto refused = refusal(caller, actions_.token ? actions_.token() : ""))
      return to_reply(*refused);
    AdminQuery query;
    for (auto& [name, value] : Poco::URI(uri).getQueryParameters()) query[name] = value;
    return to_reply(carry_out(actions_, path, query));
  }
  // Neither read nor changed: a method that nothing here has.
  Reply other(const std::string& uri) const {
    return is_admin_action(path_of(uri)) ? method_reply("only POST\n", "POST")
                                         : method_reply("only GET and HEAD\n", "GET, HEAD");
  }

 private:
  static Reply to_reply(const AdminReply& reply) {
    return {.status = static_cast<HTTPResponse::HTTPStatus>(reply.status),
            .content_type = kJson,
            .body = reply.json + "\n"};
  }
  static Reply method_reply(const char* text, const char* allow) {
    return {.status = HTTPResponse::HTTP_METHOD_NOT_ALLOWED, .body = text, .allow = allow};
  }

  std::vector<Page> pages_;
  const AdminActions actions_;
};

// False when there is more than anybody has a reason to send. A connection that is closed with
// something unread in it is reset, and the reply is lost with it.
bool read_body(net::HTTPServerRequest& request) {
  if (!request.hasContentLength() && !request.getChunkedTransferEncoding()) return true;
  std::istream& body = request.stream();
  for (std::size_t bytes = 0; body.get() != std::istream::traits_type::eof(); ++bytes) {
    if (bytes == kMostBodyBytes) return false;
  }
  return true;
}

class PageHandler : public net::HTTPRequestHandler {
 public:
  explicit PageHandler(const Pages& pages) : pages_(pages) {}

  void handleRequest(net::HTTPServerRequest& request, net::HTTPServerResponse& response) override {
    const Reply reply = read_body(request)
                            ? make(request)
                            : Reply{.status = HTTPResponse::HTTP_REQUESTENTITYTOOLARGE,
                                    .body = "no body, please\n"};
    response.setStatusAndReason(reply.status);
    if (!reply.allow.empty()) response.set("Allow", reply.allow);
    if (reply.status == HTTPResponse::HTTP_UNAUTHORIZED) response.set("WWW-Authenticate", "Bearer");
    response.setContentType(reply.content_type);
    response.set("Cache-Control", "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Content-Security-Policy", kContentSecurityPolicy);
    response.sendBuffer(reply.body.data(), reply.body.size());  // leaves the body out for HEAD
  }

 private:
  Reply make(const net::HTTPServerRequest& request) const {
    const std::string& method = request.getMethod();
    const std::string& uri = request.getURI();
    try {
      if (method == net::HTTPRequest::HTTP_GET || method == net::HTTPRequest::HTTP_HEAD)
        return pages_.get(uri);
      if (method != net::HTTPRequest::HTTP_POST) return pages_.other(uri);
      return pages_.post(uri, {.address = request.clientAddress().host().toString(),
                               .authorization = request.get("Authorization", ""),
                               .origin = request.get("Origin", "")});
    } catch (const std::exception& error) {
      return {.status = HTTPResponse::HTTP_INTERNAL_SERVER_ERROR,
              .body = std::string("a fault in millrace: ") + error.what() + "\n"};
    }
  }

  const Pages& pages_;
};

class PageHandlerFactory : public net::HTTPRequestHandlerFactory {
 public:
  explicit PageHandlerFactory(const Pages& pages) : pages_(pages) {}
  net::HTTPRequestHandler* createRequestHandler(const net::HTTPServerRequest&) override {
    return new PageHandler(pages_);
  }

 private:
  const Pages& pages_;
};

class Connection : public net::HTTPServerConnection {
 public:
  Connection(const net::StreamSocket& client, const net::HTTPServerParams::Ptr& params,
             const net::HTTPRequestHandlerFactory::Ptr& handlers, ConnectionTable& table)
      : HTTPServerConnection(client, params, handlers), table_(table) {
    table_.add(this, client.impl()->sockfd());
  }
  ~Connection() override { table_.remove(this); }

 private:
  ConnectionTable& table_;
};

class ConnectionFactory : public net::TCPServerConnectionFactory {
 public:
  ConnectionFactory(net::HTTPServerParams::Ptr params, net::HTTPRequestHandlerFactory::Ptr handlers,
                    ConnectionTable& table)
      : params_(std::move(params)), handlers_(std::move(handlers)), table_(table) {}

  net::TCPServerConnection* createConnection(const net::StreamSocket& client) override {
    return new Connection(client, params_, handlers_, table_);
  }

 private:
  const net::HTTPServerParams::Ptr params_;
  const net::HTTPRequestHandlerFactory::Ptr handlers_;
  ConnectionTable& table_;
};

net::ServerSocket listen_on(const AdminConfig& config) {
  try {
    net::ServerSocket socket;
    // Reuse the address after a restart, but never share the port with another process.
    socket.bind(net::SocketAddress(config.host, config.port), true, false);
    socket.listen(kWaitingConnections);
    return socket;
  } catch (const Poco::Exception& error) {
    throw std::runtime_error("admin.listen: cannot listen on " + config.host + ":" +
                             std::to_string(config.port) + ": " + error.displayText() +
                             "; set `admin.listen` to a free address of this machine");
  }
}

}  // namespace

struct AdminServer::Impl {
  Impl(AdminConfig given, const AdminHandlers& handlers, std::chrono::milliseconds limit)
      : config(std::move(given)), pages(handlers), connections(limit) {}

  const AdminConfig config;
  const Pages pages;
  ConnectionTable connections;
  Poco::ThreadPool threads{"admin", 1, kThreads};
  mutable Mutex mutex;
  std::thread cutter GUARDED_BY(mutex);
  std::unique_ptr<net::TCPServer> server GUARDED_BY(mutex);
  std::uint16_t port GUARDED_BY(mutex) = 0;
};

AdminServer::AdminServer(AdminConfig config, const AdminHandlers& handlers,
                         std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>(std::move(config), handlers, timeout)) {}

AdminServer::~AdminServer() { stop(); }

void AdminServer::start() {
  MutexLock lock(impl_->mutex);
  if (impl_->port != 0) throw std::logic_error("AdminServer::start: a second time");
  const net::ServerSocket socket = listen_on(impl_->config);
  net::HTTPServerParams::Ptr params = new net::HTTPServerParams;
  params->setMaxThreads(kThreads);
  params->setMaxQueued(kWaitingConnections);
  params->setKeepAlive(false);
  impl_->server = std::make_unique<net::TCPServer>(
      new ConnectionFactory(params, new PageHandlerFactory(impl_->pages), impl_->connections),
      impl_->threads, socket, params);
  impl_->cutter = std::thread([&connections = impl_->connections] { connections.run(); });
  impl_->server->start();
  impl_->port = socket.address().port();
}

void AdminServer::stop() {
  MutexLock lock(impl_->mutex);
  if (!impl_->server) return;
  impl_->server->stop();
  impl_->connections.close();
  impl_->cutter.join();
  impl_->threads.joinAll();
  impl_->server.reset();
}

std::uint16_t AdminServer::port() const {
  MutexLock lock(impl_->mutex);
  return impl_->port;
}

}  // namespace millrace
