// A value of a statement's parameter or of a setting, and its text.
//
// Three texts, for ClickHouse reads each in another way:
//   as_bind_text     the parameter param_<name> of `{name:Type}`, which the server puts in
//   as_sql_literal   what stands in the statement itself, for `%s` and `%(name)s`
//   as_setting_text  a setting in the query string
// A Value owns what it holds and is immutable: any number of threads may read it. Pure functions;
// all errors are UsageError: a number that is none, a year that needs more than four digits, bytes
// in JSON.
//
// A string for an Array, a Tuple or a Map is a literal already ("[1, 2]"); it is bound as it is.
//
// Points in time are instants (UTC), whatever the zone of the server or of the column. A bound one
// travels as a Unix timestamp if its placeholder is a DateTime or DateTime64, and as text of UTC
// otherwise. For "whatever 10 o'clock is over there" give the text: Value("2026-01-02 10:00:00").
// The rules of parsing: https://clickhouse.com/docs/interfaces/cli#cli-queries-with-parameters and,
// for what it does not say, tries with ClickHouse 26.7.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

using Bytes = std::vector<std::byte>;

struct Null {};

// A number as decimal text, "-12.50": Int128 to UInt256 and Decimal, which no type of C++ holds.
class Number {
 public:
  explicit Number(std::string text);  // throws UsageError if it is not [-]digits[.digits]
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

// Not checked here: the server refuses what is no UUID. For an IP address a string does the same.
struct Uuid {
  std::string text;
};

struct DateTime64 {
  std::chrono::sys_time<std::chrono::nanoseconds> t;
};

class Value;
using Array = std::vector<Value>;
struct Tuple {
  std::vector<Value> items;
};
using Map = std::vector<std::pair<Value, Value>>;

// How a Map is written where its placeholder says neither Map nor JSON; the common setting
// dict_parameter_format.
enum class MapText { kJson, kMap };

// Containers of the standard library whose elements a Value can hold.
template <class C>
concept MapOfValues = requires {
  typename C::key_type;
  typename C::mapped_type;
}
&&std::convertible_to<const typename C::key_type&, Value>&&
    std::convertible_to<const typename C::mapped_type&, Value>;
template <class C>
concept SequenceOfValues = !MapOfValues<C> && requires(const C& items) {
  typename C::value_type;
  items.begin();
  items.end();
}
&&!std::same_as<typename C::value_type, Value> &&
    !std::same_as<typename C::value_type, std::byte> &&
    std::convertible_to<const typename C::value_type&, Value>;

class Value {
 public:
  using Data = std::variant<Null, bool, std::int64_t, std::uint64_t, Number, double, std::string,
                            Bytes, std::chrono::sys_days, std::chrono::sys_seconds, DateTime64,
                            std::chrono::nanoseconds, Uuid, Array, Tuple, Map>;

  Value(Null = {}) {}
  Value(std::nullopt_t) {}  // NULL, too
  // Templates, so that nothing else turns into a bool and no integer is ambiguous. A character is
  // neither number nor text: it does not compile.
  template <std::same_as<bool> T>
  Value(T value) : data_(value) {}
  template <std::signed_integral T>
  requires(!std::same_as<T, char> && !std::same_as<T, wchar_t> && sizeof(T) <= 8) Value(T value)
      : data_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
           !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t> &&
           sizeof(T) <= 8) Value(T value)
      : data_(static_cast<std::uint64_t>(value)) {}
  Value(double value) : data_(value) {}
  Value(float value) : data_(static_cast<double>(value)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(std::nullptr_t) = delete;  // Null{} is NULL
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(Number number) : data_(std::move(number)) {}
  Value(Bytes bytes) : data_(std::move(bytes)) {}
  Value(Uuid uuid) : data_(std::move(uuid)) {}
  Value(DateTime64 time) : data_(time) {}
  // Whole days are a Date, whole seconds a DateTime, the rest a DateTime64.
  template <class Duration>
  Value(std::chrono::sys_time<Duration> time) {
    using std::chrono::days, std::chrono::seconds, std::chrono::nanoseconds;
    if constexpr (std::same_as<Duration, days>) {
      data_ = time;
    } else if constexpr (std::convertible_to<Duration, seconds>) {
      data_ = std::chrono::sys_seconds(time);
    } else {
      data_ = DateTime64{std::chrono::sys_time<nanoseconds>(time)};
    }
  }
  // A day of the calendar is a Date. Throws UsageError for one that there is not, as 31 February.
  Value(std::chrono::year_month_day day);
  Value(std::chrono::year_month_day_last day) : Value(std::chrono::year_month_day(day)) {}
  Value(std::chrono::year_month_weekday day) : Value(std::chrono::year_month_day(day)) {}
  // Time and Time64: a time of day, or a span; hours may exceed 24.
  template <class Rep, class Period>
  Value(std::chrono::duration<Rep, Period> time) : data_(std::chrono::nanoseconds(time)) {}
  Value(Array items) : data_(std::move(items)) {}
  Value(Tuple tuple) : data_(std::move(tuple)) {}
  Value(Map pairs) : data_(std::move(pairs)) {}
  // vector, array, set, span …
  template <SequenceOfValues Items>
  Value(const Items& items) : data_(Array(items.begin(), items.end())) {}
  // map, unordered_map …
  template <MapOfValues Pairs>
  Value(const Pairs& pairs) : data_(Map(pairs.begin(), pairs.end())) {}
  template <class... T>
  requires(std::convertible_to<const T&, Value>&&...) Value(const std::tuple<T...>& items)
      : data_(std::apply([](const T&... item) { return Tuple{{Value(item)...}}; }, items)) {}
  template <class T>
  requires(std::convertible_to<const T&, Value>) Value(const std::optional<T>& value) {
    if (value) *this = Value(*value);
  }

  const Data& data() const noexcept { return data_; }

  // `placeholder_type` is what stands behind the colon of `{name:Type}`; it decides how points in
  // time, bools and maps are written. A fraction of a second is written for DateTime64 only, and
  // cut to its digits; with `keep_fraction`, six digits where the type is not one of time at all.
  std::string as_bind_text(std::string_view placeholder_type = {},
                           MapText map_text = MapText::kJson, bool keep_fraction = false) const;
  // Exact: numbers beyond 64 bits and decimals are written as conversions (a bare literal would be
  // a Float64), points in time with their zone.
  std::string as_sql_literal(MapText map_text = MapText::kJson) const;
  // NULL is not the value of a setting: UsageError.
  std::string as_setting_text() const;

 private:
  Data data_;
};

}  // namespace millrace
