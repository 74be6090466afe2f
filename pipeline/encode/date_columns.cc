#include "pipeline/encode/date_columns.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "pipeline/encode/date_time_text.h"
#include "pipeline/encode/number_text.h"

namespace millrace {
namespace {

constexpr std::int64_t kFirstDay = -25567;  // 1900-01-01
constexpr std::int64_t kLastDay = 120529;   // 2299-12-31

constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31 23:59:59

constexpr std::int64_t kLongestTime = 3599999;  // 999:59:59

std::int64_t fraction_of(const Moment& moment, unsigned scale) {
  std::uint64_t fraction = moment.fraction;
  for (unsigned digits = moment.fraction_digits; digits < scale; ++digits) fraction *= 10;
  for (unsigned digits = moment.fraction_digits; digits > scale; --digits) fraction /= 10;
  return static_cast<std::int64_t>(moment.negative_fraction ? 0 - fraction : fraction);
}

// Kept within what the type can hold.
template <class T>
class DateWriter final : public FixedWidthWriter<T> {
 public:
  // `none`: for what is no date.
  DateWriter(std::int64_t first, std::int64_t last, std::int64_t none)
      : first_(first), last_(last), none_(none) {}

  void read(JsonCursor& in) override {
    if (!in.take('"')) return this->append(read_number<T>(in, Integer<T>()));
    read_text(in);
    in.expect('"');
  }
  void read_text(JsonCursor& in) override {
    const CalendarDate date = read_date(in);
    const bool real =
        date.year >= 1900 && date.month >= 1 && date.month <= 12 && date.day >= 1 && date.day <= 31;
    const std::int64_t number = real ? day_number(date.year, date.month, date.day) : none_;
    this->append(static_cast<T>(std::clamp(number, first_, last_)));
  }

 private:
  const std::int64_t first_, last_, none_;
};

class DateTimeWriter final : public FixedWidthWriter<std::uint32_t> {
 public:
  DateTimeWriter(std::shared_ptr<const TimeZone> zone, TimeForm form)
      : reader_(std::move(zone), form) {}

  void read(JsonCursor& in) override {
    if (!in.take('"')) return append_seconds(read_integer<std::int64_t>(in));
    read_text(in);
    in.expect('"');
  }
  void read_text(JsonCursor& in) override { append_seconds(reader_.read(in, false).seconds); }

 private:
  void append_seconds(std::int64_t seconds) {
    append(static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 0, 0xffffffff)));
  }

  DateTimeReader reader_;
};

class DateTime64Writer final : public FixedWidthWriter<std::int64_t> {
 public:
  DateTime64Writer(unsigned scale, std::shared_ptr<const TimeZone> zone, TimeForm form)
      : scale_(scale), reader_(std::move(zone), form) {
    for (unsigned i = 0; i < scale; ++i) ticks_per_second_ *= 10;
  }

  void read(JsonCursor& in) override {
    if (!in.take('"')) return append(read_integer<std::int64_t>(in));
    read_text(in);
    in.expect('"');
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    const Moment moment = reader_.read(in, true);
    std::int64_t ticks = 0;
    if (moment.whole_number && moment.seconds > kLastSecond) {
      ticks = moment.seconds;  // they are ticks
    } else if (__builtin_mul_overflow(moment.seconds, ticks_per_second_, &ticks) ||
               __builtin_add_overflow(ticks, fraction_of(moment, scale_), &ticks)) {
      in.at = start;
      in.refuse("out of the range of DateTime64(" + std::to_string(scale_) + ")",
                Refused::kOverflow);
    }
    append(ticks);
  }

 private:
  const unsigned scale_;
  std::int64_t ticks_per_second_ = 1;
  DateTimeReader reader_;
};

// T: Int32 of seconds, or Int64 of ticks.
template <class T>
class TimeWriter final : public FixedWidthWriter<T> {
 public:
  explicit TimeWriter(unsigned scale) : scale_(scale) {
    for (unsigned i = 0; i < scale; ++i) ticks_per_second_ *= 10;
  }

  void read(JsonCursor& in) override {
    if (!in.take('"')) return this->append(static_cast<T>(read_integer<std::int64_t>(in)));
    read_text(in);
    in.expect('"');
  }
  void read_text(JsonCursor& in) override {
    const Moment time = read_time_of_day(in, sizeof(T) == sizeof(std::int64_t));
    std::int64_t ticks = std::min(time.seconds, kLongestTime) * ticks_per_second_;
    if (time.negative_fraction) ticks = -ticks;
    ticks += fraction_of(time, scale_);
    this->append(static_cast<T>(ticks));
  }

 private:
  const unsigned scale_;
  std::int64_t ticks_per_second_ = 1;
};

}  // namespace

ColumnWriterPtr make_date_writer() {
  return std::make_unique<DateWriter<std::uint16_t>>(0, 0xffff, 0);
}
ColumnWriterPtr make_date32_writer(bool commas) {
  return std::make_unique<DateWriter<std::int32_t>>(kFirstDay, kLastDay, commas ? 0 : kFirstDay);
}
ColumnWriterPtr make_date_time_writer(std::shared_ptr<const TimeZone> zone, TimeForm form) {
  return std::make_unique<DateTimeWriter>(std::move(zone), form);
}
ColumnWriterPtr make_date_time64_writer(unsigned scale, std::shared_ptr<const TimeZone> zone,
                                        TimeForm form) {
  return std::make_unique<DateTime64Writer>(scale, std::move(zone), form);
}

ColumnWriterPtr make_time_writer() { return std::make_unique<TimeWriter<std::int32_t>>(0); }
ColumnWriterPtr make_time64_writer(unsigned scale) {
  return std::make_unique<TimeWriter<std::int64_t>>(scale);
}

}  // namespace millrace
