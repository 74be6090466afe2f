#include "service/exit_watch.h"

#include <gtest/gtest.h>

#include <future>

namespace millrace {
namespace {

using std::chrono::hours;
using std::chrono::steady_clock;

TEST(ExitWatch, GivesUpOnceTheEarliestTimeIsOver) {
  std::promise<void> given_up;
  ExitWatch watch([&] { given_up.set_value(); });
  watch.expect_end_by(steady_clock::now() + hours(2));
  watch.expect_end_by(steady_clock::now());
  watch.expect_end_by(steady_clock::now() + hours(1));
  given_up.get_future().wait();
}

TEST(ExitWatch, IsSilentWhenTheProcessEnds) {
  ExitWatch watch([] { FAIL() << "it ended in time"; });
  watch.expect_end_by(steady_clock::now() + hours(1));
}

TEST(ExitWatch, AskedForNothingItDoesNothing) {
  ExitWatch watch([] { FAIL(); });
}

}  // namespace
}  // namespace millrace
