// Runs COUNT copies of a command at once and says what they cost: one JSON object with seconds
// (from the first one's start to the last one's end), cpu_seconds (user and system, of all) and
// peak_rss_bytes (the sum of their peaks, so pages that they share count several times).
//
//   millrace_measure COUNT COMMAND [ARGUMENT...]      "{}" in an argument: the copy's number, from
//   1
//
// It is a program of its own because Linux gives a child the peak of the process that it was forked
// from: this one is smaller than all that it measures.
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern char** environ;

namespace {

void start(char** arguments, int number) {
  std::vector<std::string> texts;
  for (char** argument = arguments; *argument != nullptr; ++argument) {
    std::string text = *argument;
    if (const auto at = text.find("{}"); at != std::string::npos)
      text.replace(at, 2, std::to_string(number));
    texts.push_back(std::move(text));
  }
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv.front(), nullptr, nullptr, argv.data(), environ);
  if (error == 0) return;
  std::fprintf(stderr, "measure: %s: %s\n", argv.front(), std::strerror(error));
  std::exit(1);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 2 ? std::atoi(argv[1]) : 0;
  if (count < 1) {
    std::fprintf(stderr, "usage: millrace_measure COUNT COMMAND [ARGUMENT...]\n");
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  for (int number = 1; number <= count; ++number) start(argv + 2, number);
  double cpu_seconds = 0;
  long peak_kib = 0;
  bool failed = false;
  for (int left = count; left > 0;) {
    int status = 0;
    rusage usage{};
    if (::wait4(-1, &status, 0, &usage) < 0) {
      if (errno == EINTR) continue;
      std::perror("measure: wait4");
      return 1;
    }
    --left;
    failed = failed || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    cpu_seconds += seconds(usage.ru_utime) + seconds(usage.ru_stime);
    peak_kib += usage.ru_maxrss;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  if (failed) {
    std::fprintf(stderr, "measure: '%s' failed\n", argv[2]);
    return 1;
  }
  std::printf("{\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"peak_rss_bytes\":%ld}\n", elapsed.count(),
              cpu_seconds, peak_kib * 1024);
}
