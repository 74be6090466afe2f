// Texts in all shapes for which ClickHouse's readers have a branch; differential_shapes.md is the
// table of these branches.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "tests/integration/differential_cases.h"

namespace millrace::test {

// About `most` texts for each type, chosen by `random`; the first ones of each kind, such as all
// lengths of a number, are always there.
std::vector<ValueCases> shape_cases(std::mt19937_64& random, std::size_t most);

}  // namespace millrace::test
