// Writers of String and FixedString.
#pragma once

#include <cstddef>

#include "pipeline/encode/column_writer.h"

namespace millrace {

ColumnWriterPtr make_string_writer();
ColumnWriterPtr make_fixed_string_writer(std::size_t width);

}  // namespace millrace
