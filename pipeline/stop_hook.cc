#include "pipeline/stop_hook.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {
namespace {

constexpr std::string_view kNames[] = {"cut",  "planned",  "before_send",
                                       "sent", "position", "dead_letters_stored"};

struct Wanted {
  std::string_view point;
  int passings = 1;
};

std::optional<Wanted> wanted() {
  const char* const text = std::getenv("MILLRACE_STOP_AT");
  if (text == nullptr) return std::nullopt;
  const std::string_view all = text;
  const std::size_t colon = all.find(':');
  if (colon == std::string_view::npos) return Wanted{all};
  return Wanted{all.substr(0, colon), std::atoi(text + colon + 1)};
}

}  // namespace

void stop_at(StopPoint point) noexcept {
  static const std::optional<Wanted> stop = wanted();
  if (!stop || kNames[static_cast<std::size_t>(point)] != stop->point) return;
  static std::atomic<int> passings{0};
  // Of the thread itself: it does not go one instruction further. The others stop with it.
  if (++passings == stop->passings) ::raise(SIGSTOP);
}

}  // namespace millrace
