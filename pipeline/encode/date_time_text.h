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
  std::uint64_t fraction = 0;  // of a second: fraction / 10^fraction_digits
  unsigned fraction_digits = 0;
};

// Reads the texts of one column. Owned by one thread: it remembers the last day.
class DateTimeReader {
 public:
  explicit DateTimeReader(std::shared_ptr<const TimeZone> zone) : zone_(std::move(zone)) {}

  // date_time_input_format=best_effort. Behind the opening quote; it stops where the text of a time
  // ends. `with_fraction`: for DateTime64.
  Moment read_best_effort(JsonCursor& in, bool with_fraction);

 private:
  // "2024-01-02 03:04:05", with 'T' and 'Z' and decimals if they are there: what is most often.
  bool read_usual(JsonCursor& in, Moment& moment);
  bool find_day(const char* text);

  const std::shared_ptr<const TimeZone> zone_;
  std::uint64_t last_date_[2] = {};  // its text
  std::int64_t last_midnight_ = 0;   // of UTC
  TimeZone::Day last_day_{};
};

// The text of a Date or Date32, behind its opening quote. There may be no such date: what that
// means is the column's to say.
struct CalendarDate {
  int year = 0;
  unsigned month = 0, day = 0;
};
CalendarDate read_date(JsonCursor& in);

}  // namespace millrace
