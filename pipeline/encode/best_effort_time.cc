#include "pipeline/encode/best_effort_time.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z';
}

constexpr std::string_view kMonths[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
constexpr std::string_view kWeekdays[] = {"monday", "tuesday",  "wednesday", "thursday",
                                          "friday", "saturday", "sunday"};

// A word, in small letters.
struct Word {
  char letters[10];
  std::size_t size = 0;
  std::string_view text() const { return {letters, size}; }
};

// Its place, from 1, among names of which it is the first three letters or the whole; 0: none.
template <std::size_t n>
unsigned find_name(const std::string_view (&names)[n], std::string_view word) {
  for (unsigned i = 0; i < n; ++i) {
    if (word == names[i] || (word.size() == 3 && names[i].starts_with(word))) return i + 1;
  }
  return 0;
}

// Reads parts of a date and a time as they come, as long as each can be only one thing.
class BestEffort {
 public:
  BestEffort(JsonCursor& in, bool with_fraction) : in_(in), with_fraction_(with_fraction) {}

  struct Result {
    int year = 0;
    unsigned month = 0, day = 0;
    std::int64_t seconds = 0;  // of the day
    bool has_offset = false;
    std::int64_t offset = 0;
    Moment moment;  // whole, if it is a Unix time; else only its fraction
    bool unix_time = false;
  };

  Result read(const TimeZone& zone) {
    while (!in_.done() && !result_.unix_time && step()) {
    }
    if (!result_.unix_time) finish(zone);
    return result_;
  }

 private:
  [[noreturn]] void refuse() { in_.refuse("not a time", Refused::kTime); }

  // Returns how many, 19 at most.
  unsigned read_digits(std::uint64_t& number) {
    unsigned count = 0;
    number = 0;
    for (; count < 19 && is_digit(in_.peek()); ++count, ++in_.at) {
      number = number * 10 + static_cast<unsigned>(*in_.at - '0');
    }
    return count;
  }
  // Of one or two digits.
  unsigned read_short() {
    std::uint64_t number;
    const unsigned count = read_digits(number);
    if (count != 1 && count != 2) refuse();
    return static_cast<unsigned>(number);
  }
  Word read_word() {
    Word word;
    for (; word.size < sizeof word.letters && is_letter(in_.peek()); ++in_.at) {
      word.letters[word.size++] = static_cast<char>(*in_.at | 0x20);
    }
    return word;
  }
  bool take_delimiter() { return in_.take('/') || in_.take('.') || in_.take('-'); }

  // False: the text of the time ends here.
  bool step() {
    if ((result_.year != 0) != has_time_ && in_.take(',')) comma_ = true;
    if (result_.year != 0 && has_time_) return read_sign();
    std::uint64_t number;
    const unsigned count = read_digits(number);
    if (count == 0) return read_sign();
    const bool nothing_yet = result_.year == 0 && !has_time_;
    if (nothing_yet && is_unix_time(count)) {
      read_unix_time(number, count <= 10 ? 0 : count - 10);
    } else if (nothing_yet && count == 14) {
      set_date(number / 1000000);
      set_time(number % 1000000);
    } else if (count == 8 && result_.year == 0) {
      set_date(number);
    } else if (count == 6) {
      read_six(number);
    } else if (count == 4 && result_.year == 0) {
      return read_from_year(number);
    } else if (count <= 2) {
      return read_short_number(static_cast<unsigned>(number));
    } else {
      refuse();
    }
    return true;
  }

  // Seconds in nine or ten digits; milliseconds, microseconds, nanoseconds.
  static bool is_unix_time(unsigned digits) {
    return digits == 10 || digits == 13 || digits == 19 || digits == 16 || digits == 9;
  }
  void read_unix_time(std::uint64_t number, unsigned decimals) {
    std::uint64_t second = 1;
    for (unsigned i = 0; i < decimals; ++i) second *= 10;
    result_.unix_time = true;
    result_.moment.seconds = static_cast<std::int64_t>(number / second);
    result_.moment.fraction = number % second;
    result_.moment.fraction_digits = decimals;
    if (decimals == 0 && with_fraction_ && in_.take('.')) read_fraction();
  }
  void read_fraction() {
    std::uint64_t number;
    const unsigned count = read_digits(number);
    result_.moment.fraction = count > 18 ? number / 10 : number;
    result_.moment.fraction_digits = std::min(count, 18u);
  }
  // What comes twice is added up, in eight bits, as ClickHouse does: "Jan 20240102" is in February.
  static void add(unsigned& part, std::uint64_t number) {
    part = static_cast<unsigned>(part + number) & 0xff;
  }
  void set_date(std::uint64_t yyyymmdd) {
    result_.year = static_cast<int>(yyyymmdd / 10000);
    add(result_.month, yyyymmdd / 100 % 100);
    add(result_.day, yyyymmdd % 100);
  }
  void set_time(std::uint64_t hhmmss) {
    add(hour_, hhmmss / 10000);
    add(minute_, hhmmss / 100 % 100);
    add(second_, hhmmss % 100);
    has_time_ = true;
  }
  void read_six(std::uint64_t number) {
    if (result_.year == 0 && result_.month == 0) {
      result_.year = static_cast<int>(number / 100);
      result_.month = static_cast<unsigned>(number % 100);
    } else if (!has_time_) {
      set_time(number);
    } else {
      refuse();
    }
  }

  // YYYY, then month and day behind any delimiter, twice the same.
  bool read_from_year(std::uint64_t number) {
    result_.year = static_cast<int>(number);
    if (in_.done()) return true;
    const char delimiter = *in_.at;
    if (static_cast<signed char>(delimiter) < 0x20 || delimiter == ',' || delimiter == ';' ||
        delimiter == '\'' || delimiter == '"') {
      return false;
    }
    if (result_.month != 0) return true;
    ++in_.at;
    if (!read_part(delimiter, result_.month)) return true;
    if (result_.day == 0 && in_.take(delimiter)) read_part(delimiter, result_.day);
    year_zero_ = number == 0 && delimiter == '-';
    return true;
  }
  // False: behind a space there may be something else.
  bool read_part(char delimiter, unsigned& part) {
    std::uint64_t number;
    const unsigned count = read_digits(number);
    if (count == 1 || count == 2) {
      part = static_cast<unsigned>(number);
      return true;
    }
    if (delimiter != ' ') refuse();
    // What was read is dropped, as ClickHouse does.
    return false;
  }

  // hh:mm[:ss]; DD/MM[/YYYY] with other delimiters, and names of months; DD; hh behind a day.
  bool read_short_number(unsigned number) {
    if (in_.take(':')) {
      if (has_time_) refuse();
      has_time_ = true;
      hour_ = number;
      minute_ = read_short();
      if (in_.take(':')) second_ = read_short();
    } else if (in_.take(',')) {
      if (result_.month != 0 && result_.day == 0) result_.day = number;
    } else if (take_delimiter()) {
      return read_from_day(number);
    } else if (result_.day != 0) {
      hour_ = number;
    } else {
      result_.day = number;
    }
    return true;
  }
  bool read_from_day(unsigned number) {
    if (result_.day != 0 || result_.month != 0) refuse();
    result_.day = number;
    const bool named = !is_digit(in_.peek());
    if (named) {
      const Word word = read_word();
      result_.month = find_name(kMonths, word.text());
      if (result_.month == 0) refuse();
    } else {
      result_.month = read_short();
    }
    if (result_.month > 12) std::swap(result_.month, result_.day);
    if (!take_delimiter()) return named ? read_sign() : true;
    if (result_.year != 0) refuse();
    std::uint64_t year;
    const unsigned count = read_digits(year);
    if (count != 4 && count != 2) refuse();
    result_.year = static_cast<int>(count == 4 ? year : year + (year >= 70 ? 1900 : 2000));
    return true;
  }

  // What is not a number.
  bool read_sign() {
    const char c = in_.peek();
    if (c == ' ' || (c == 'T' && !has_time_ && (result_.year != 0 || begins_time_of_year_zero()))) {
      ++in_.at;
    } else if (c == 'Z') {
      ++in_.at;
      result_.has_offset = true;
    } else if (c == '.') {
      if (!has_time_ || has_fraction_) refuse();
      has_fraction_ = true;
      ++in_.at;
      read_fraction();
    } else if (c == '+' || c == '-') {
      read_offset();
    } else {
      return read_name();
    }
    return true;
  }
  // 0000-05-30T16:45:59, with all of its digits: it is as if no year were there.
  bool begins_time_of_year_zero() const {
    constexpr std::string_view kDate = "0000-00-00", kTime = "T00:00:00";
    const auto is_like = [](const char* text, std::string_view form) {
      return std::equal(form.begin(), form.end(), text,
                        [](char f, char c) { return f == '0' ? is_digit(c) : f == c; });
    };
    return year_zero_ && in_.left() >= kTime.size() && is_like(in_.at, kTime) &&
           is_like(in_.at - kDate.size(), kDate);
  }
  void read_offset() {
    const bool negative = *in_.at++ == '-';
    std::uint64_t number;
    const unsigned count = read_digits(number);
    const bool has_date = result_.year != 0 && result_.month != 0 && result_.day != 0;
    if (count == 6 && !has_time_ && has_date) return set_time(number);
    if (count == 0 || count > 4) refuse();
    const auto value = static_cast<unsigned>(number);
    result_.has_offset = true;
    negative_ = negative_ || negative;
    add(offset_hour_, count > 2 ? value / 100 : value);
    if (count > 2) add(offset_minute_, value % 100);
    if (count < 3 && in_.take(':')) add(offset_minute_, read_short());
  }
  bool read_name() {
    const Word word = read_word();
    const std::string_view text = word.text();
    if (text.empty()) return false;
    if (text == "am") {
      am_ = true;
    } else if (text == "pm") {
      pm_ = true;
    } else if (text == "utc" || text == "gmt" || text == "msk" || text == "msd") {
      result_.has_offset = true;
      if (text[0] == 'm') offset_hour_ = text == "msk" ? 3 : 4;
    } else if (const unsigned month = find_name(kMonths, text); month != 0) {
      result_.month = month;
    } else if (find_name(kWeekdays, text) != 0) {
      in_.take(',');
    } else {
      refuse();
    }
    return true;
  }

  void finish(const TimeZone& zone) {
    Result& r = result_;
    const bool whole_date = r.year != 0 && r.month != 0 && r.day != 0;
    if (comma_ && !(has_time_ && whole_date)) refuse();
    if (r.year == 0 && r.month == 0 && r.day == 0 && !has_time_) refuse();
    if (r.day == 0) r.day = 1;
    if (r.month == 0) r.month = 1;
    if (r.year == 0) r.year = recent_year(zone);
    if (!day_exists(r.year, r.month, r.day)) refuse();
    if (am_ && hour_ == 12) hour_ = 0;
    if (pm_ && hour_ < 12) hour_ += 12;
    r.seconds = seconds_of(hour_, minute_, second_);
    r.offset = seconds_of(offset_hour_, offset_minute_, 0) * (negative_ ? -1 : 1);
  }
  // This year if the date has come already, else the last one: the syslog format has no year.
  int recent_year(const TimeZone& zone) const {
    using namespace std::chrono;
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    std::int64_t today = now / 86400 + 1;
    while (zone.day(today).start > now) --today;
    const int year = static_cast<int>(year_month_day(sys_days(days(today))).year());
    return day_number(year, result_.month, result_.day) <= today ? year : year - 1;
  }

  JsonCursor& in_;
  const bool with_fraction_;
  Result result_;
  unsigned hour_ = 0, minute_ = 0, second_ = 0, offset_hour_ = 0, offset_minute_ = 0;
  bool has_time_ = false, has_fraction_ = false, negative_ = false, am_ = false, pm_ = false;
  bool comma_ = false;
  bool year_zero_ = false;  // a date was read, of the year 0, behind which a day and a month stand
};

}  // namespace

Moment read_best_effort_time(JsonCursor& in, bool with_fraction, const TimeZone& zone) {
  const BestEffort::Result text = BestEffort(in, with_fraction).read(zone);
  Moment moment = text.moment;
  if (text.unix_time) return moment;
  const std::int64_t number = day_number(text.year, text.month, text.day);
  moment.seconds = text.has_offset ? number * 86400 + text.seconds - text.offset
                                   : zone.day(number).moment(text.seconds);
  return moment;
}

}  // namespace millrace
