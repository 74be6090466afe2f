// A server on a real socket that does to each connection exactly what a test says.
//
// The n-th accepted connection runs the n-th script (the last script serves all that follow), on a
// thread of its own. Whatever a script waits for is bounded by kScriptPatience, so a broken test
// fails instead of hanging. A script ends by returning; its connection is then closed in the normal
// way.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "transport/endpoint.h"

namespace millrace::test {

inline constexpr std::chrono::seconds kScriptPatience{20};

// One accepted connection. Used by its script's thread.
class ScriptedConnection {
 public:
  explicit ScriptedConnection(int fd) : fd_(fd) {}

  // These end the script (by an exception of their own) when the client closes or kScriptPatience
  // passes.
  std::string read_header();                     // up to and with the empty line
  void read_bytes(std::size_t count);            // of a body
  std::string read_request();                    // header and body by its Content-Length
  std::string read_until(std::string_view end);  // all of a body up to and with `end`
  std::string read_until_closed();               // all that comes; closed in either way
  void send(std::string_view bytes);             // all of it
  void send_dripping(std::string_view bytes, std::chrono::milliseconds pause);

  // True when the client closed (or reset); false when `bound` passed. Discards what comes.
  bool wait_for_close(std::chrono::milliseconds bound = kScriptPatience);
  void reset();   // RST, as of a process that died with unread data
  void finish();  // FIN: no more bytes from here, reading goes on

 private:
  friend class ScriptedServer;
  std::size_t receive(char* buffer, std::size_t size);  // 0: closed

  int fd_;
  std::string unread_;
  std::string headers_;  // of all requests, one behind the other
  std::uint64_t received_bytes_ = 0;
  bool client_closed_ = false;
};

// Constructed and destroyed by one thread; the rest is thread-safe.
class ScriptedServer {
 public:
  using Script = std::function<void(ScriptedConnection&)>;

  explicit ScriptedServer(std::vector<Script> scripts);
  ~ScriptedServer();  // resets what is still open and joins

  Endpoint endpoint() const;

  // What one connection saw; final when `ended`.
  struct Seen {
    std::string headers;
    std::uint64_t bytes = 0;
    bool client_closed = false;
    bool ended = false;
  };
  std::size_t accepted() const;
  // Waits until the connection's script has ended.
  Seen wait_ended(std::size_t connection);

 private:
  void accept_all();
  void run(std::size_t index, int fd);

  const std::vector<Script> scripts_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Seen> seen_;
  std::vector<int> open_;  // by connection; -1 when closed
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// A complete answer with Content-Length, a success as ClickHouse's, by a summary if `headers` have
// nothing of it. `headers`: lines, each with its CRLF.
std::string http_response(int status, std::string_view body, std::string_view headers = "");

// Status 200 of something else.
std::string foreign_response(std::string_view body, std::string_view headers = "");

// Answers every request of a connection with `response`, until the client closes.
ScriptedServer::Script answer_all(std::string response);
// Answers nothing; until the client closes.
ScriptedServer::Script hold();

// A listener that never accepts and whose queue is full: connecting to it blocks.
class FullListener {
 public:
  FullListener();
  ~FullListener();
  Endpoint endpoint() const;

 private:
  int listener_ = -1;
  std::vector<int> fillers_;
  std::uint16_t port_ = 0;
};

}  // namespace millrace::test
