#include "tests/support/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>

#include "tests/support/files.h"

namespace millrace::test {
namespace {

std::set<ChildProcess*>& all_children() {
  static std::set<ChildProcess*> children;
  return children;
}

// Prints them once for each test: the first failure is the one that counts.
class ChildrenPrinter : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& /*info*/) override { printed_ = false; }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || printed_) return;
    printed_ = true;
    for (ChildProcess* child : all_children()) {
      std::cerr << "---- output of " << child->name() << " (process " << child->pid() << ", "
                << (child->running() ? "running" : "ended") << ") ends in:\n"
                << child->output_tail() << "----\n";
    }
  }
  bool printed_ = false;
};

// Environment and arguments as exec wants them; built before the fork, since a child of a process
// with threads must not allocate.
struct ExecArguments {
  explicit ExecArguments(const ChildProcess::Options& options) : arguments(options.arguments) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      if (!options.environment.contains(text.substr(0, text.find('='))))
        environment.push_back(text);
    }
    for (const auto& [name, value] : options.environment) {
      environment.push_back(name);
      environment.back().append("=").append(value);
    }
    for (auto& text : arguments) argv.push_back(text.data());
    for (auto& text : environment) envp.push_back(text.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
  }
  std::vector<std::string> arguments, environment;
  std::vector<char*> argv, envp;
};

[[noreturn]] void become(const ExecArguments& exec, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);  // the test ended between fork and prctl
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  // Files that libraries of the test opened without O_CLOEXEC are not the child's business.
  close_range(3, ~0U, 0);
  execve(exec.argv.front(), exec.argv.data(), exec.envp.data());
  const char* why = std::strerror(errno);
  std::ignore = write(STDERR_FILENO, why, std::strlen(why));
  _exit(127);
}

// /proc/PID/stat behind the command's name, which may hold spaces.
std::vector<std::string> stat_fields(pid_t pid) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

}  // namespace

ChildProcess::ChildProcess(Options options) : options_(std::move(options)) {
  const int output = open(options_.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) throw std::runtime_error("cannot write " + options_.output.string());
  const ExecArguments exec(options_);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(exec, output, parent);
  close(output);
  if (pid_ < 0) throw std::runtime_error("cannot fork for " + options_.name);
  setpgid(pid_, pid_);  // here too: a signal to the group may come before the child has run
  all_children().insert(this);
}

ChildProcess::~ChildProcess() {
  kill9();
  all_children().erase(this);
}

bool ChildProcess::reap(bool block) {
  if (exit_code_) return true;
  int status = 0;
  if (waitpid(pid_, &status, block ? 0 : WNOHANG) != pid_) return false;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return true;
}

bool ChildProcess::running() { return !reap(false); }

bool ChildProcess::stopped() const {
  const auto fields = stat_fields(pid_);
  return !fields.empty() && fields.front() == "T";
}

void ChildProcess::signal(int signal_number) {
  if (!reap(false)) kill(-pid_, signal_number);
}

std::optional<int> ChildProcess::wait(std::chrono::seconds deadline) {
  std::ignore = eventually([&] { return reap(false); }, deadline, "", Millis{10});
  return exit_code_;
}

void ChildProcess::kill9() {
  if (exit_code_) return;
  kill(-pid_, SIGKILL);
  reap(true);
}

std::string ChildProcess::output() const { return read_file(options_.output); }

std::string ChildProcess::output_tail() const {
  constexpr std::size_t kTailBytes = 4000;
  const std::string all = output();
  return all.size() <= kTailBytes ? all : "…" + all.substr(all.size() - kTailBytes);
}

std::size_t ChildProcess::resident_bytes() const {
  std::istringstream statm(read_file("/proc/" + std::to_string(pid_) + "/statm"));
  std::size_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

Millis ChildProcess::cpu_time() const {
  const auto fields = stat_fields(pid_);
  if (fields.size() < 13) return Millis{0};
  const long ticks = std::stol(fields[11]) + std::stol(fields[12]);  // utime, stime
  return Millis{ticks * 1000 / sysconf(_SC_CLK_TCK)};
}

ProgramResult run_program(const std::vector<std::string>& arguments, std::chrono::seconds deadline,
                          const std::map<std::string, std::string>& environment) {
  const TempDir dir("program");
  ChildProcess child({.name = arguments.front(),
                      .arguments = arguments,
                      .output = dir / "output",
                      .environment = environment});
  const auto code = child.wait(deadline);
  child.kill9();
  return {.exit_code = code.value_or(-1), .output = child.output()};
}

void print_children_on_failure() {
  testing::UnitTest::GetInstance()->listeners().Append(
      std::make_unique<ChildrenPrinter>().release());
}

}  // namespace millrace::test
