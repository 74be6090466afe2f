// What the pipeline counts. Plain atomics, updated once a block, never a row; service/metrics.cc
// turns them into Prometheus families when it is scraped.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "pipeline/batcher.h"
#include "pipeline/body_limit.h"
#include "pipeline/dead_letter.h"
#include "transport/mutex.h"

namespace millrace {

// Thread-safe.
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Thread-safe.
class Gauge {
 public:
  void add(std::int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(std::int64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Counts an operation as in flight for a scope.
class InFlight {
 public:
  explicit InFlight(Gauge& gauge) : gauge_(gauge) { gauge_.add(1); }
  ~InFlight() { gauge_.add(-1); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  Gauge& gauge_;
};

// Fixed buckets, as Prometheus has them. Thread-safe.
class Histogram {
 public:
  Histogram(std::initializer_list<double> upper_bounds);
  void observe(double value) noexcept;
  struct Snapshot {
    std::vector<double> upper_bounds;
    std::vector<std::uint64_t> counts;  // one more than bounds: the last is +Inf; not cumulative
    double sum = 0;
  };
  Snapshot snapshot() const;

 private:
  const std::vector<double> upper_bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  std::atomic<double> sum_{0};
};

// Time spent in each stage, in nanoseconds.
enum class Stage { kSource, kQueue, kEncode, kSessionWait, kSend, kServer };
inline constexpr std::size_t kStages = 6;
std::string_view to_string(Stage stage);

// Counters by a label value that is found out at run time: an error code, a reason. Bounded: after
// 64 values the rest is counted under "other". Thread-safe.
class LabelledCounter {
 public:
  void add(const std::string& label, std::uint64_t n = 1);
  std::map<std::string, std::uint64_t> values() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::uint64_t> values_ GUARDED_BY(mutex_);
};

// The last dead letters of a table, for people who look: what and why, without the payload, which
// is where `dead_letters` says. Thread-safe.
class NewestDeadLetters {
 public:
  static constexpr std::size_t kMost = 10;
  struct Note {
    std::chrono::system_clock::time_point time{};
    std::string topic{};
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    int code = 0;
    std::string reason{}, message{};  // the message's beginning
  };
  void add(const DeadLetter& letter);
  std::deque<Note> notes() const;  // newest first

 private:
  mutable Mutex mutex_;
  std::deque<Note> notes_ GUARDED_BY(mutex_);
};

// Whether what was promised of a table holds; known when it was first asked. Thread-safe.
class GuaranteeNote {
 public:
  struct Value {
    bool holds = false;
    std::string text;
    bool operator==(const Value&) const = default;
  };
  void set(Value value);
  std::optional<Value> value() const;
  std::optional<Value> take_news();  // the value, once after it became another one

 private:
  mutable Mutex mutex_;
  std::optional<Value> value_ GUARDED_BY(mutex_);
  bool news_ GUARDED_BY(mutex_) = false;
};

// Of one table of one pipeline. Thread-safe.
struct TableStats {
  Counter rows, bytes, blocks;    // acknowledged by ClickHouse
  Counter rows_read, bytes_read;  // taken from the source
  Counter tombstones;             // null payloads
  LabelledCounter dead_letters;   // stored, by error code name
  NewestDeadLetters newest_dead_letters;
  Counter unwritten_rows;                 // records of which ClickHouse reported no row
  Counter repaired_rows;                  // records sent again, as the server had lost them
  Counter abandoned_blocks;               // not sent: the lane went to another owner
  std::array<Counter, kCutReasons> cuts;  // by CutReason
  std::array<Counter, kStages> stage_nanoseconds;  // by Stage
  LabelledCounter retries;                         // by error code name, or kind of network error
  GuaranteeNote guarantee;                         // exactly once
  BodyLimit body_limit;                            // of a proxy before ClickHouse
  LabelledCounter encoded_blocks;                  // bodies made, by their format
  LabelledCounter passed_on;                       // why JSON is not encoded, by column
  Histogram insert_seconds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  Histogram block_rows{1, 10, 100, 1'000, 10'000, 50'000, 100'000, 500'000, 1'000'000};
  Histogram block_bytes{1 << 10, 16 << 10, 128 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20};
};

}  // namespace millrace
