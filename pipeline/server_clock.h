// When something was tried, told without comparing the clocks of two hosts.
//
// A process knows how long ago its own tries are by its steady clock. What a former owner tried, on
// another host, is told by a clock that both see: ClickHouse's. Each process measures it against
// its steady clock, writes it into its plans (Checkpoint::written), and asks the server itself how
// old a plan is. The wall clocks of the hosts decide nothing.
#pragma once

#include <chrono>
#include <optional>
#include <variant>

#include "pipeline/batcher.h"  // SteadyTime
#include "transport/mutex.h"

namespace millrace {

// Thread-safe: one thread notes, the sources ask.
class ServerClock {
 public:
  // The server's time in an answer that came at `answered`.
  void note(std::chrono::sys_time<std::chrono::milliseconds> server, SteadyTime answered);
  // ClickHouse's time at `now`, and never later than that: what is in doubt counts as long ago.
  // Nothing before the first answer.
  std::optional<std::chrono::sys_seconds> at(SteadyTime now) const;

 private:
  mutable Mutex mutex_;
  std::chrono::sys_time<std::chrono::milliseconds> server_ GUARDED_BY(mutex_){};
  std::optional<SteadyTime> answered_ GUARDED_BY(mutex_);
};

// The start of the first try of an insert: ours by our steady clock, a former owner's by
// ClickHouse's.
using FirstTry = std::variant<SteadyTime, std::chrono::sys_seconds>;
inline bool is_ours(const FirstTry& then) { return std::holds_alternative<SteadyTime>(then); }

// Clocks of the servers of one cluster may differ so much. A plan from a later future than that was
// written by a clock that has been set back since: how old it is nobody knows.
inline constexpr std::chrono::seconds kMaxServerClockSkew{60};

// Whole seconds, rounded up, and one more: what is in doubt counts as long ago. Pure. Not positive
// only for a plan whose time is in the server's future.
std::chrono::seconds age_of(const FirstTry& then, SteadyTime now,
                            std::chrono::sys_seconds server_now);
// Whether a server that is up for so long may have been started since something of that age. Pure.
bool may_have_restarted(std::chrono::seconds uptime, std::chrono::seconds age);

}  // namespace millrace
