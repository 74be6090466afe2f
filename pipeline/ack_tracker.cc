#include "pipeline/ack_tracker.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace millrace {
namespace {

std::string describe(Cut cut) {
  return "[" + std::to_string(cut.first) + ", " + std::to_string(cut.end) + ")";
}

}  // namespace

void AckTracker::open(Cut cut) {
  if (cut.first != last_end_ || cut.end <= cut.first) {
    throw std::logic_error("cut " + describe(cut) + " does not follow " +
                           std::to_string(last_end_));
  }
  open_.push_back({cut, false});
  last_end_ = cut.end;
  ++unfinished_;
}

bool AckTracker::finish(Cut cut) {
  const auto found =
      std::lower_bound(open_.begin(), open_.end(), cut.first,
                       [](const Open& open, std::int64_t first) { return open.cut.first < first; });
  if (found == open_.end() || found->cut != cut || found->finished) {
    throw std::logic_error("cut " + describe(cut) + " is not open; position " +
                           std::to_string(position_));
  }
  found->finished = true;
  --unfinished_;
  const std::int64_t before = position_;
  while (!open_.empty() && open_.front().finished) {
    position_ = open_.front().cut.end;
    open_.pop_front();
  }
  return position_ != before;
}

void AckTracker::forget_from(std::int64_t first) {
  while (!open_.empty() && open_.back().cut.first >= first) {
    last_end_ = open_.back().cut.first;
    if (!open_.back().finished) --unfinished_;
    open_.pop_back();
  }
  if (last_end_ != first) {
    throw std::logic_error("no cut begins at " + std::to_string(first) + ": not forgotten");
  }
}

std::vector<std::int64_t> AckTracker::planned_ends() const {
  std::vector<std::int64_t> ends;
  ends.reserve(open_.size());
  for (const Open& open : open_) ends.push_back(open.cut.end);
  return ends;
}

}  // namespace millrace
