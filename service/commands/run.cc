#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "service/commands/commands.h"
#include "service/log.h"

namespace millrace {
namespace {

sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

// Turns signals into requests to the application, on a thread of its own, because nothing of that
// may be done in a signal handler. Owned by one thread; must not outlive the application.
class SignalThread {
 public:
  SignalThread(Application& application, LogSink log)
      : application_(application), log_(std::move(log)), thread_([this] { run(); }) {}
  ~SignalThread() {
    done_ = true;
    pthread_kill(thread_.native_handle(), SIGHUP);  // ends its sigwait
    thread_.join();
  }
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  void run() {
    const sigset_t signals = handled_signals();
    for (int ends = 0;;) {
      int signal = 0;
      sigwait(&signals, &signal);
      if (done_) return;
      if (signal == SIGHUP) {
        log_({LogLevel::kInfo, "", "SIGHUP: the configuration is read again", {}});
        application_.reload();
      } else {
        handle_end(++ends, signal == SIGTERM ? "SIGTERM" : "SIGINT");
      }
    }
  }

  void handle_end(int times, const char* signal) {
    const std::string again = std::string(signal) + ", the " + (times == 2 ? "second" : "third");
    if (times == 1) {
      log_({LogLevel::kInfo,
            "",
            std::string(signal) + ": draining; a second one stops at once",
            {}});
      application_.request_drain();
    } else if (times == 2) {
      log_({LogLevel::kWarning, "", again + ": stopping at once", {}});
      application_.request_abort();
    } else {
      // Whoever asks three times does not want to know why it takes so long.
      std::_Exit(static_cast<int>(ExitCode::kStopped));
    }
  }

  Application& application_;
  const LogSink log_;
  std::atomic<bool> done_{false};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

void block_signals() {
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of its write()
}

ExitCode run_service(const std::filesystem::path& config_file) {
  const ConfigFile file = read_config_file(config_file);
  Config config = parse_config(file.text, file.name);
  Logger logger(config.log);
  try {
    Application application(std::move(config), file, logger);
    const SignalThread signals(application, logger.sink());
    return application.run();
  } catch (const std::exception& error) {
    logger.log({LogLevel::kError, "", std::string("stopped by a fault: ") + error.what(), {}});
    return ExitCode::kFailure;
  }
}

}  // namespace millrace
