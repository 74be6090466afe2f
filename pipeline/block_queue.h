// Blocks on their way from producers to workers.
//
// NOT first in, first out over several producers: order holds only within one producer, and a
// parked block comes back when it is due. Nothing may rely on order; lanes put completions in order
// themselves (AckTracker).
// Unbounded by itself: the byte budget at the door bounds it, so push never blocks and never fails.
//
//   producers --push--> [lock-free queue] --pop--> workers
//                       [parked, by time] <--park--
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "pipeline/block.h"

namespace millrace {

// Thread-safe; each thread uses a handle of its own.
class BlockQueue {
 public:
  // `slice` is the longest sleep of a worker without looking again. Blocks, due times and close()
  // wake it, so nothing depends on its length: it bounds the wait, should a wake-up be missing.
  explicit BlockQueue(std::chrono::milliseconds slice = std::chrono::milliseconds(500));
  ~BlockQueue();
  BlockQueue(const BlockQueue&) = delete;
  BlockQueue& operator=(const BlockQueue&) = delete;

  // A producer thread's way in. Must not outlive the queue. Owned by one thread.
  class Inlet {
   public:
    Inlet(Inlet&&) noexcept;
    ~Inlet();
    void push(InsertBlockPtr block);

   private:
    friend class BlockQueue;
    struct Token;
    Inlet(BlockQueue& queue, std::unique_ptr<Token> token);
    BlockQueue* queue_;
    std::unique_ptr<Token> token_;
  };
  // A worker's way out. Must not outlive the queue. Owned by one thread.
  class Outlet {
   public:
    Outlet(Outlet&&) noexcept;
    ~Outlet();
    // A parked block that is due, else the next of the queue; waits until there is one. Null only
    // after close(), when nothing is queued (what is parked stays parked). An idle wait costs
    // well under 0.1 % of a core.
    InsertBlockPtr pop();

   private:
    friend class BlockQueue;
    struct Token;
    Outlet(BlockQueue& queue, std::unique_ptr<Token> token);
    BlockQueue* queue_;
    std::unique_ptr<Token> token_;
  };
  Inlet make_inlet();
  Outlet make_outlet();

  // Keeps a failed block until `due`. A waiting block holds no worker and no connection.
  void park(InsertBlockPtr block, SteadyTime due);
  // Makes a lane's parked blocks due now: it was abandoned, and a worker is to let go of them.
  void unpark(const LaneProgress& lane);
  // Makes all parked blocks due now (a drain, or an operator who has mended the table).
  void unpark_all();
  // Wakes all workers; pop returns null once the queue is empty.
  void close();

  std::size_t queued() const noexcept;  // without the parked ones
  std::size_t parked() const;
  // Workers that wait in pop() and for which no block is queued.
  std::size_t wanted() const noexcept;
  double oldest_age_seconds(SteadyTime now) const;  // of queued and parked; 0 when there are none

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
