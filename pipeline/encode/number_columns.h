// Writers of integers, floats and Bool.
#pragma once

#include <string_view>

#include "pipeline/encode/column_writer.h"

namespace millrace {

// Null if `type` is another type. `precise`: precise_float_parsing; `tabs`: from TSV.
ColumnWriterPtr make_number_writer(std::string_view type, bool precise, bool tabs);

}  // namespace millrace
