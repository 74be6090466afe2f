// Writers of types that are made of other types: Nullable, Array, Map, Tuple.
#pragma once

#include <string>
#include <vector>

#include "pipeline/encode/column_writer.h"

namespace millrace {

ColumnWriterPtr make_nullable_writer(ColumnWriterPtr nested);
ColumnWriterPtr make_array_writer(ColumnWriterPtr element);
ColumnWriterPtr make_map_writer(ColumnWriterPtr key, ColumnWriterPtr value);
// Without names the tuple is an array in JSON; with names an array or an object.
ColumnWriterPtr make_tuple_writer(std::vector<ColumnWriterPtr> elements,
                                  std::vector<std::string> names);

}  // namespace millrace
