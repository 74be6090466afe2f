// The writer of LowCardinality: each value once, and where each row has it.
#pragma once

#include "pipeline/encode/column_writer.h"

namespace millrace {

// `values` writes the type inside, without Nullable; REQUIRES: it has value().
ColumnWriterPtr make_low_cardinality_writer(ColumnWriterPtr values, bool nullable);

}  // namespace millrace
