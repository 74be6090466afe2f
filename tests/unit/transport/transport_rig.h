// A client with a pool of its own in front of a scripted server.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/scripted_server.h"
#include "transport/client.h"

namespace millrace::test {

// Opened once by one thread, waited for by others.
class Gate {
 public:
  void open() { promise_.set_value(); }
  bool wait() const { return future_.wait_for(kScriptPatience) == std::future_status::ready; }

 private:
  std::promise<void> promise_;
  std::shared_future<void> future_ = promise_.get_future().share();
};

struct TransportRig {
  explicit TransportRig(std::vector<ScriptedServer::Script> scripts, ClientOptions options = {},
                        HttpSessionPoolOptions pool_options = {})
      : server(std::move(scripts)),
        pool(std::move(pool_options)),
        endpoints({server.endpoint()}),
        client(std::move(options), endpoints, pool) {}

  std::uint64_t closed(HttpSessionCloseReason reason) const {
    return pool.stats().closed[static_cast<std::size_t>(reason)];
  }

  // The pool before the server: connections close first, so that scripts end by themselves.
  ScriptedServer server;
  HttpSessionPool pool;
  EndpointList endpoints;
  Client client;
};

inline ClientOptions with_request_timeout(std::chrono::milliseconds timeout) {
  ClientOptions options;
  options.request_timeout = timeout;
  return options;
}

inline InsertOptions with_token(std::string token = "lane/0-10") {
  return {.format = "JSONEachRow", .deduplication_token = std::move(token)};
}

// The exception of type E that `call` throws; fails the test when there is none or another one.
template <class E, class Call>
std::optional<E> thrown_by(Call&& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const E& e) {
    return e;
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another exception was thrown: " << e.what();
  }
  return std::nullopt;
}

// The value of a parameter in a request's query string, still encoded; empty if absent.
inline std::string parameter(const std::string& request, const std::string& name) {
  const std::string line = request.substr(0, request.find("\r\n"));
  for (const char before : {'?', '&'}) {
    const auto at = line.find(before + name + "=");
    if (at == std::string::npos) continue;
    const auto start = at + name.size() + 2;
    return line.substr(start, line.find_first_of("& ", start) - start);
  }
  return "";
}

inline const std::string& big_body() {
  static const std::string body(32u << 20, 'x');  // more than the kernel's buffers on both sides
  return body;
}

}  // namespace millrace::test
