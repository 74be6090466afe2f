#include "service/sources/kafka_policy.h"

#include <algorithm>

namespace millrace {

// librdkafka fetches while the queue is below its limits, so it holds the queue and one answer of
// each broker on top. Measured with 2.0.2 and messages of 200 bytes: about 250 bytes of bookkeeping
// a message, 23 MiB resident of 32 MiB reserved. An answer is counted as it is sent, so compressed;
// it is small, that a compression of 1:8 still fits. It must also be small against the queue: once
// the queue is at its limit, 2.0.2 looks at it again only after up to a second.
PrefetchPlan plan_prefetch(std::size_t prefetch_bytes) {
  constexpr std::size_t kBookkeepingBytes = 512;  // of a message, its payload included if small
  constexpr std::size_t kLeastFetchBytes = 1'000'000;  // librdkafka takes no less
  PrefetchPlan plan{};
  plan.fetch_bytes = std::max(prefetch_bytes / 32, kLeastFetchBytes);
  plan.queue_kbytes = std::max<std::size_t>(prefetch_bytes / 2 / 1024, 1);
  plan.queue_messages = std::max<std::size_t>(prefetch_bytes / 2 / kBookkeepingBytes, 100);
  return plan;
}

std::string assignment_refusal(const std::string& assignment, int library_version) {
  // https://github.com/confluentinc/librdkafka/issues/4312: an assertion ends the whole process.
  constexpr int kFixed = 0x020300ff;
  if (assignment != "cooperative-sticky" || library_version >= kFixed) return {};
  const auto part = [&](int shift) { return std::to_string(library_version >> shift & 0xff); };
  return "cooperative-sticky needs librdkafka 2.3.0 or later: this one, " + part(24) + "." +
         part(16) + "." + part(8) +
         ", ends the process when a consumer leaves before its first assignment (its issue 4312); "
         "use range or roundrobin";
}

std::optional<std::int64_t> first_offset(const std::string& start_offset, std::int64_t low) {
  if (start_offset == "earliest") return low;
  return {};
}

LatestStart latest_start(const std::vector<SubscribedPartition>& partitions) {
  const auto committed = [](const SubscribedPartition& each) { return each.committed; };
  if (std::any_of(partitions.begin(), partitions.end(), committed)) return LatestStart::kBegun;
  const auto first = std::find_if(partitions.begin(), partitions.end(),
                                  [](const SubscribedPartition& each) { return each.was_there; });
  if (first == partitions.end()) return LatestStart::kBegun;
  return first->assigned ? LatestStart::kBegin : LatestStart::kWait;
}

OutOfRange after_out_of_range(std::int64_t next_offset, std::int64_t low, std::int64_t high) {
  if (next_offset < low) return {low, low - next_offset, false};
  if (next_offset > high) return {low, 0, true};
  return {next_offset, 0, false};
}

bool fits_budget(std::size_t needed_bytes, std::size_t reserved_bytes, std::size_t limit_bytes) {
  return reserved_bytes <= limit_bytes && needed_bytes <= limit_bytes - reserved_bytes;
}

bool may_resume_lane(bool wants_pause, std::size_t unfinished, std::size_t unfinished_at_pause) {
  return !wants_pause && unfinished <= unfinished_at_pause / 2;
}

BudgetGate::Step BudgetGate::refused(SteadyTime now) {
  if (!since_) since_ = now;
  if (paused_ || now - *since_ < kPatience) return Step::kNone;
  paused_ = true;
  return Step::kPauseAll;
}

BudgetGate::Step BudgetGate::admitted(std::size_t used_bytes, std::size_t limit_bytes, bool idle) {
  since_.reset();
  if (!paused_) return Step::kNone;
  if (!idle && used_bytes > limit_bytes - limit_bytes / 4) return Step::kNone;
  paused_ = false;
  return Step::kResumeAll;
}

bool RefillPolicy::due(std::size_t queued, SteadyTime now) {
  most_ = std::max(most_, queued);
  if (queued >= most_ - most_ / 2 || now - woken_ < kLeastInterval) return false;
  most_ = queued;
  woken_ = now;
  return true;
}

CommitFailure commit_failure(const std::string& error_name) {
  if (error_name == "ILLEGAL_GENERATION" || error_name == "UNKNOWN_MEMBER_ID" ||
      error_name == "FENCED_INSTANCE_ID") {
    return CommitFailure::kFenced;
  }
  if (error_name == "_TIMED_OUT" || error_name == "_TRANSPORT" || error_name == "_FAIL" ||
      error_name == "_BAD_MSG" || error_name == "REQUEST_TIMED_OUT" ||
      error_name == "UNKNOWN_SERVER_ERROR" || error_name == "UNKNOWN") {
    return CommitFailure::kUnresolved;
  }
  return CommitFailure::kRefused;
}

std::chrono::milliseconds revoke_patience(std::chrono::milliseconds session_timeout) {
  return std::min(session_timeout / 2, std::chrono::milliseconds{10'000});
}

}  // namespace millrace
