// The name of a type -> the writer of a column of it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "pipeline/encode/column_writer.h"
#include "pipeline/encode/date_time_text.h"
#include "pipeline/encode/row_format.h"

namespace millrace {

// The text says what of the type is in the way.
class UnsupportedType : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct TypeContext {
  std::string time_zone = "UTC";  // of types that name none
  TimeForm time_form = TimeForm::kBestEffort;
  RowFormat format = RowFormat::kJsonObjects;
  bool precise_floats = true;  // precise_float_parsing
};

// Throws UnsupportedType.
ColumnWriterPtr make_type_writer(std::string_view type, const TypeContext& context);

// "Nullable(X)" and "LowCardinality(X)" -> X, however often.
std::string_view without_wrappers(std::string_view type);

// The bytes of a text in single quotes, which may have backslashes in it, as SQL writes it.
std::string unquote_sql(std::string_view quoted);

}  // namespace millrace
