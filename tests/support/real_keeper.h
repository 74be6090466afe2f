// A real ZooKeeper of the test's own, which ClickHouse uses as its Keeper: with it replicated
// tables insert and deduplicate as in production (there is one replica; nothing is fetched).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/child_process.h"

namespace millrace::test {

// Owned by one thread.
class RealKeeper {
 public:
  explicit RealKeeper(std::filesystem::path folder);  // does not start it

  void start();  // returns when it answers
  void kill9() { process_->kill9(); }
  bool running() { return process_ && process_->running(); }
  std::uint16_t port() const { return port_; }
  // For RealClickHouse::Options::config_xml, beside its interserver_host. The session is short, so
  // that a server that was killed gets its replica back soon.
  std::string clickhouse_config() const { return clickhouse_config(port_); }
  std::string clickhouse_config(std::uint16_t port) const;  // of a proxy before it

 private:
  const std::filesystem::path folder_;
  const std::uint16_t port_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace millrace::test
