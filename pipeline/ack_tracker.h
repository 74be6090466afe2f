// Completions in any order -> one gap-free position. Pure.
//
//   offsets   0 ......... 100 ........ 250 ....... 400
//   cuts      [0,100) done   [100,250) sent   [250,400) done
//   position  100: everything below is done. When [100,250) finishes it jumps to 400.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace millrace {

// A half-open range of a lane's offsets. Offsets inside may be missing.
struct Cut {
  std::int64_t first = 0, end = 0;
  bool operator==(const Cut&) const = default;
};

// Owned by one thread, or guarded by its owner's lock (LaneProgress).
class AckTracker {
 public:
  explicit AckTracker(std::int64_t position) : position_(position), last_end_(position) {}

  // Cuts come in order: `cut.first` is the end of the one before (the first: the position) and
  // `cut.end` > `cut.first`. Anything else is a fault in the caller: throws std::logic_error.
  void open(Cut cut);
  // Throws std::logic_error for a cut that is not open: acknowledging what was never sent, or
  // twice, must not go unseen. True when the position moved.
  bool finish(Cut cut);

  // Takes back the cuts from this one on: what was never sent may be cut in another way. (Those
  // that are finished had no rows.) Throws std::logic_error when no cut begins there.
  void forget_from(std::int64_t first);

  std::int64_t position() const noexcept { return position_; }
  std::int64_t last_end() const noexcept { return last_end_; }  // everything below has been cut
  std::size_t unfinished() const noexcept { return unfinished_; }
  // Ends of all cuts above the position, finished ones behind a hole included: the plan that a
  // checkpoint must name.
  std::vector<std::int64_t> planned_ends() const;
  std::size_t planned() const noexcept { return open_.size(); }

 private:
  struct Open {
    Cut cut;
    bool finished = false;
  };
  std::deque<Open> open_;
  std::int64_t position_;
  std::int64_t last_end_;
  std::size_t unfinished_ = 0;
};

}  // namespace millrace
