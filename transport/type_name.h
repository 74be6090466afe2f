// The name of a ClickHouse type, "Array(Nullable(DateTime64(3)))", taken apart as far as the text
// of a parameter depends on it. Pure functions; the views point into the text they were given.
// https://clickhouse.com/docs/sql-reference/data-types
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct TypeName {
  std::string_view name;  // without Nullable(…) and LowCardinality(…) around it
  std::vector<std::string_view> arguments;

  bool is(std::string_view other) const noexcept;  // letters of either case
  bool is_number() const noexcept;
  bool is_composite() const noexcept;  // Array, Tuple, Map, Nested, Variant: written as a literal
  // Empty if there is no such argument. `element` gives a tuple's type without its name.
  std::string_view argument(std::size_t index) const noexcept;
  std::string_view element(std::size_t index) const noexcept;
};

// DESCRIBE breaks long types into lines; here is the same as one, as the server writes it
// elsewhere.
std::string one_line(std::string_view type);

// Never fails: of what is not a type it makes a name that nothing compares equal to.
TypeName parse_type(std::string_view text);

}  // namespace millrace
