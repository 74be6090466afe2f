#include "pipeline/encode/date_time_text.h"

#include <cstring>

#include "pipeline/encode/best_effort_time.h"
#include "pipeline/encode/number_text.h"

namespace millrace {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// 100 and more if it is no number of two digits.
[[gnu::always_inline]] inline unsigned two_digits(const char* at) {
  const auto tens = static_cast<unsigned>(at[0] - '0'), ones = static_cast<unsigned>(at[1] - '0');
  return tens > 9 || ones > 9 ? 1000 : tens * 10 + ones;
}

// The first 18 count.
void read_decimals(JsonCursor& in, Moment& moment) {
  if (!in.take('.')) return;
  for (; is_digit(in.peek()); ++in.at) {
    if (moment.fraction_digits == 18) continue;
    moment.fraction = moment.fraction * 10 + static_cast<unsigned>(*in.at - '0');
    ++moment.fraction_digits;
  }
}

// All digits of a number, which must fit.
std::int64_t read_seconds(JsonCursor& in) {
  const char* start = in.at;
  std::int64_t number = 0;
  for (; is_digit(in.peek()); ++in.at) {
    if (!__builtin_mul_overflow(number, 10, &number) &&
        !__builtin_add_overflow(number, *in.at - '0', &number)) {
      continue;
    }
    in.at = start;
    in.refuse("the number is too large for a time", Refused::kNumber);
  }
  return number;
}

}  // namespace

Moment read_time_of_day(JsonCursor& in, bool with_fraction) {
  Moment moment;
  moment.negative_fraction = in.take('-');
  std::size_t first_digits = 0, parts = 1;
  const auto refuse = [&] {  // "-.5" is one for Time64
    in.refuse("not a time of day", first_digits == 0 ? Refused::kTime : Refused::kSyntax);
  };
  for (; is_digit(in.peek()); ++first_digits) {
    if (first_digits == 3) refuse();
    moment.seconds = moment.seconds * 10 + (*in.at++ - '0');
  }
  for (; parts < 3 && in.take(':'); ++parts) {
    const unsigned number = in.left() < 2 ? 1000 : two_digits(in.at);
    if (number >= 1000) refuse();
    moment.seconds = moment.seconds * 60 + number;
    in.at += 2;
  }
  const bool fraction_alone =
      with_fraction && moment.negative_fraction && parts == 1 && in.peek() == '.';
  if ((first_digits == 0 && !fraction_alone) || (first_digits == 3 && parts < 3)) refuse();
  if (with_fraction) read_decimals(in, moment);
  return moment;
}

Moment DateTimeReader::read(JsonCursor& in, bool with_fraction) {
  if (form_ == TimeForm::kBasic) return read_basic(in, with_fraction);
  Moment moment;
  return read_usual(in, moment) ? moment : read_best_effort_time(in, with_fraction, *zone_);
}

// YYYY-MM-DD hh:mm:ss or YYYY-MM-DD with any characters between the numbers, or seconds in five
// digits or more. What ClickHouse makes of letters in the place of digits is not imitated.
Moment DateTimeReader::read_basic(JsonCursor& in, bool with_fraction) {
  Moment moment;
  const char* text = in.at;
  const std::size_t left = in.left();
  if (left >= 10 && two_digits(text) + two_digits(text + 2) < 1000 && !is_digit(text[4])) {
    const bool with_time = left > 10 && (text[10] == ' ' || text[10] == 'T');
    const unsigned year = two_digits(text) * 100 + two_digits(text + 2);
    const unsigned month = two_digits(text + 5), day = two_digits(text + 8);
    unsigned hour = 0, minute = 0, second = 0;
    if (with_time && left >= 19) {
      hour = two_digits(text + 11);
      minute = two_digits(text + 14);
      second = two_digits(text + 17);
    }
    if ((with_time && left < 19) || month + day + hour + minute + second >= 1000) {
      in.refuse("not a time", Refused::kTime);
    }
    in.at += with_time ? 19 : 10;
    const bool real = month >= 1 && month <= 12 && day >= 1 && day <= 31;
    const std::int64_t number =
        real ? day_number(static_cast<int>(year), month, day) : day_number(1900, 1, 1);
    if (year != 0) moment.seconds = zone_->day(number).moment(seconds_of(hour, minute, second));
  } else {
    const bool negative = with_fraction && in.take('-');
    const char* digits = in.at;
    moment.seconds = read_seconds(in);
    if (!is_digit(*digits) || (in.at - text < 5 && in.peek() != '.'))
      in.refuse("not a time", Refused::kTime);
    if (negative) moment.seconds = -moment.seconds;
    moment.negative_fraction = negative;
  }
  moment.whole_number = in.peek() != '.';
  if (with_fraction) read_decimals(in, moment);
  return moment;
}

bool DateTimeReader::read_usual(JsonCursor& in, Moment& moment) {
  constexpr std::size_t kSize = 19;
  if (in.left() < kSize) return false;
  const char* text = in.at;
  if (text[13] != ':' || text[16] != ':' || (text[10] != ' ' && text[10] != 'T')) return false;
  const unsigned hour = two_digits(text + 11), minute = two_digits(text + 14),
                 second = two_digits(text + 17);
  if (hour + minute + second >= 1000 || !find_day(text)) return false;
  const char* at = text + kSize;
  if (at < in.end && *at == '.') {
    unsigned digits = 0;
    std::uint64_t fraction = 0;
    for (++at; at < in.end && is_digit(*at); ++at, ++digits) {
      fraction = fraction * 10 + static_cast<unsigned>(*at - '0');
    }
    if (digits > 18) return false;
    moment.fraction = fraction;
    moment.fraction_digits = digits;
  }
  const bool utc = at < in.end && *at == 'Z';
  at += utc;
  if (at < in.end && *at != '"') {
    moment = {};
    return false;
  }
  in.at = at;
  const std::int64_t seconds = seconds_of(hour, minute, second);
  moment.seconds = utc ? last_midnight_ + seconds : last_day_.moment(seconds);
  return true;
}

// Sets what is kept of the last day. Neighbours are mostly of one day.
bool DateTimeReader::find_day(const char* text) {
  std::uint64_t date[2] = {};
  std::memcpy(date, text, 10);
  if (date[0] == last_date_[0] && date[1] == last_date_[1]) return true;
  if (text[4] != '-' || text[7] != '-') return false;
  const unsigned century = two_digits(text), rest = two_digits(text + 2);
  const unsigned month = two_digits(text + 5), day = two_digits(text + 8);
  if (century + rest + month + day >= 1000 || century + rest == 0) return false;
  const int year = static_cast<int>(century * 100 + rest);
  if (!day_exists(year, month, day)) return false;
  const std::int64_t number = day_number(year, month, day);
  last_midnight_ = number * 86400;
  last_day_ = zone_->day(number);
  std::memcpy(last_date_, date, sizeof date);
  return true;
}

// YYYY-MM-DD, one digit for month and day as well, any characters between them; YYYYMMDD.
CalendarDate read_date(JsonCursor& in) {
  const char* start = in.at;
  const auto refuse = [&] {
    in.at = start;
    in.refuse("not a date", Refused::kDate);
  };
  const auto digit = [&] {
    if (!is_digit(in.peek())) refuse();
    return static_cast<unsigned>(*in.at++ - '0');
  };
  CalendarDate date;
  for (int i = 0; i < 4; ++i) date.year = date.year * 10 + static_cast<int>(digit());
  if (is_digit(in.peek())) {
    date.month = digit() * 10;
    date.month += digit();
    date.day = digit() * 10;
    date.day += digit();
    return date;
  }
  const auto part = [&] {
    if (in.done() || is_digit(*in.at)) refuse();
    ++in.at;  // whatever else it is
    unsigned number = digit();
    if (is_digit(in.peek())) number = number * 10 + digit();
    return number;
  };
  date.month = part();
  date.day = part();
  return date;
}

}  // namespace millrace
