// One configured flow: source readers, each on a producer thread, into the shared queue.
//
//   SourceReader (thread) -> Producer -> BlockQueue -> Worker (thread) -> BlockSender
//        ^                                                |
//        +-- commits LaneProgress::position() <-- finish -+
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/source.h"

namespace millrace {

struct PipelineOptions {
  std::string name;
  BatchLimits batch;
  LaneLimits lanes;
};

// start(), drain() and join() by one thread; the rest thread-safe.
class Pipeline {
 public:
  Pipeline(PipelineOptions options, std::vector<std::unique_ptr<SourceReader>> readers,
           ByteBudget& budget, BlockQueue& queue, LogSink log);
  ~Pipeline();  // abort and join

  void start();
  void drain(SteadyTime deadline);  // returns at once
  void abort();
  // True when every reader has drained completely: all it read is acknowledged and committed.
  bool join();

  // What changes while it runs.
  FlowControl& flow() noexcept { return flow_; }
  const FlowControl& flow() const noexcept { return flow_; }

  const std::string& name() const noexcept { return name_; }
  std::vector<LaneStatus> lanes() const { return lanes_.status(); }
  std::vector<std::string> not_ready_reasons() const;
  // Readers that are gone although nobody asked them to end: nothing but a restart of the process
  // helps (/livez), and the pipeline is not drained.
  std::vector<std::string> faults() const;

 private:
  void run(SourceReader& reader);

  const std::string name_;
  FlowControl flow_;
  StopSignal stop_;
  LaneRegistry lanes_;
  std::vector<std::unique_ptr<SourceReader>> readers_;
  ByteBudget& budget_;
  BlockQueue& queue_;
  const LogSink log_;
  mutable Mutex mutex_;
  std::vector<std::string> faults_ GUARDED_BY(mutex_);
  bool complete_ GUARDED_BY(mutex_) = true;  // no reader has left anything behind
  std::vector<std::thread> threads_;
};

}  // namespace millrace
