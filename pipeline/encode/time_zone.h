// A time zone: which moment a clock on its wall shows. As ClickHouse has it: a day begins where its
// midnight is, and the clock is set at most once a day.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace millrace {

// Days from 1970-01-01, which is 0; any proleptic Gregorian date.
std::int64_t day_number(int year, unsigned month, unsigned day);
bool day_exists(int year, unsigned month, unsigned day);
inline std::int64_t seconds_of(std::int64_t hours, std::int64_t minutes, std::int64_t seconds) {
  return (hours * 60 + minutes) * 60 + seconds;
}

// Immutable; shared by threads.
class TimeZone {
 public:
  // From the system's zoneinfo, of which a container may have none: null if there is no such zone.
  // UTC needs no file.
  static std::shared_ptr<const TimeZone> find(
      std::string_view name, const std::filesystem::path& folder = "/usr/share/zoneinfo");
  // From the content of such a file; null if it is none.
  static std::shared_ptr<const TimeZone> parse(std::string_view content);

  struct Day {
    std::int64_t start;      // seconds from 1970-01-01 00:00:00 UTC
    std::int64_t change_at;  // seconds from the day's start, by the clock before it is set
    std::int64_t change;     // by how many seconds the clock is set forward; 0: it is not set

    // The moment that is `seconds` after midnight, by the clock.
    std::int64_t moment(std::int64_t seconds) const {
      return start + seconds - (change != 0 && seconds >= change_at ? change : 0);
    }
  };
  Day day(std::int64_t number) const;
  bool is_utc() const noexcept { return changes_.empty() && first_offset_ == 0; }

 private:
  struct Change {
    std::int64_t at;      // UTC
    std::int64_t before;  // offsets from UTC, seconds
    std::int64_t after;
  };
  bool parse_file(std::string_view content);
  bool add_rule(std::string_view text);
  void add_changes(int year, const struct ZoneRule& rule);

  std::int64_t first_offset_ = 0;
  std::vector<Change> changes_;
};

}  // namespace millrace
