// main() of tests that start processes.
#include <gtest/gtest.h>

#include "tests/support/child_process.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  millrace::test::print_children_on_failure();
  return RUN_ALL_TESTS();
}
