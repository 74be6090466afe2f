// Writers of integers, floats and Bool.
#pragma once

#include <string_view>

#include "pipeline/encode/column_writer.h"

namespace millrace {

// Null if `type` is another type.
ColumnWriterPtr make_number_writer(std::string_view type);

}  // namespace millrace
