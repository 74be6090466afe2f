#include "pipeline/server_clock.h"

#include <algorithm>

namespace millrace {

using std::chrono::seconds;

void ServerClock::note(std::chrono::sys_time<std::chrono::milliseconds> server,
                       SteadyTime answered) {
  const MutexLock lock(mutex_);
  server_ = server;
  answered_ = answered;
}

std::optional<std::chrono::sys_seconds> ServerClock::at(SteadyTime now) const {
  const MutexLock lock(mutex_);
  if (!answered_) return std::nullopt;
  return std::chrono::floor<seconds>(server_ + (now - *answered_));
}

seconds age_of(const FirstTry& then, SteadyTime now, std::chrono::sys_seconds server_now) {
  if (const auto* planned = std::get_if<std::chrono::sys_seconds>(&then))
    return server_now - *planned + seconds(1);
  const auto age = std::chrono::ceil<seconds>(now - std::get<SteadyTime>(then));
  return std::max(age, seconds(0)) + seconds(1);
}

bool may_have_restarted(seconds uptime, seconds age) { return age <= seconds(0) || uptime <= age; }

}  // namespace millrace
