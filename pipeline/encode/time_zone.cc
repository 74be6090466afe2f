#include "pipeline/encode/time_zone.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace millrace {

// When the clock is set each year, from the last line of a zoneinfo file:
// "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ, only with the M form of a date, which all of zoneinfo
// uses).
struct ZoneRule {
  struct Date {
    unsigned month = 0, week = 0, weekday = 0;
    std::int64_t seconds = 7200;  // of the day, by the clock before it is set
  };
  std::int64_t standard = 0;  // offset from UTC
  std::int64_t summer = 0;
  Date to_summer, to_standard;
};

namespace {

constexpr std::int64_t kSecondsPerDay = 86400;
// Up to here changes are listed. A later year is as one of the last 400 listed ones, all of which
// follow the rule: the calendar repeats itself, weekdays and all.
constexpr int kLastYear = 2500;
constexpr std::int64_t kDaysOf400Years = 146097;

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = (bytes[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(value);
}

// Takes text from the front, as long as it is what it should be.
class RuleText {
 public:
  explicit RuleText(std::string_view text) : rest_(text) {}

  bool empty() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool name() {
    if (take('<')) {
      const std::size_t end = rest_.find('>');
      if (end == rest_.npos) return false;
      rest_.remove_prefix(end + 1);
      return true;
    }
    const std::size_t begin = rest_.size();
    while (!rest_.empty() && ((rest_.front() | 0x20) >= 'a' && (rest_.front() | 0x20) <= 'z')) {
      rest_.remove_prefix(1);
    }
    return rest_.size() != begin;
  }
  bool number(std::int64_t& value) {
    if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return false;
    for (value = 0; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9';) {
      value = value * 10 + (rest_.front() - '0');
      if (value > 10000) return false;
      rest_.remove_prefix(1);
    }
    return true;
  }
  // hh, hh:mm or hh:mm:ss with or without a sign.
  bool time(std::int64_t& seconds) {
    const int sign = take('-') ? -1 : 1;
    if (sign > 0) take('+');
    std::int64_t hours = 0, minutes = 0, rest = 0;
    if (!number(hours)) return false;
    if (take(':') && !number(minutes)) return false;
    if (take(':') && !number(rest)) return false;
    seconds = sign * (hours * 3600 + minutes * 60 + rest);
    return true;
  }
  bool date(ZoneRule::Date& date) {
    std::int64_t month = 0, week = 0, weekday = 0;
    if (!take(',') || !take('M') || !number(month) || !take('.') || !number(week) || !take('.') ||
        !number(weekday) || month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) {
      return false;
    }
    date.month = static_cast<unsigned>(month);
    date.week = static_cast<unsigned>(week);
    date.weekday = static_cast<unsigned>(weekday);
    return !take('/') || time(date.seconds);
  }

 private:
  std::string_view rest_;
};

// Midnight, as if the zone were UTC.
std::int64_t day_of(int year, const ZoneRule::Date& date) {
  using namespace std::chrono;
  const weekday day(date.weekday);
  const auto named = date.week == 5
                         ? sys_days(std::chrono::year(year) / month(date.month) / weekday_last(day))
                         : sys_days(std::chrono::year(year) / month(date.month) / day[date.week]);
  return named.time_since_epoch().count() * kSecondsPerDay;
}

}  // namespace

std::int64_t day_number(int year, unsigned month, unsigned day) {
  using namespace std::chrono;
  return sys_days(std::chrono::year(year) / std::chrono::month(month) / 1)
             .time_since_epoch()
             .count() +
         static_cast<std::int64_t>(day) - 1;
}

bool day_exists(int year, unsigned month, unsigned day) {
  using namespace std::chrono;
  return year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day))
      .ok();
}

std::shared_ptr<const TimeZone> TimeZone::find(std::string_view name,
                                               const std::filesystem::path& folder) {
  if (name == "UTC" || name == "Etc/UTC") return std::make_shared<TimeZone>();
  if (name.empty() || name.front() == '/' || name.find("..") != name.npos) return nullptr;
  std::ifstream file(folder / name, std::ios::binary);
  if (!file) return nullptr;
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  return parse(content);
}

std::shared_ptr<const TimeZone> TimeZone::parse(std::string_view content) {
  auto zone = std::make_shared<TimeZone>();
  return zone->parse_file(content) ? zone : nullptr;
}

// RFC 8536: a first part with times of 32 bits, then the same with 64 bits, then the rule.
bool TimeZone::parse_file(std::string_view content) {
  constexpr std::size_t kHeader = 44;
  std::size_t counts[6] = {};  // isutc, isstd, leap, time, type, char
  const auto read_header = [&](std::size_t at) {
    if (content.size() < at + kHeader || content.substr(at, 4) != "TZif") return false;
    for (std::size_t i = 0; i < 6; ++i) {
      counts[i] = static_cast<std::size_t>(big_endian(content.substr(at + 20 + 4 * i, 4)));
      if (counts[i] > 100000) return false;
    }
    return true;
  };
  if (!read_header(0) || content[4] < '2') return false;
  const auto size_of = [&](std::size_t time_bytes) {
    return counts[3] * (time_bytes + 1) + counts[4] * 6 + counts[5] + counts[2] * (time_bytes + 4) +
           counts[1] + counts[0];
  };
  const std::size_t second = kHeader + size_of(4);
  if (!read_header(second) || counts[4] == 0) return false;
  const std::size_t times = second + kHeader;
  const std::size_t indexes = times + counts[3] * 8, types = indexes + counts[3];
  const std::size_t rule = times + size_of(8);
  if (content.size() < rule + 2) return false;
  const auto offset = [&](std::size_t type) {
    return big_endian(content.substr(types + type * 6, 4));
  };
  first_offset_ = offset(0);
  std::int64_t before = first_offset_;
  for (std::size_t i = 0; i < counts[3]; ++i) {
    const auto type = static_cast<unsigned char>(content[indexes + i]);
    if (type >= counts[4]) return false;
    const std::int64_t at = big_endian(content.substr(times + i * 8, 8));
    if (offset(type) != before) changes_.push_back({at, before, offset(type)});
    before = offset(type);
  }
  const std::size_t end = content.find('\n', rule + 1);
  return end != content.npos && add_rule(content.substr(rule + 1, end - rule - 1));
}

bool TimeZone::add_rule(std::string_view text) {
  if (text.empty()) return true;
  RuleText in(text);
  ZoneRule rule;
  std::int64_t west = 0;
  if (!in.name() || !in.time(west)) return false;
  rule.standard = -west;
  if (in.empty()) return true;  // never set again
  rule.summer = rule.standard + 3600;
  if (!in.name()) return false;
  if (in.time(west)) rule.summer = -west;
  if (!in.date(rule.to_summer) || !in.date(rule.to_standard) || !in.empty()) return false;
  constexpr double kSecondsPerYear = 365.2425 * 86400;
  const int from =
      changes_.empty()
          ? 1970
          : 1970 + static_cast<int>(static_cast<double>(changes_.back().at) / kSecondsPerYear);
  for (int year = from; year <= kLastYear; ++year) add_changes(year, rule);
  return true;
}

void TimeZone::add_changes(int year, const ZoneRule& rule) {
  const Change to_summer{day_of(year, rule.to_summer) + rule.to_summer.seconds - rule.standard,
                         rule.standard, rule.summer};
  const Change to_standard{day_of(year, rule.to_standard) + rule.to_standard.seconds - rule.summer,
                           rule.summer, rule.standard};
  const bool summer_first = to_summer.at < to_standard.at;
  for (const Change& change :
       {summer_first ? to_summer : to_standard, summer_first ? to_standard : to_summer}) {
    if (changes_.empty() || change.at > changes_.back().at) changes_.push_back(change);
  }
}

TimeZone::Day TimeZone::day(std::int64_t number) const {
  static const std::int64_t kLastDay = day_number(kLastYear, 12, 31) - 1;
  if (number > kLastDay) {
    const std::int64_t cycles = (number - kLastDay + kDaysOf400Years - 1) / kDaysOf400Years;
    Day day = this->day(number - cycles * kDaysOf400Years);
    day.start += cycles * kDaysOf400Years * kSecondsPerDay;
    return day;
  }
  const std::int64_t midnight = number * kSecondsPerDay;
  if (changes_.empty()) return {midnight - first_offset_, 0, 0};
  // The first change that comes after this midnight, by the clock before it is set.
  const auto next = std::partition_point(
      changes_.begin(), changes_.end(),
      [&](const Change& change) { return change.at + change.before <= midnight; });
  const bool any_before = next != changes_.begin();
  const std::int64_t offset = any_before ? std::prev(next)->after : first_offset_;
  Day day{midnight - offset, 0, 0};
  if (any_before && midnight < std::prev(next)->at + std::prev(next)->after) {
    day.start = midnight - std::prev(next)->before;  // midnight was skipped
  }
  // Of the changes of this day the first is the one that counts.
  for (auto change = any_before ? std::prev(next) : next; change != changes_.end(); ++change) {
    if (change->at < day.start) continue;
    const std::int64_t from = change->at + change->before, to = change->at + change->after;
    const auto in_day = [&](std::int64_t t) {
      return t >= midnight && t < midnight + kSecondsPerDay;
    };
    if (!in_day(from) && !in_day(to)) break;
    constexpr std::int64_t kUnit = 900;  // ClickHouse counts in quarters of an hour
    // … in eight bits: where a whole day was left out, at 40 hours, which is never.
    day.change_at = static_cast<std::uint8_t>((from - midnight) / kUnit) * kUnit;
    day.change =
        std::clamp<std::int64_t>((to - from) / kUnit * kUnit, -kSecondsPerDay, kSecondsPerDay);
    if (day.change_at + day.change < 0) day.change_at = -day.change;
    break;
  }
  return day;
}

}  // namespace millrace
