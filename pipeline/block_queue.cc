#include "pipeline/block_queue.h"

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <atomic>
#include <map>
#include <set>
#include <utility>

#include "pipeline/stats.h"

#if defined(__SANITIZE_THREAD__)
// moodycamel synchronises the use of a slot anew by fences, which ThreadSanitizer does not model.
// The contents of a block are handed over under this file's mutex as well, so races in our own code
// stay visible.
extern "C" const char* __tsan_default_suppressions() { return "race:concurrentqueue.h\n"; }
#endif

namespace millrace {
namespace {

struct QueueTraits : moodycamel::ConcurrentQueueDefaultTraits {
  // Spinning pays for items of nanoseconds; a block comes every few milliseconds, and 16 idle
  // workers that spin before each sleep cost a tenth of a core.
  static const int MAX_SEMA_SPINS = 0;
  // After so many blocks of one producer a worker turns to the next one. With the library's 256 a
  // busy producer's gigabytes would go before everybody else's first block.
  static const std::uint32_t EXPLICIT_CONSUMER_CONSUMPTION_QUOTA_BEFORE_ROTATE = 1;
};

// A null block carries no data: it wakes a sleeper, which then looks again.
using Queue = moodycamel::BlockingConcurrentQueue<InsertBlockPtr, QueueTraits>;

constexpr SteadyTime::rep kNever = SteadyTime::max().time_since_epoch().count();

}  // namespace

struct BlockQueue::Impl {
  explicit Impl(std::chrono::milliseconds longest_sleep) : slice(longest_sleep) {}

  const std::chrono::milliseconds slice;
  Queue queue;
  std::atomic<std::size_t> queued{0};
  Gauge waiting;  // workers in pop()
  std::atomic<bool> closed{false};
  std::atomic<SteadyTime::rep> next_due{kNever};  // of `parked`; read without the lock by pop

  mutable Mutex mutex;  // held for a few instructions once a block, never once a record
  std::multimap<SteadyTime, InsertBlockPtr> parked GUARDED_BY(mutex);
  std::multiset<SteadyTime> ages GUARDED_BY(mutex);  // queued_at of all that is queued and parked

  SteadyTime due() const { return SteadyTime(SteadyTime::duration(next_due.load())); }
  void update_due() REQUIRES(mutex) {
    next_due = parked.empty() ? kNever : parked.begin()->first.time_since_epoch().count();
  }
  InsertBlockPtr taken(InsertBlockPtr block);
  InsertBlockPtr take_due(SteadyTime now);
  InsertBlockPtr take_after_close(moodycamel::ConsumerToken& token);
  void unpark(const LaneProgress* lane);
};

// A block leaves: it no longer counts for the age.
InsertBlockPtr BlockQueue::Impl::taken(InsertBlockPtr block) {
  const MutexLock lock(mutex);
  ages.erase(ages.find(block->queued_at));
  return block;
}

InsertBlockPtr BlockQueue::Impl::take_due(SteadyTime now) {
  if (closed || now < due()) return nullptr;
  MutexLock lock(mutex);
  if (parked.empty() || now < parked.begin()->first) return nullptr;
  InsertBlockPtr block = std::move(parked.extract(parked.begin()).mapped());
  update_due();
  lock.unlock();
  return taken(std::move(block));
}

// What is left, without waiting. One null block goes round among the sleepers: each who gets it
// leaves and hands it on, so that all wake, however many there are.
InsertBlockPtr BlockQueue::Impl::take_after_close(moodycamel::ConsumerToken& token) {
  InsertBlockPtr block;
  while (queue.try_dequeue(token, block)) {
    if (block == nullptr) continue;
    queue.enqueue(nullptr);
    --queued;
    return taken(std::move(block));
  }
  queue.enqueue(nullptr);
  return nullptr;
}

void BlockQueue::Impl::unpark(const LaneProgress* lane) {
  const MutexLock lock(mutex);
  for (auto next = parked.begin(); next != parked.end();) {
    const auto current = next++;
    if (lane != nullptr && current->second->lane.get() != lane) continue;
    ++queued;
    queue.enqueue(std::move(parked.extract(current).mapped()));
  }
  update_due();
}

struct BlockQueue::Inlet::Token {
  explicit Token(Queue& queue) : token(queue) {}
  moodycamel::ProducerToken token;
};
struct BlockQueue::Outlet::Token {
  explicit Token(Queue& queue) : token(queue) {}
  moodycamel::ConsumerToken token;
};

BlockQueue::BlockQueue(std::chrono::milliseconds slice) : impl_(std::make_unique<Impl>(slice)) {}
BlockQueue::~BlockQueue() = default;

BlockQueue::Inlet::Inlet(BlockQueue& queue, std::unique_ptr<Token> token)
    : queue_(&queue), token_(std::move(token)) {}
BlockQueue::Inlet::Inlet(Inlet&&) noexcept = default;
BlockQueue::Inlet::~Inlet() = default;

BlockQueue::Outlet::Outlet(BlockQueue& queue, std::unique_ptr<Token> token)
    : queue_(&queue), token_(std::move(token)) {}
BlockQueue::Outlet::Outlet(Outlet&&) noexcept = default;
BlockQueue::Outlet::~Outlet() = default;

BlockQueue::Inlet BlockQueue::make_inlet() {
  return {*this, std::make_unique<Inlet::Token>(impl_->queue)};
}

BlockQueue::Outlet BlockQueue::make_outlet() {
  return {*this, std::make_unique<Outlet::Token>(impl_->queue)};
}

void BlockQueue::Inlet::push(InsertBlockPtr block) {
  Impl& impl = *queue_->impl_;
  block->queued_at = std::chrono::steady_clock::now();
  {
    const MutexLock lock(impl.mutex);
    impl.ages.insert(block->queued_at);
  }
  ++impl.queued;
  impl.queue.enqueue(token_->token, std::move(block));
}

InsertBlockPtr BlockQueue::Outlet::pop() {
  Impl& impl = *queue_->impl_;
  const InFlight waits(impl.waiting);
  InsertBlockPtr block;
  while (!impl.closed) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (InsertBlockPtr due = impl.take_due(now)) return due;
    const auto until = std::min(now + impl.slice, impl.due());
    const auto sleep = std::chrono::ceil<std::chrono::microseconds>(until - now);
    if (!impl.queue.wait_dequeue_timed(token_->token, block, sleep)) continue;
    if (block == nullptr) continue;
    --impl.queued;
    return impl.taken(std::move(block));
  }
  return impl.take_after_close(token_->token);
}

void BlockQueue::park(InsertBlockPtr block, SteadyTime due) {
  const MutexLock lock(impl_->mutex);
  impl_->ages.insert(block->queued_at);
  const bool first = due < impl_->due();
  impl_->parked.emplace(due, std::move(block));
  impl_->update_due();
  if (first) impl_->queue.enqueue(nullptr);  // sleepers have a later time in mind
}

void BlockQueue::unpark(const LaneProgress& lane) { impl_->unpark(&lane); }
void BlockQueue::unpark_all() { impl_->unpark(nullptr); }

void BlockQueue::close() {
  impl_->closed = true;
  impl_->queue.enqueue(nullptr);
}

std::size_t BlockQueue::queued() const noexcept { return impl_->queued; }

std::size_t BlockQueue::wanted() const noexcept {
  const auto waiting = static_cast<std::size_t>(impl_->waiting.value());
  const std::size_t queued = impl_->queued;
  return waiting > queued ? waiting - queued : 0;
}

std::size_t BlockQueue::parked() const {
  const MutexLock lock(impl_->mutex);
  return impl_->parked.size();
}

double BlockQueue::oldest_age_seconds(SteadyTime now) const {
  const MutexLock lock(impl_->mutex);
  if (impl_->ages.empty()) return 0;
  return std::max(0.0, std::chrono::duration<double>(now - *impl_->ages.begin()).count());
}

}  // namespace millrace
