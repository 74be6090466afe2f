#include "pipeline/stats.h"

#include <algorithm>
#include <utility>

namespace millrace {

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kSource:
      return "source";
    case Stage::kQueue:
      return "queue";
    case Stage::kEncode:
      return "encode";
    case Stage::kSessionWait:
      return "session_wait";
    case Stage::kSend:
      return "send";
    case Stage::kServer:
      return "server";
  }
  return "unknown";
}

Histogram::Histogram(std::initializer_list<double> upper_bounds)
    : upper_bounds_(upper_bounds), counts_(upper_bounds_.size() + 1) {}

void Histogram::observe(double value) noexcept {
  const auto bucket = std::lower_bound(upper_bounds_.begin(), upper_bounds_.end(), value);
  const auto index = static_cast<std::size_t>(bucket - upper_bounds_.begin());
  counts_[index].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot result{upper_bounds_, {}, sum_.load(std::memory_order_relaxed)};
  for (const auto& count : counts_) {
    result.counts.push_back(count.load(std::memory_order_relaxed));
  }
  return result;
}

void LabelledCounter::add(const std::string& label, std::uint64_t n) {
  constexpr std::size_t kMaxLabels = 64;
  const MutexLock lock(mutex_);
  const bool known = values_.contains(label);
  values_[known || values_.size() < kMaxLabels ? label : "other"] += n;
}

std::map<std::string, std::uint64_t> LabelledCounter::values() const {
  const MutexLock lock(mutex_);
  return values_;
}

void NewestDeadLetters::add(const DeadLetter& letter) {
  constexpr std::size_t kMessageBytes = 300;
  const MutexLock lock(mutex_);
  notes_.push_front({.time = letter.time,
                     .topic = letter.topic,
                     .partition = letter.partition,
                     .offset = letter.offset,
                     .code = letter.code,
                     .reason = letter.reason,
                     .message = letter.message.substr(0, kMessageBytes)});
  if (notes_.size() > kMost) notes_.pop_back();
}

std::deque<NewestDeadLetters::Note> NewestDeadLetters::notes() const {
  const MutexLock lock(mutex_);
  return notes_;
}

void GuaranteeNote::set(Value value) {
  const MutexLock lock(mutex_);
  if (value_ == value) return;
  value_ = std::move(value);
  news_ = true;
}

std::optional<GuaranteeNote::Value> GuaranteeNote::take_news() {
  const MutexLock lock(mutex_);
  return std::exchange(news_, false) ? value_ : std::nullopt;
}

std::optional<GuaranteeNote::Value> GuaranteeNote::value() const {
  const MutexLock lock(mutex_);
  return value_;
}

}  // namespace millrace
