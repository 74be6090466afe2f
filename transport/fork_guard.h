// What has to hold when a process with threads calls fork(2).
//
// The child gets a copy of all memory but only the forking thread: a lock that another thread held
// stays locked for ever, and a connection is now in two processes, whose bytes would mix. So
// everything with a lock or a connection takes part in the fork (ForkParticipant), through handlers
// of pthread_atfork(3): its locks are taken before, let go of after, and the child forgets the
// connections. Brief calls into a library with locks of its own are put under a ForkHold.
// All of it is thread-safe.
// https://pubs.opengroup.org/onlinepubs/9699919799/functions/pthread_atfork.html
#pragma once

#include <cstdint>

#include "transport/mutex.h"

// For functions that end with a lock taken, or begin with one: clang can't follow them through
// fork().
#define ACROSS_FORK MILLRACE_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace millrace {

// fork() takes the locks of all participants in no particular order, so a thread must not hold
// those of two of them at once.
class ForkParticipant {
 public:
  virtual void before_fork() = 0;
  virtual void after_fork_in_parent() noexcept = 0;
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  ~ForkParticipant() = default;
};

// Takes part for as long as it lives. Made and destroyed while none of the participant's locks is
// held. Throws std::system_error when the process has no file descriptors left.
class ForkRegistration {
 public:
  explicit ForkRegistration(ForkParticipant& participant);
  ~ForkRegistration();
  ForkRegistration(const ForkRegistration&) = delete;
  ForkRegistration& operator=(const ForkRegistration&) = delete;

 private:
  ForkParticipant& participant_;
};

// fork() in another thread waits for the end of this scope. Not to be nested; inside it, no lock of
// a participant may be taken and no ForkRegistration made.
class ForkHold {
 public:
  ForkHold();
  ~ForkHold();
  ForkHold(const ForkHold&) = delete;
  ForkHold& operator=(const ForkHold&) = delete;
};

// A lock that is held briefly, with no other inside it, and which a child finds free.
class SCOPED_CAPABILITY BriefLock {
 public:
  explicit BriefLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~BriefLock() RELEASE() { mutex_.unlock(); }
  BriefLock(const BriefLock&) = delete;

 private:
  const ForkHold hold_;
  Mutex& mutex_;
};

// How many forks lie between this process and the one that loaded us: what was made under another
// number belongs to a parent.
std::uint64_t fork_epoch() noexcept;

// In the child: what is behind `fd`, a connection of the parent's, is exchanged for a socket that
// is at its end. The number stays valid, and the connection gets neither bytes nor a shutdown.
void replace_by_dead_end(int fd) noexcept;

}  // namespace millrace
