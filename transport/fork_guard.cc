#include "transport/fork_guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <vector>

namespace millrace {
namespace {

std::atomic<std::uint64_t> epoch{0};

// Readers are the ForkHolds, the writer is fork(). Writers first: a busy process must be able to
// fork. Not a std::shared_mutex, because the child has to make it anew: glibc would not let a
// writer with another thread number unlock it.
pthread_rwlock_t holds = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

void reset_holds() {
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&holds, &attributes);
  pthread_rwlockattr_destroy(&attributes);
}

// One end of a pair whose other end is closed: reading finds the end, writing EPIPE.
int make_dead_end() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  ::close(ends[1]);
  return ends[0];
}

// Who takes part. One in a process, never destroyed: fork() may come at any time.
class Participants {
 public:
  static Participants& get() {
    static Participants& all = *new Participants;
    return all;
  }

  void add(ForkParticipant& participant) {
    MutexLock lock(mutex_);
    all_.push_back(&participant);
  }
  void remove(ForkParticipant& participant) {
    MutexLock lock(mutex_);
    std::erase(all_, &participant);
  }
  // Made beforehand: the child might find no free number for one.
  int dead_end() const { return dead_end_; }

 private:
  Participants() {
    if (const int error = ::pthread_atfork(&before, &in_parent, &in_child); error != 0) {
      throw std::system_error(error, std::generic_category(), "pthread_atfork");
    }
  }

  static void before() { get().lock_all(); }
  static void in_parent() { get().unlock_all(); }
  static void in_child() { get().forget_all(); }

  // The holds last: a participant takes one while it has its own lock.
  void lock_all() ACROSS_FORK {
    mutex_.lock();
    for (ForkParticipant* const participant : all_) participant->before_fork();
    pthread_rwlock_wrlock(&holds);
  }
  void unlock_all() ACROSS_FORK {
    pthread_rwlock_unlock(&holds);
    for (ForkParticipant* const participant : all_) participant->after_fork_in_parent();
    mutex_.unlock();
  }
  void forget_all() ACROSS_FORK {
    reset_holds();
    ++epoch;
    for (ForkParticipant* const participant : all_) participant->after_fork_in_child();
    mutex_.unlock();
  }

  const int dead_end_ = make_dead_end();
  Mutex mutex_;
  std::vector<ForkParticipant*> all_ GUARDED_BY(mutex_);
};

}  // namespace

ForkRegistration::ForkRegistration(ForkParticipant& participant) : participant_(participant) {
  Participants::get().add(participant_);
}

ForkRegistration::~ForkRegistration() { Participants::get().remove(participant_); }

ForkHold::ForkHold() { pthread_rwlock_rdlock(&holds); }

ForkHold::~ForkHold() { pthread_rwlock_unlock(&holds); }

std::uint64_t fork_epoch() noexcept { return epoch.load(std::memory_order_relaxed); }

void replace_by_dead_end(int fd) noexcept {
  (void)::dup3(Participants::get().dead_end(), fd, O_CLOEXEC);
}

}  // namespace millrace
