// The fields of an HTTP header by name, in which case does not count (RFC 9110 section 5.1).
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

namespace millrace {

struct CaseInsensitiveLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](char x, char y) { return lower(x) < lower(y); });
  }

 private:
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
};

using Headers = std::map<std::string, std::string, CaseInsensitiveLess>;

}  // namespace millrace
