// A TCP proxy that does to connections what networks do: cuts, holds, slows, and loses answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/local_listener.h"

namespace millrace::test {

// All of it thread-safe.
class FaultProxy {
 public:
  explicit FaultProxy(std::uint16_t target_port);

  std::uint16_t port() const { return listener_.port(); }
  // All open connections end with a reset.
  void reset_all() { ++resets_; }
  // While refused, who connects is cut off at once. Open connections are not touched.
  void refuse(bool refused) { refused_ = refused; }
  // While held, requests pass and answers do not: with a reset behind it they are lost.
  void hold_answers(bool held) { answers_held_ = held; }
  // Requests with more than so many bytes are held there: of a client that asks and then inserts,
  // the inserts. 0: none.
  void hold_request_after(std::size_t bytes) { hold_after_ = bytes; }
  // The next request with more than so many bytes is cut off there.
  void cut_request_after(std::size_t bytes) { cut_after_ = bytes; }
  // So many answers are cut short: the server has done its work, and the client does not learn it.
  void truncate_answers(int count) { truncations_ += count; }
  // While held nothing passes, and nobody is told.
  void hold(bool held) { held_ = held; }
  // Bytes a second in each direction of a connection; 0: no limit.
  void limit(std::size_t bytes_per_second) { bytes_per_second_ = bytes_per_second; }
  // Nothing of the above any more.
  void calm();

  // The first lines of HTTP requests that passed since the last call: "POST /?… HTTP/1.1".
  std::vector<std::string> take_request_lines();

  bool request_was_cut() const { return cut_after_ == 0; }
  // How often a connection met one of the above, each of them counted.
  std::size_t faults() const { return faults_; }

 private:
  struct Connection;
  void serve(int client);
  void relay(Connection& connection);
  bool pass_request(Connection& connection, std::size_t most);
  bool pass_answer(Connection& connection, std::size_t most);
  void note(Connection& connection, std::string_view bytes);

  const std::uint16_t target_port_;
  std::atomic<unsigned> resets_{0};
  std::atomic<int> truncations_{0};
  std::atomic<bool> held_{false}, answers_held_{false}, refused_{false};
  std::atomic<std::size_t> bytes_per_second_{0}, hold_after_{0}, cut_after_{0}, faults_{0};
  std::mutex mutex_;
  std::vector<std::string> request_lines_;  // guarded by it
  LocalListener listener_;                  // last: its threads use the above
};

}  // namespace millrace::test
