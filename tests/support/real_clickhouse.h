// A real ClickHouse of the test's own: it can be stopped, killed, and started again with its data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "tests/support/child_process.h"

namespace millrace::test {

// What the server said to a query that it refused.
class QueryFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Owned by one thread.
class RealClickHouse {
 public:
  struct Options {
    std::filesystem::path folder;  // data, configuration and log
    std::string users_xml = {};    // the inside of <clickhouse> in users.xml; empty: its own
    std::string config_xml = {};   // added inside <clickhouse> of its configuration
    bool replicated = false;       // replicated tables work; config_xml names a Keeper
  };
  explicit RealClickHouse(Options options);  // does not start it

  void start();  // returns when it answers
  void spawn();  // does not wait for the answer: wait_ready() does
  void wait_ready();
  bool running() { return process_ && process_->running(); }
  void kill9();
  void stop();  // SIGTERM, and waits for the end
  void freeze() { process_->signal(SIGSTOP); }
  void thaw() { process_->signal(SIGCONT); }
  // Takes effect at the next start.
  void configure(const std::string& users_xml, const std::string& config_xml = {});

  std::uint16_t port() const { return port_; }
  // Of the native protocol, which it speaks from the next start on: for shards of a cluster.
  std::uint16_t native_port();
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // The answer as TabSeparated, without the last newline. Throws QueryFailed.
  std::string query(const std::string& sql) const;
  std::uint64_t number(const std::string& sql) const { return std::stoull(query(sql)); }
  // Nothing instead of an exception: for conditions that hold only later.
  std::optional<std::uint64_t> try_number(const std::string& sql) const;

 private:
  const Options options_;
  const std::uint16_t port_;
  std::uint16_t native_port_ = 0;  // off
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace millrace::test
