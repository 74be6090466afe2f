#include "pipeline/retry_policy.h"

#include <algorithm>
#include <cmath>

namespace millrace {
namespace {

using std::chrono::milliseconds;

// first * 2^(attempt-1), at most max; the exponent is bounded so that nothing overflows.
double doubled(milliseconds first, milliseconds max, unsigned attempt) {
  const int exponent = static_cast<int>(std::clamp(attempt, 1u, 64u)) - 1;
  return std::min(std::ldexp(static_cast<double>(first.count()), exponent),
                  static_cast<double>(max.count()));
}

}  // namespace

Disposition RetryPolicy::disposition_of(const TransportError& error) const {
  const int code = error.code() != 0 ? error.code() : -error.http_status();
  const auto wanted = dispositions.find(code);
  if (code == 0 || wanted == dispositions.end()) return error.disposition();
  const bool parts =
      wanted->second == Disposition::kSplit || wanted->second == Disposition::kDeadLetter;
  // Of a code that we do not know nobody but the configuration can say that it leaves nothing
  // behind.
  const bool known = code < 0 || !error_code_name(code).empty();
  return parts && known && error.may_have_been_applied() ? Disposition::kWait : wanted->second;
}

milliseconds retry_delay(const RetryPolicy& limits, Disposition disposition, unsigned attempt,
                         double random) {
  double delay_ms;
  if (disposition == Disposition::kRetry) {
    delay_ms = doubled(limits.first, limits.max, attempt) * (1.0 - random);
  } else {
    delay_ms = doubled(limits.wait_probe, limits.wait_probe_max, attempt) * (0.5 + random / 2);
  }
  return milliseconds(std::max<std::int64_t>(1, std::llround(delay_ms)));
}

}  // namespace millrace
