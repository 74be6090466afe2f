// Puts parameters into a statement.
//
// The server does it if the parameters have names and the statement has a `{name:Type}`: safe for
// any value, and the way to prefer. Otherwise it is done here, as printf does: `%(name)s` with
// names, `%s` in order; then a literal `%` is written `%%`. Names of tables and columns can be
// bound by the server only, as `{t:Identifier}`.
// A name `$tag$` with Bytes puts them into the statement themselves, as the heredoc
// `$tag$…$tag$`; such a statement is binary.
// A name `t_64` is the same as `t` and keeps the microseconds of a point in time, unless the
// statement has a `{t_64:…}`.
//
// Pure functions. The caller's mistakes are UsageErrors that name the parameter, never its value.
// The server side is not checked for completeness: `SET param_x` in a session gives a value too.
// https://clickhouse.com/docs/interfaces/http#cli-queries-with-parameters
#pragma once

#include <concepts>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "transport/value.h"

namespace millrace {

using Named = std::map<std::string, Value>;
using Positional = std::vector<Value>;

// What goes with a statement: {{"a", 13}, {"names", Array{"x", "y"}}}, a map of names to anything
// that a Value can hold, or Positional{13, "x"}.
class Parameters {
 public:
  Parameters() = default;
  Parameters(Named named) : parameters_(std::move(named)) {}
  Parameters(Positional values) : parameters_(std::move(values)) {}
  Parameters(std::initializer_list<Named::value_type> named) : parameters_(Named(named)) {}
  template <MapOfValues Map>
  requires(!std::same_as<Map, Named> &&
           std::convertible_to<const typename Map::key_type&, std::string>)
      Parameters(const Map& named)
      : parameters_(Named(named.begin(), named.end())) {}

  // nullptr if they are not of that kind.
  const Named* named() const noexcept { return std::get_if<Named>(&parameters_); }
  const Positional* positional() const noexcept { return std::get_if<Positional>(&parameters_); }

 private:
  std::variant<std::monostate, Named, Positional> parameters_;
};

struct BoundQuery {
  std::string sql;
  std::vector<std::pair<std::string, std::string>> params{};  // ("param_a", text), not encoded
  bool binary = false;                                        // `sql` holds bytes that are no text
};

// No parameters: `sql` as it is. Else without `;` at its end, except of an INSERT.
// (Not `bind`: with arguments of std, the compiler would take std::bind.)
BoundQuery bind_parameters(std::string_view sql, const Parameters& parameters,
                           MapText map_text = MapText::kJson);

}  // namespace millrace
