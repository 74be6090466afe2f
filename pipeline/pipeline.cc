#include "pipeline/pipeline.h"

#include <utility>

namespace millrace {

Pipeline::Pipeline(PipelineOptions options, std::vector<std::unique_ptr<SourceReader>> readers,
                   ByteBudget& budget, BlockQueue& queue, LogSink log)
    : name_(std::move(options.name)),
      flow_(options.batch, options.lanes),
      readers_(std::move(readers)),
      budget_(budget),
      queue_(queue),
      log_(std::move(log)) {}

Pipeline::~Pipeline() {
  abort();
  join();
}

void Pipeline::start() {
  for (const auto& reader : readers_) {
    threads_.emplace_back([this, &reader = *reader] { run(reader); });
  }
}

// A producer thread. The producer ends with it: lanes that the reader left open are abandoned, so
// that nothing of them is sent once somebody else may own them.
void Pipeline::run(SourceReader& reader) {
  bool complete = false;
  std::string fault;
  try {
    Producer producer(budget_, queue_, flow_, lanes_);
    complete = reader.run(producer, stop_);
    if (!stop_.requested()) fault = "a source reader ended, and nobody asked it to";
  } catch (const std::exception& error) {
    fault = "a source reader ended by a bug in the program: " + std::string(error.what());
  } catch (...) {
    fault = "a source reader ended by a bug in the program";
  }
  if (!fault.empty()) {
    complete = false;
    fault += "; nothing more is read until the process is started again";
    log_({LogLevel::kError, "reader_fault/" + name_, fault, {{"pipeline", name_}}});
  }
  const MutexLock lock(mutex_);
  complete_ = complete_ && complete;
  if (!fault.empty()) faults_.push_back(fault);
}

void Pipeline::drain(SteadyTime deadline) { stop_.drain_until(deadline); }

void Pipeline::abort() { stop_.abort(); }

bool Pipeline::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const MutexLock lock(mutex_);
  return complete_;
}

std::vector<std::string> Pipeline::not_ready_reasons() const {
  std::vector<std::string> reasons = faults();
  for (const auto& reader : readers_) {
    if (std::string reason = reader->not_ready_reason(); !reason.empty()) {
      reasons.push_back(std::move(reason));
    }
  }
  return reasons;
}

std::vector<std::string> Pipeline::faults() const {
  const MutexLock lock(mutex_);
  return faults_;
}

}  // namespace millrace
