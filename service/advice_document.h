// deploy/ERRORS.md: every code and reason of the table of advice (pipeline/advice.h and the rows
// that sources and the bottleneck add), for people to look up. `millrace manual errors` prints it,
// and tests/manual/check compares.
#pragma once

#include <iosfwd>
#include <span>
#include <vector>

#include "pipeline/advice.h"

namespace millrace {

struct AdviceSection {
  const char* title;
  const char* intro;
  std::span<const AdviceRow> rows;
};
// All that the document has, in its order.
std::vector<AdviceSection> advice_sections();
void print_advice_document(std::ostream& out);

}  // namespace millrace
