// Records from memory through producers, lanes, block queue and workers to a sender that discards.
// Prints one JSON object a line for each round; see README.md.
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pipeline/producer.h"
#include "pipeline/worker_pool.h"

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

// Every allocation of the process is counted. (Over-aligned ones go to the library's own operator.)
// Not inlined: g++ would see free() called on what operator new returned, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace millrace::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRecordBytes = 200;
constexpr std::size_t kDistinctRecords = 4'096;
constexpr std::int64_t kRecords = 6'000'000;  // of a round
constexpr std::int64_t kBurst = 500;  // records of one lane at a time, as a broker hands them
constexpr unsigned kLanes = 8;
constexpr unsigned kWorkers = 2;
constexpr std::size_t kBudgetBytes = 512u << 20;

class DiscardingSender final : public BlockSender {
 public:
  QuerySummary send(const TableTarget&, const std::string&, const EncodedBody&) override {
    return {};
  }
  void probe(const TableTarget&) override {}
  std::string session_id() const override { return session_id_; }

 private:
  const std::string session_id_;
};

std::vector<std::string> make_payloads() {
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < kDistinctRecords; ++i) {
    std::string row = R"({"id":)" + std::to_string(1'000'000 + i) + R"(,"text":")";
    row.append(kRecordBytes - row.size() - 2, static_cast<char>('a' + i % 26));
    row += "\"}";
    payloads.push_back(std::move(row));
  }
  return payloads;
}

// One producer thread: bursts into its lanes in turn until each has had its share.
void produce(Producer& producer, unsigned lanes, const std::vector<std::string>& payloads,
             const std::shared_ptr<const TableTarget>& target, std::int64_t records) {
  std::vector<Lane*> open;
  for (unsigned i = 0; i < lanes; ++i) {
    open.push_back(&producer.open_lane({"bench", "topic", static_cast<int>(i)}, target, 0));
  }
  for (std::int64_t done = 0; done < records; done += kBurst) {
    Lane& lane = *open[static_cast<std::size_t>(done / kBurst) % open.size()];
    while (producer.wants_pause(lane)) std::this_thread::yield();
    const auto now = Clock::now();
    for (std::int64_t i = 0; i < kBurst; ++i) {
      Record record;
      record.offset = lane.next_offset();
      record.timestamp_ms = 1'700'000'000'000 + record.offset;
      record.payload = payloads[static_cast<std::size_t>(record.offset) % payloads.size()];
      while (producer.append(lane, record, now) != AppendResult::kAppended) {
        std::this_thread::yield();
      }
    }
    producer.cut_due(now);
  }
  producer.cut_all(CutReason::kLeaving);
  while (!producer.all_idle()) std::this_thread::yield();
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void run_round(unsigned producers, int round, const std::vector<std::string>& payloads,
               const std::shared_ptr<const TableTarget>& target) {
  ByteBudget budget(kBudgetBytes);
  BlockQueue queue;
  const FlowControl flow;
  LaneRegistry registry;
  WorkerPool workers(
      kWorkers, queue, [](unsigned) { return std::make_unique<DiscardingSender>(); }, {}, budget,
      [](const LogEvent&) {});
  workers.start();

  const std::uint64_t allocations_before = allocations.load();
  const double cpu_before = cpu_seconds();
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < producers; ++i) {
    threads.emplace_back([&] {
      Producer producer(budget, queue, flow, registry);
      produce(producer, kLanes / producers, payloads, target, kRecords / producers);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double records = static_cast<double>(kRecords);
  std::printf(
      "{\"producers\":%u,\"workers\":%u,\"round\":%d,\"records_per_second\":%.0f,"
      "\"cpu_nanoseconds_per_record\":%.1f,\"allocations_per_record\":%.6f}\n",
      producers, kWorkers, round, records / seconds, (cpu_seconds() - cpu_before) * 1e9 / records,
      static_cast<double>(allocations.load() - allocations_before) / records);
  std::fflush(stdout);
}

}  // namespace
}  // namespace millrace::bench

// millrace_pipeline_bench [ROUNDS [columns]]
// `columns`: with topic, partition, offset and timestamp spliced into each row.
int main(int argc, char** argv) {
  using namespace millrace;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const auto target = std::make_shared<TableTarget>();
  target->table = "bench";
  if (argc > 2 && argv[2] == std::string_view("columns")) {
    target->columns = {"_topic", "_partition", "_offset", "_timestamp", "", ""};
  }
  const auto payloads = bench::make_payloads();
  for (int round = 1; round <= rounds; ++round) {
    for (const unsigned producers : {1u, 4u}) {
      bench::run_round(producers, round, payloads, target);
    }
  }
}
