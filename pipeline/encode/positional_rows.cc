// NativeEncoder's reading of rows without names: a value for each column, in the table's order.
#include "pipeline/encode/native_encoder.h"

namespace millrace {

// One comma or semicolon may stand in front of the rows and behind them, and two between.
void NativeEncoder::read_json_arrays(JsonCursor& in) {
  const auto take_separator = [&] {
    in.skip_space();
    if (!in.take(',')) in.take(';');
    in.skip_space();
  };
  if (plan_->skips_byte_order_mark()) in.skip_byte_order_mark();
  while (true) {
    take_separator();
    if (in.done()) return;
    if (row_of_message_ > 0) take_separator();
    read_json_array(in);
    ++row_of_message_;
  }
}

void NativeEncoder::read_json_array(JsonCursor& in) {
  in.expect('[');
  for (Field& field : fields_) {
    in.skip_space();
    if (&field != &fields_.front()) {
      in.expect(',');
      in.skip_space();
    }
    reading_ = &field;
    read_value(field, in);
    reading_ = nullptr;
  }
  in.skip_space();
  in.expect(']');
  end_row(in);
}

}  // namespace millrace
