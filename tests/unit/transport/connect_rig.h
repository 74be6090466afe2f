// Requests over a pool, without a client, to whatever endpoint.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/scripted_server.h"
#include "transport/error.h"
#include "transport/http_exchange.h"
#include "transport/http_session.h"
#include "transport/http_session_pool.h"

namespace millrace::test {

inline SteadyTime soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

struct HttpResponse {
  int status = 0;
  std::string body;
  std::optional<NetworkError> body_error;  // why the body is not whole
  bool reusable = false;
};

inline HttpResponse post(HttpSession& session, BodyPieces body) {
  HttpExchange exchange(session, {.deadline = soon()});
  exchange.send({.target = "/?q", .body = body});
  HttpResponse response;
  response.status = exchange.receive_head().status;
  try {
    for (auto piece = exchange.read(); !piece.empty(); piece = exchange.read()) {
      response.body += piece;
    }
  } catch (const NetworkError& e) {
    response.body_error = e;
  }
  response.reusable = exchange.reusable();
  return response;
}

// One POST; the connection goes back as the answer says.
inline HttpResponse request(HttpSessionPool& pool, const Endpoint& endpoint, BodyPieces body) {
  auto lease = pool.acquire(endpoint, soon());
  HttpResponse response = post(lease.session(), body);
  if (response.reusable) {
    std::move(lease).keep();
  } else {
    std::move(lease).close(HttpSessionCloseReason::kServerAsked);
  }
  return response;
}

inline HttpResponse request(HttpSessionPool& pool, const Endpoint& endpoint,
                            std::string_view body = "") {
  return request(pool, endpoint, std::array{body});
}

inline std::uint64_t closed(const HttpSessionPool& pool, HttpSessionCloseReason reason) {
  return pool.stats().closed[static_cast<std::size_t>(reason)];
}

// The NetworkError that acquiring a connection throws.
inline std::optional<NetworkError> connect_error(HttpSessionPool& pool, const Endpoint& endpoint) {
  try {
    pool.acquire(endpoint, soon());
    ADD_FAILURE() << "connected";
  } catch (const NetworkError& e) {
    EXPECT_EQ(e.kind(), NetworkError::Kind::kConnect) << e.what();
    EXPECT_FALSE(e.may_have_been_applied());
    EXPECT_EQ(pool.stats().open, 0u);
    return e;
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another exception: " << e.what();
  }
  return std::nullopt;
}

inline std::string error_text(HttpSessionPool& pool, const Endpoint& endpoint) {
  const auto error = connect_error(pool, endpoint);
  return error ? error->what() : "";
}

}  // namespace millrace::test
