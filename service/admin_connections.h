// The connections of the admin port: one thread that accepts, reads and writes for all of them
// without waiting for any, and a few that answer whole requests.
//
//   clients --> loop (epoll) -- whole requests --> urgent: a thread for probes only
//      ^                                     \---> others: a few threads; equal questions that wait
//      +------------- replies ------------------+           together get one answer
//
// No client can keep another one waiting: one that is idle, drips or does not read costs a bounded
// piece of memory and a descriptor until its time-out, and makes room for newer ones before. What
// is open at once is bounded in total and for each peer's address, and so are the replies that
// nobody has read yet (64 MiB, the oldest goes first).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "service/admin_http.h"

namespace millrace {

struct AdminConnectionLimits {
  std::size_t most = 1024;         // open at once
  std::size_t idle_of_peer = 256;  // of one address, without a whole request; the oldest is closed
  std::size_t busy_of_peer = 512;  // of one address, with one; another one gets a 503
  bool operator==(const AdminConnectionLimits&) const = default;
};
// For a process that may open so many descriptors: most of them are for Kafka and ClickHouse.
AdminConnectionLimits admin_connection_limits(std::size_t descriptors);

// Called on the threads of the server, several at a time; must not throw.
struct AdminAnswers {
  // Answered before all others; takes no time.
  std::function<bool(const AdminRequest&)> urgent;
  // Requests with the same text may be answered together; empty: this one alone.
  std::function<std::string(const AdminRequest&)> same;
  // The response, as bytes. `peer` is a numeric address.
  std::function<std::string(const AdminRequest&, const std::string& peer)> answer;
};

// Starts its threads. Thread-safe.
class AdminConnections {
 public:
  // `listening` is a listening socket, and must outlive it. A connection may take so long to send
  // its request, as long to be answered, and as long to read that. Throws std::system_error.
  AdminConnections(int listening, AdminAnswers answers, AdminConnectionLimits limits,
                   std::chrono::milliseconds timeout);
  // Closes all connections; returns when the last answer() has.
  ~AdminConnections();
  AdminConnections(const AdminConnections&) = delete;
  AdminConnections& operator=(const AdminConnections&) = delete;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace millrace
