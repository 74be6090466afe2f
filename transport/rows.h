// Rows as typed values, for who has no format of his own: results read row by row, and rows put
// together for an insert. Both by RowBinaryWithNamesAndTypes, in which the server says, and checks,
// the names and types of the columns.
//
// ```cpp
// Client client({.host = "127.0.0.1"});
// client.command("CREATE TABLE people (name String, born Date, score Nullable(Float64)) "
//                "ENGINE = MergeTree ORDER BY name");
// using namespace std::chrono;
// RowWriter writer(client.describe_table("people"));
// writer.append("Ada", 1985y / 12 / 10, 9.5);
// writer.append("Grace", 1990y / 12 / 9, std::nullopt);
// client.raw_insert("people", writer.bytes(), writer.options());
// for (const Row& row : RowReader(client, "SELECT name, score FROM people ORDER BY name")) {
//   std::cout << row.get<std::string>("name") << " "
//             << row.get<std::optional<double>>("score").value_or(0) << "\n";
// }
// ```
//
// As values: whole numbers are std::int64_t or std::uint64_t, larger ones and decimals Number, both
// floats double, texts std::string, Date and Date32 sys_days, DateTime sys_seconds, DateTime64
// itself, Time and Time64 nanoseconds, addresses and names of an Enum std::string. JSON, Dynamic,
// Variant and aggregate functions are not read or written here.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "transport/client.h"

namespace millrace {

class RowType;

// What is in `value`, as a T: numbers into any type that holds them exactly (into double, also
// those that it rounds), std::optional for what may be NULL, std::vector for an Array, and the
// types that Value itself holds. Throws UsageError for anything else; `what` names it there.
template <class T>
T value_as(const Value& value, std::string_view what = "the value");

struct ResultColumn {
  std::string name, type;
};

// One row. Its values live as long as it; the columns belong to the reader's result.
class Row {
 public:
  Row(std::shared_ptr<const std::vector<ResultColumn>> columns, std::vector<Value> values)
      : columns_(std::move(columns)), values_(std::move(values)) {}

  std::size_t size() const noexcept { return values_.size(); }
  const std::vector<ResultColumn>& columns() const noexcept { return *columns_; }
  const std::vector<Value>& values() const noexcept { return values_; }
  // By position or name. Throw UsageError for one that there is not.
  const Value& operator[](std::size_t column) const;
  const Value& operator[](std::string_view column) const;
  template <class T>
  T get(std::size_t column) const {
    return value_as<T>((*this)[column], "column " + std::to_string(column));
  }
  template <class T>
  T get(std::string_view column) const {
    return value_as<T>((*this)[column], "column " + std::string(column));
  }

 private:
  std::shared_ptr<const std::vector<ResultColumn>> columns_;
  std::vector<Value> values_;
};

// Owned by one thread; movable. Memory: a piece of the stream and one row.
class RowReader {
 public:
  // Runs the statement; the format is given here. Throws as raw_stream() does.
  RowReader(Client& client, std::string_view sql, QueryOptions options = {});
  // Of a result in RowBinaryWithNamesAndTypes.
  explicit RowReader(RawStream stream);
  RowReader(RowReader&&) noexcept;
  ~RowReader();

  const std::vector<ResultColumn>& columns() const noexcept { return *columns_; }
  // Nothing at the proven end. Throws as reading the stream does; UsageError, at the constructor,
  // for a type that is not read here.
  std::optional<Row> next();

  // for (const Row& row : reader): once, from where it stands.
  class Iterator {
   public:
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(RowReader& reader) : reader_(&reader), row_(reader.next()) {}
    const Row& operator*() const { return *row_; }
    Iterator& operator++() {
      row_ = reader_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !row_; }

   private:
    RowReader* reader_;
    std::optional<Row> row_;
  };
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  bool fill();  // false at the end
  template <class Read>
  auto complete(Read read);
  void read_header();

  RawStream stream_;
  std::string buffer_;
  std::size_t used_ = 0;
  bool ended_ = false;
  std::shared_ptr<const std::vector<ResultColumn>> columns_;
  std::vector<RowType> types_;
};

// Collects rows for raw_insert(). Owned by one thread.
class RowWriter {
 public:
  explicit RowWriter(std::vector<ResultColumn> columns);
  // All columns of a table that can be inserted into (not MATERIALIZED, not ALIAS), in its order.
  explicit RowWriter(const std::vector<ColumnDescription>& table);
  // These of them, in this order. Throws UsageError for one that the table does not have.
  RowWriter(const std::vector<ColumnDescription>& table, const std::vector<std::string>& names);
  RowWriter(RowWriter&&) noexcept;
  ~RowWriter();

  // A value for each column. Throws UsageError naming the column for one that does not fit; nothing
  // of the row is kept then.
  template <class... T>
  requires(std::convertible_to<const T&, Value>&&...) void append(const T&... values) {
    append_row({Value(values)...});
  }
  void append_row(const std::vector<Value>& row);

  std::size_t rows() const noexcept { return rows_; }
  const std::string& bytes() const noexcept { return bytes_; }  // what to insert
  // Columns and format of the insert; add what else it needs.
  InsertOptions options() const;
  void clear();  // for the next rows

 private:
  std::vector<ResultColumn> columns_;
  std::vector<RowType> types_;
  std::string header_, bytes_;
  std::size_t rows_ = 0;
};

namespace detail {

[[noreturn]] void refuse_value(std::string_view what, const char* wanted);
std::optional<double> as_double(const Value& value);
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T, class Variant>
inline constexpr bool is_held = false;
template <class T, class... Held>
inline constexpr bool is_held<T, std::variant<Held...>> = (std::same_as<T, Held> || ...);

}  // namespace detail

template <class T>
T value_as(const Value& value, std::string_view what) {
  if constexpr (std::same_as<T, Value>) {
    return value;
  } else if constexpr (detail::is_optional<T>) {
    if (std::holds_alternative<Null>(value.data())) return std::nullopt;
    return value_as<typename T::value_type>(value, what);
  } else if constexpr (std::integral<T> && !std::same_as<T, bool>) {
    const auto* plus = std::get_if<std::uint64_t>(&value.data());
    const auto* whole = std::get_if<std::int64_t>(&value.data());
    if (plus != nullptr && std::in_range<T>(*plus)) return static_cast<T>(*plus);
    if (whole != nullptr && std::in_range<T>(*whole)) return static_cast<T>(*whole);
    detail::refuse_value(what, "a whole number that fits");
  } else if constexpr (std::floating_point<T>) {
    if (const auto number = detail::as_double(value)) return static_cast<T>(*number);
    detail::refuse_value(what, "a number");
  } else if constexpr (detail::is_held<T, Value::Data>) {
    if (const auto* held = std::get_if<T>(&value.data())) return *held;
    detail::refuse_value(what, "of the type that was asked for");
  } else {
    static_assert(detail::is_vector<T>, "no type that a value can be read as");
    const auto* items = std::get_if<Array>(&value.data());
    if (items == nullptr) detail::refuse_value(what, "an Array");
    T result;
    for (const Value& item : *items) {
      result.push_back(value_as<typename T::value_type>(item, what));
    }
    return result;
  }
}

}  // namespace millrace
