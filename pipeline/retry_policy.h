// What follows a failure, and how long a failed block waits before the next try. Pure: randomness
// is an argument.
#pragma once

#include <chrono>
#include <map>

#include "transport/error.h"

namespace millrace {

struct RetryPolicy {
  std::chrono::milliseconds first{100};  // upper end of the first pause
  std::chrono::milliseconds max{10'000};
  std::chrono::milliseconds wait_probe{2'000};  // how often a waiting lane is probed, at first
  std::chrono::milliseconds wait_probe_max{30'000};
  // By ClickHouse's code, or by minus the HTTP status of an answer that has none; wins over the
  // error's own.
  std::map<int, Disposition> dispositions{};

  // Rows are sent in parts, or given up, only where the refusal left nothing behind: an error
  // behind which the insert may have been applied then waits.
  Disposition disposition_of(const TransportError& error) const;
};

// `attempt` counts from 1 (the first failure). Full jitter: uniform in (0, min(max, first*2^n)] for
// kRetry; in [half, whole] of the probe interval for the dispositions that wait. `random` is in
// [0, 1). https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
std::chrono::milliseconds retry_delay(const RetryPolicy& limits, Disposition disposition,
                                      unsigned attempt, double random);

}  // namespace millrace
