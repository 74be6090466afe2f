// Random tables and rows for them. Most values are right for their column, in one of the many ways
// to write them; some are of another type, some are damaged.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "pipeline/encode/row_format.h"
#include "transport/client_options.h"

namespace millrace::test {

// What stands for a JSON value in a field of TSV or CSV, about.
std::string text_of_json(const std::string& value);

class RowGenerator {
 public:
  explicit RowGenerator(std::uint64_t seed, RowFormat format = RowFormat::kJsonObjects)
      : random_(seed), format_(format) {}

  // The columns of a new table, as in CREATE TABLE; rows are for it from now on.
  std::string new_table();
  // Settings of an insert into it.
  const Settings& settings() const { return settings_; }
  // A message in one line: a row with number `n`, or two, the second with kSecond more.
  static constexpr std::size_t kSecond = 1'000'000;
  std::string message(std::size_t n);

 private:
  std::string row(std::size_t n);
  std::string json_object(std::size_t n);
  std::string json_array(std::size_t n);
  std::string text_row(std::size_t n);
  // A type and how values of it are written.
  struct Type {
    std::string name;
    std::function<std::string()> value;
  };
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }
  std::string digits(std::size_t most);
  std::string integer(bool with_sign);
  std::string decimal(std::size_t whole_digits);
  std::string quoted(std::string text) { return "\"" + std::move(text) + "\""; }
  std::string maybe_quoted(std::string text) { return one_in(4) ? quoted(std::move(text)) : text; }
  std::string string();
  std::string time();
  std::string date();
  std::string time_of_day();
  std::string uuid();
  std::string address(bool ipv6);
  std::string any_value(unsigned depth);
  std::string list(char open, char close, const std::function<std::string()>& element);
  std::string space() { return one_in(20) ? one_of<std::string>({" ", "\t", "  ", "\r"}) : ""; }
  Type scalar();
  Type dictionary();
  Type type(unsigned depth);

  std::mt19937_64 random_;
  const RowFormat format_;
  std::vector<Type> columns_;
  Settings settings_;
  bool shuffled_ = false;
};

}  // namespace millrace::test
