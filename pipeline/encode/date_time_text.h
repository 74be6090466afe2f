// Dates and times of day as text, in every form that ClickHouse takes.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "pipeline/encode/json_cursor.h"
#include "pipeline/encode/time_zone.h"

namespace millrace {

struct Moment {
  std::int64_t seconds = 0;    // from 1970-01-01 00:00:00 UTC
  std::uint64_t fraction = 0;  // of a second: fraction / 10^fraction_digits, after `seconds`
  unsigned fraction_digits = 0;
  bool negative_fraction = false;  // before `seconds`
  // Nothing was said of a fraction: beyond the year 9999 `seconds` count something smaller.
  bool whole_number = false;
};

// date_time_input_format
enum class TimeForm { kBasic, kBestEffort };

// Reads the texts of one column. Owned by one thread: it remembers the last day.
class DateTimeReader {
 public:
  DateTimeReader(std::shared_ptr<const TimeZone> zone, TimeForm form)
      : zone_(std::move(zone)), form_(form) {}

  // Behind the opening quote, if there is one; it stops where the text of a time ends.
  // `with_fraction`: for DateTime64.
  Moment read(JsonCursor& in, bool with_fraction);

 private:
  Moment read_basic(JsonCursor& in, bool with_fraction);
  // "2024-01-02 03:04:05", with 'T' and 'Z' and decimals if they are there: what is most often.
  bool read_usual(JsonCursor& in, Moment& moment);
  bool find_day(const char* text);

  const std::shared_ptr<const TimeZone> zone_;
  const TimeForm form_;
  std::uint64_t last_date_[2] = {};  // its text
  std::int64_t last_midnight_ = 0;   // of UTC
  TimeZone::Day last_day_{};
};

// The text of a Time or Time64, behind its opening quote: [[h]hh:][m]m:ss, or seconds alone, with a
// sign. Time64 has decimals.
Moment read_time_of_day(JsonCursor& in, bool with_fraction);

// The text of a Date or Date32, behind its opening quote. There may be no such date: what that
// means is the column's to say.
struct CalendarDate {
  int year = 0;
  unsigned month = 0, day = 0;
};
CalendarDate read_date(JsonCursor& in);

}  // namespace millrace
