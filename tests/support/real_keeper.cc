#include "tests/support/real_keeper.h"

#include <stdexcept>
#include <utility>

#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {

RealKeeper::RealKeeper(std::filesystem::path folder)
    : folder_(std::move(folder)), port_(free_port()) {
  std::filesystem::create_directories(folder_ / "data");
  write_file(folder_ / "zoo.cfg", "tickTime=500\ndataDir=" + (folder_ / "data").string() +
                                      "\nclientPort=" + std::to_string(port_) +
                                      "\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
                                      "4lw.commands.whitelist=srvr\n");
}

void RealKeeper::start() {
  process_.reset();
  process_ = std::make_unique<ChildProcess>(ChildProcess::Options{
      .name = "Keeper",
      .arguments = {"/usr/share/zookeeper/bin/zkServer.sh", "start-foreground",
                    (folder_ / "zoo.cfg").string()},
      .output = folder_ / "log",
      .environment = {{"ZOO_LOG_DIR", folder_.string()}, {"SERVER_JVMFLAGS", "-Xmx256m"}}});
  const auto answers = [&] {
    if (!process_->running()) throw std::runtime_error("Keeper ended: " + process_->output_tail());
    // It says "ruok" before it serves anybody.
    return ask(port_, "srvr").find("Mode: ") != std::string::npos;
  };
  const auto result = eventually(answers, kPatience, "Keeper answers");
  if (!result) throw std::runtime_error(result.message() + process_->output_tail());
}

std::string RealKeeper::clickhouse_config(std::uint16_t port) const {
  return "<zookeeper><node><host>127.0.0.1</host><port>" + std::to_string(port) +
         "</port></node><session_timeout_ms>4000</session_timeout_ms></zookeeper>";
}

}  // namespace millrace::test
