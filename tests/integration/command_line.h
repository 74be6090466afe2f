// The base of tests that run `millrace query` and `millrace insert` as processes, against a real
// server.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "tests/integration/clickhouse_only.h"
#include "tests/support/child_process.h"
#include "tests/support/millrace_process.h"

namespace millrace::test {

// What it wrote to standard output and standard error.
struct Answer {
  int code = -1;
  std::string out, error;
};

class CommandLine : public WithClickHouse {
 protected:
  static std::map<std::string, std::string> environment() {
    auto environment = sanitizer_environment();
    environment["CLICKHOUSE_URL"] = server().url();
    environment["MILLRACE"] = built_program("millrace").string();
    return environment;
  }

  // A line of the shell, in which m is the program.
  static Answer shell(const std::string& line,
                      const std::map<std::string, std::string>& more = {}) {
    auto all = environment();
    for (const auto& [key, value] : more) all[key] = value;
    const auto out = file("stdout"), error = file("stderr");
    const std::string script = "m() { \"$MILLRACE\" \"$@\"; }\n{ " + line + "\n} > '" +
                               out.string() + "' 2> '" + error.string() + "'";
    const ProgramResult result = run_program({"/bin/sh", "-c", script}, kPatience, all);
    return {
        .code = result.exit_code, .out = read_file(out), .error = read_file(error) + result.output};
  }

  static std::string quoted(const std::filesystem::path& path) {
    return " '" + path.string() + "' ";
  }
};

inline testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << part << " is not in: " << text;
}

// A pipe that this test holds open, so that its reader waits for more.
class Fifo {
 public:
  explicit Fifo(const std::filesystem::path& path) {
    if (mkfifo(path.c_str(), 0600) == 0) fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  }
  ~Fifo() { close(fd_); }
  Fifo(const Fifo&) = delete;
  // False when its reader does not take all of it in time: it may be gone.
  bool write(std::string_view bytes) const {
    return eventually(
        [&] {
          const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
          if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
          return bytes.empty();
        },
        kPatience, "the pipe is read", Millis{1});
  }

  bool drained() const {
    int left = -1;
    return ioctl(fd_, FIONREAD, &left) == 0 && left == 0;
  }

 private:
  int fd_ = -1;
};

}  // namespace millrace::test
