// Writers of String, FixedString and JSON.
#pragma once

#include <cstddef>

#include "pipeline/encode/column_writer.h"

namespace millrace {

ColumnWriterPtr make_string_writer();
ColumnWriterPtr make_fixed_string_writer(std::size_t width);
// As text: the server makes paths of it. Objects only; what the server finds wrong inside of one
// (a path that comes twice, a value that its typed path does not take) it refuses with the block.
ColumnWriterPtr make_json_writer();

}  // namespace millrace
