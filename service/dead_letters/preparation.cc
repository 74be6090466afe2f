#include "service/dead_letters/preparation.h"

#include <utility>

#include "transport/error.h"

namespace millrace {

DeadLetterPreparation::DeadLetterPreparation(
    std::vector<std::shared_ptr<DeadLetterArchive>> archives, LogSink log,
    std::chrono::milliseconds interval)
    : missing_(std::move(archives)), log_(std::move(log)), interval_(interval) {}

DeadLetterPreparation::~DeadLetterPreparation() { stop(); }

void DeadLetterPreparation::start() {
  if (!missing_.empty()) thread_ = std::thread([this] { run(); });
}

void DeadLetterPreparation::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void DeadLetterPreparation::run() {
  for (;;) {
    std::erase_if(missing_, [this](const auto& archive) { return prepare(*archive); });
    if (missing_.empty()) return;
    const auto next = std::chrono::steady_clock::now() + interval_;
    MutexLock lock(mutex_);
    while (!stopping_ && wake_.wait_until(mutex_, next)) {
    }
    if (stopping_) return;
  }
}

bool DeadLetterPreparation::prepare(DeadLetterArchive& archive) const {
  try {
    archive.prepare();
    return true;
  } catch (const AbortedError&) {
    return false;
  } catch (const std::exception& error) {
    log_({LogLevel::kWarning,
          "dead_letters_not_prepared/" + archive.name(),
          "the place for dead letters is not there yet, it is tried again: " + archive.name() +
              ": " + error.what(),
          {{"setting", "dead_letters"}}});
    return false;
  }
}

}  // namespace millrace
