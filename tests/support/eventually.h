// Waiting for a condition in a test: polls, and never longer than a deadline.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace millrace::test {

using Millis = std::chrono::milliseconds;

// Sanitizers make everything slower; a bound on waiting is no statement about speed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// What most waits use: generous, as the machine may be busy with other tests.
inline constexpr std::chrono::seconds kPatience{90};

// Success as soon as `condition()` holds, failure with `what` when it does not within `deadline`.
//   ASSERT_TRUE(eventually([&] { return count() == 10; }, kPatience, "ten rows"));
template <class Condition>
testing::AssertionResult eventually(Condition&& condition, std::chrono::seconds deadline,
                                    const std::string& what, Millis poll = Millis{50}) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    if (condition()) return testing::AssertionSuccess();
    if (std::chrono::steady_clock::now() >= end) {
      return testing::AssertionFailure()
             << "waited " << deadline.count() << " s in vain for: " << what;
    }
    std::this_thread::sleep_for(poll);
  }
}

}  // namespace millrace::test
