#include "tests/support/real_clickhouse.h"

#include <csignal>

#include "tests/support/files.h"
#include "tests/support/http_get.h"

namespace millrace::test {
RealClickHouse::RealClickHouse(Options options) : options_(std::move(options)), port_(free_port()) {
  std::filesystem::create_directories(options_.folder);
  if (!options_.users_xml.empty() || !options_.config_xml.empty()) {
    configure(options_.users_xml, options_.config_xml);
  }
}

void RealClickHouse::configure(const std::string& users_xml, const std::string& config_xml) {
  std::string config = "<clickhouse>" + config_xml;
  if (!users_xml.empty()) {
    const auto users_file = options_.folder / "users.xml";
    write_file(users_file, "<clickhouse>" + users_xml + "</clickhouse>");
    config += "<users_config>" + users_file.string() + "</users_config>";
  }
  write_file(options_.folder / "config.xml", config + "</clickhouse>\n");
}

void RealClickHouse::spawn() {
  std::vector<std::string> arguments = {built_program("millrace-clickhouse-dev").string(), "--path",
                                        (options_.folder / "data").string(), "--http-port",
                                        std::to_string(port_)};
  const auto config = options_.folder / "config.xml";
  if (std::filesystem::exists(config)) {
    arguments.insert(arguments.end(), {"--config-file", config.string()});
  }
  if (options_.replicated) {
    arguments.insert(arguments.end(), {"--interserver-host", "127.0.0.1"});
  }
  if (native_port_ != 0)
    arguments.insert(arguments.end(), {"--tcp-port", std::to_string(native_port_)});
  process_.reset();
  process_ = std::make_unique<ChildProcess>(ChildProcess::Options{.name = "ClickHouse",
                                                                  .arguments = std::move(arguments),
                                                                  .output = options_.folder / "log",
                                                                  .environment = {}});
}

std::uint16_t RealClickHouse::native_port() {
  if (native_port_ == 0) native_port_ = free_port();
  return native_port_;
}

void RealClickHouse::wait_ready() {
  const auto answers = [&] {
    if (!process_->running())
      throw std::runtime_error("ClickHouse ended: " + process_->output_tail());
    return http_request(port_, "/ping", {}, std::chrono::seconds{5}).body == "Ok.\n";
  };
  const auto result = eventually(answers, kPatience, "ClickHouse answers /ping");
  if (!result) throw std::runtime_error(result.message() + process_->output_tail());
}

void RealClickHouse::start() {
  spawn();
  wait_ready();
}

void RealClickHouse::kill9() { process_->kill9(); }

void RealClickHouse::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait(kPatience)) throw std::runtime_error("ClickHouse does not end on SIGTERM");
}

std::string RealClickHouse::query(const std::string& sql) const {
  const HttpReply reply = http_request(port_, "/?wait_end_of_query=1", sql);
  if (!reply.ok()) throw QueryFailed(sql + ": " + reply.body);
  std::string text = reply.body;
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<std::uint64_t> RealClickHouse::try_number(const std::string& sql) const {
  try {
    return number(sql);
  } catch (const QueryFailed&) {
    return std::nullopt;
  }
}

}  // namespace millrace::test
