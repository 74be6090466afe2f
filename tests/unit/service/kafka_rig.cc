#include "tests/unit/service/kafka_rig.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

namespace millrace::test {

void Received::add(const InsertBlock& block) {
  const LaneId& id = block.lane->id();
  const MutexLock lock(mutex_);
  auto& partition = payloads_[{id.topic, id.partition}];
  for (const RecordEntry& entry : block.buffer.entries()) {
    if (!partition.emplace(entry.offset, entry.payload()).second) ++repeated_;
  }
}

std::size_t Received::records() const {
  const MutexLock lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [id, payloads] : payloads_) sum += payloads.size();
  return sum;
}

std::size_t Received::repeated() const {
  const MutexLock lock(mutex_);
  return repeated_;
}

std::vector<std::int64_t> Received::offsets(const std::string& topic,
                                            std::int32_t partition) const {
  std::vector<std::int64_t> offsets;
  const MutexLock lock(mutex_);
  const auto found = payloads_.find({topic, partition});
  if (found == payloads_.end()) return offsets;
  for (const auto& [offset, payload] : found->second) offsets.push_back(offset);
  return offsets;
}

std::vector<std::string> Received::payloads(const std::string& topic,
                                            std::int32_t partition) const {
  std::vector<std::string> payloads;
  const MutexLock lock(mutex_);
  const auto found = payloads_.find({topic, partition});
  if (found == payloads_.end()) return payloads;
  for (const auto& [offset, payload] : found->second) payloads.push_back(payload);
  return payloads;
}

KafkaRig::KafkaRig(RigOptions options)
    : options_(std::move(options)),
      budget_(options_.budget_bytes),
      target_(std::make_shared<TableTarget>(
          TableTarget{.pipeline = "p", .table = "t", .columns = options_.columns})),
      flow_(options_.batch, options_.lanes),
      producer_(budget_, queue_, flow_, registry_) {
  clock_->note(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
               std::chrono::steady_clock::now());
  reader_ = std::make_unique<KafkaReader>(
      KafkaReaderOptions{options_.source, "rig", [this](const std::string&) { return target_; },
                         log_sink(), options_.source.prefetch_bytes, clock_},
      budget_);
  working_ = std::thread([this] { work(); });
  reading_ = std::thread([this] { drained_ = reader_->run(producer_, stop_); });
}

KafkaRig::~KafkaRig() {
  if (reading_.joinable()) abort();
  if (!testing::Test::HasFailure()) return;
  const MutexLock lock(mutex_);
  for (const std::string& line : log_) std::cerr << "reader: " << line << "\n";
}

bool KafkaRig::drain(std::chrono::milliseconds grace) {
  if (grace.count() < 0) {
    stop_.abort();
  } else {
    stop_.drain_until(std::chrono::steady_clock::now() + grace);
  }
  reading_.join();
  held_ = false;
  only_ = -1;
  queue_.close();
  working_.join();
  return drained_;
}

bool KafkaRig::logged(const std::string& part) const {
  const MutexLock lock(mutex_);
  return std::any_of(log_.begin(), log_.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

LogSink KafkaRig::log_sink() {
  return [this](const LogEvent& event) {
    const MutexLock lock(mutex_);
    log_.push_back(event.key);
    log_.back().append(": ").append(event.message);
  };
}

bool KafkaRig::may_acknowledge(const InsertBlock& block) const {
  return !held_ && (only_ < 0 || only_ == block.lane->id().partition);
}

void KafkaRig::acknowledge(InsertBlockPtr block) {
  if (block->lane->abandoned()) {
    ++abandoned_;
    return;
  }
  if (options_.received) options_.received->add(*block);
  acknowledged_ += block->buffer.records();
  block->lane->finish(block->cut);
}

// Blocks that may not be acknowledged yet are parked, and so come back.
void KafkaRig::work() {
  BlockQueue::Outlet outlet = queue_.make_outlet();
  while (InsertBlockPtr block = outlet.pop()) {
    if (may_acknowledge(*block)) {
      acknowledge(std::move(block));
    } else {
      queue_.park(std::move(block),
                  std::chrono::steady_clock::now() + std::chrono::milliseconds{20});
    }
  }
}

}  // namespace millrace::test
