#include "service/commands/progress_line.h"

#include <gtest/gtest.h>

#include <chrono>

namespace millrace {
namespace {

using std::chrono::duration;
using std::chrono::seconds;

TEST(ShortNumber, KeepsFourDigitsAtMost) {
  EXPECT_EQ(short_number(0), "0 ");
  EXPECT_EQ(short_number(7), "7 ");
  EXPECT_EQ(short_number(999), "999 ");
  EXPECT_EQ(short_number(1000), "1.0 k");
  EXPECT_EQ(short_number(12'345), "12.3 k");
  EXPECT_EQ(short_number(999'949), "999.9 k");
  EXPECT_EQ(short_number(999'951), "1.0 M");
  EXPECT_EQ(short_number(1.5e9), "1.5 G");
  EXPECT_EQ(short_number(2e12), "2.0 T");
  EXPECT_EQ(short_number(5e15), "5000.0 T");
}

TEST(ProgressText, SaysWhatIsKnown) {
  EXPECT_EQ(progress_text({.bytes = 3'000'000}, seconds(2)), "3.0 MB, 1.5 MB/s");
  EXPECT_EQ(progress_text({.rows = 12, .bytes = 100}, seconds(1)), "12 rows, 100 B, 100 B/s");
  EXPECT_EQ(progress_text({.rows = 1'200'000, .bytes = 0}, seconds(1)), "1.2 M rows, 0 B, 0 B/s");
}

TEST(ProgressText, SaysTheShareAndTheTimeLeftOfAKnownWhole) {
  EXPECT_EQ(progress_text({.bytes = 250, .total_bytes = 1000}, seconds(10)),
            "250 B, 25 B/s, 25 %, 30 s left");
  EXPECT_EQ(progress_text({.rows = 50, .bytes = 10, .total_rows = 100}, seconds(10)),
            "50 rows, 10 B, 1 B/s, 50 %, 10 s left");
  // Too early to tell.
  EXPECT_EQ(progress_text({.bytes = 250, .total_bytes = 1000}, duration<double>(0.5)),
            "250 B, 500 B/s, 25 %");
  // The whole was an estimate.
  EXPECT_EQ(progress_text({.bytes = 1500, .total_bytes = 1000}, seconds(10)),
            "1.5 kB, 150 B/s, 100 %");
}

TEST(ProgressText, AtOnceDividesByNoZero) {
  EXPECT_EQ(progress_text({.bytes = 1}, seconds(0)), "1 B, 1.0 kB/s");
}

}  // namespace
}  // namespace millrace
