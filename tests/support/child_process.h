// A real process as an object: it ends with the object, whatever happens to the test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/eventually.h"

namespace millrace::test {

// Runs in a process group of its own and is killed with it: by the destructor, and by the kernel if
// the test itself dies. Both its outputs go to one file. Owned by one thread, which must be the
// test's main thread (the kernel's kill comes when the thread that started the process ends).
class ChildProcess {
 public:
  struct Options {
    std::string name;                                // for messages
    std::vector<std::string> arguments;              // the program first
    std::filesystem::path output;                    // appended to
    std::map<std::string, std::string> environment;  // added to our own
  };
  explicit ChildProcess(Options options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool running();        // false once it has ended, by itself or by a signal
  bool stopped() const;  // by SIGSTOP
  void signal(int signal_number);
  // The exit code, 128 + signal for a process that a signal ended; nothing if it still runs then.
  std::optional<int> wait(std::chrono::seconds deadline);
  void kill9();  // and waits for the end

  pid_t pid() const { return pid_; }
  const std::string& name() const { return options_.name; }
  std::string output() const;  // all of it so far
  std::string output_tail() const;

  std::size_t resident_bytes() const;
  Millis cpu_time() const;  // user and system, of all its threads

 private:
  bool reap(bool block);

  const Options options_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Runs a program to its end; its output and exit code.
struct ProgramResult {
  int exit_code = -1;  // -1: did not end in time and was killed
  std::string output;  // standard output and error
};
ProgramResult run_program(const std::vector<std::string>& arguments,
                          std::chrono::seconds deadline = kPatience,
                          const std::map<std::string, std::string>& environment = {});

// For the test's main(): prints the tail of the output of all running children at each failure.
void print_children_on_failure();

}  // namespace millrace::test
