// HTTP for tests: one request, one connection, over a plain socket. Independent of transport/, so
// that the product is not its own witness.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/support/eventually.h"

namespace millrace::test {

struct HttpReply {
  int status = 0;  // 0: no answer; `body` then says why
  std::string headers, body;
  bool ok() const { return status == 200; }
};

// `target` is path and query. POST when there is a body, else GET.
HttpReply http_request(std::uint16_t port, const std::string& target, const std::string& body = {},
                       std::chrono::seconds deadline = kPatience);

// Sends `text` as it is and returns what comes until the peer closes; empty when nobody answers.
std::string ask(std::uint16_t port, const std::string& text);

std::string url_encode(const std::string& text);

}  // namespace millrace::test
