// Messages -> one Native block.
//
// ```cpp
// NativeEncoder encoder(plan);
// for (const RecordEntry& record : records) {
//   if (auto failure = encoder.add(record.payload())) { … }  // nothing of the message is in
// }
// const NativeBlock block = encoder.finish();                 // INSERT INTO t (columns) FORMAT
// Native encoder.clear();                                            // when it is sent
// ```
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/encode/column_bytes.h"
#include "pipeline/encode/column_writer.h"
#include "pipeline/encode/native_plan.h"

namespace millrace {

// Why a message is not in the block.
struct EncodeFailure {
  std::size_t row = 0;  // of the message, from 0
  std::string column;   // empty: between fields, or outside of a row
  std::string type;     // the column's
  std::string reason;
  int code = 0;               // ClickHouse's for it
  std::size_t position = 0;   // byte of the message
  std::string unknown_field;  // the table has no column of this name that could be inserted into
};

struct NativeBlock {
  std::size_t rows = 0;
  std::vector<std::string_view> columns;  // that the insert must name, in their order
  std::vector<std::string_view> pieces;   // the body; nothing if there are no rows
  // Some rows lack a column whose default only the server can compute: all of the rows must be sent
  // as they are, and so the others of this table. There are no pieces then.
  std::optional<CannotEncode> cannot{};
  // Fields were left out because the table has no column for them. It may have one by now.
  bool skipped_fields = false;
};

// `"name":`, to be found where a field should begin.
class FieldKey {
 public:
  FieldKey() = default;
  explicit FieldKey(std::string_view name);
  // Moves behind it, if it stands at the cursor.
  bool take(JsonCursor& in) const;

 private:
  static constexpr std::size_t kWords = 2;
  std::string text_;
  std::uint64_t words_[kWords] = {},
                masks_[kWords] = {};  // its first bytes, for names of most sizes
};

// Owned by one thread. Memory is kept from block to block; once it is large enough no row
// allocates.
class NativeEncoder {
 public:
  explicit NativeEncoder(std::shared_ptr<const NativePlan> plan);

  // Appends the rows of a message: any number of them, as ClickHouse takes them in the plan's
  // format.
  // `columns_json` is put in front of the fields of each JSON object: `"a":1,"b":"x"`, see
  // encoder.h.
  // On a failure the block is as it was before.
  // REQUIRES: kReadAhead readable bytes behind the payload, whatever their value: BlockBuffer has
  // them behind every record.
  std::optional<EncodeFailure> add(std::string_view payload, std::string_view columns_json = {});
  std::size_t rows() const noexcept { return rows_; }
  // What was added. The views are valid until the next call of add() or clear().
  NativeBlock finish();
  // Before the next block.
  void clear();
  std::size_t buffer_bytes() const;
  // Clears, and gives all memory back.
  void trim();

 private:
  struct Field {
    ColumnWriter* writer = nullptr;
    const NativePlan::Column* column = nullptr;
    FieldKey key;
    Field* next = nullptr;     // the one that came behind it the last time
    std::uint64_t seen = 0;    // the last row, by its serial number, that had the field
    std::size_t missing = 0;   // rows of the block without a value for it
    std::string default_json;  // with room to read ahead
  };

  void read_rows(JsonCursor& in, std::string_view columns_json);
  void read_json_objects(JsonCursor& in, std::string_view columns_json);
  void read_row(JsonCursor& in, std::string_view columns_json);
  void read_fields(JsonCursor& in, bool object);
  void read_field(JsonCursor& in);
  Field* find(JsonCursor& in);
  [[noreturn]] static void refuse_name(const JsonCursor& in);
  void read_name(JsonCursor& in);
  void read_value(Field& field, JsonCursor& in);
  void append_missing(Field& field);
  void complete_row();
  void end_row(JsonCursor& in);
  void check_nested(JsonCursor& in);
  // Rows without names, positional_rows.cc.
  void read_json_arrays(JsonCursor& in);
  void read_json_array(JsonCursor& in);
  // TSV and CSV, text_rows.cc.
  void read_text_rows(JsonCursor& in);
  enum class Behind { kNothing, kBlanks };
  // `if_more`: the code if the text goes on behind the value.
  void read_text_value(Field& field, std::string_view text, Behind behind,
                       Refused if_more = Refused::kSyntax);
  void read_unescaped(Field& field, const char* place);
  void append_null(Field& field, JsonCursor& in);
  void append_empty(Field& field, JsonCursor& in);
  void read_tab_row(JsonCursor& in);
  void read_tab_field(Field& field, JsonCursor& in);
  void read_comma_row(JsonCursor& in);
  void read_comma_field(Field& field, JsonCursor& in, bool last);
  void read_bare_field(Field& field, std::string_view text, bool last);
  void read_quoted_field(Field& field, JsonCursor& in);
  void add_column_for_empty_rows(std::vector<const Field*>& sent) const;
  void roll_back(std::size_t rows);

  const std::shared_ptr<const NativePlan> plan_;
  const std::vector<ColumnWriterPtr> writers_;
  std::vector<Field> fields_;  // as the columns
  std::unordered_map<std::string_view, Field*> by_name_;
  Field before_first_;          // only its `next` counts
  std::vector<Field*> missed_;  // by the rows of this message, once for each row
  NativeBody body_;
  ColumnBytes name_, unescaped_;
  std::string columns_json_;
  std::size_t rows_ = 0;
  // Of the row in hand.
  std::uint64_t serial_ = 0;
  std::size_t seen_ = 0, row_of_message_ = 0;
  Field* last_ = nullptr;  // the field before this one
  const Field* reading_ = nullptr;
  std::string unknown_field_;    // of the message in hand, refused for it
  bool skipped_fields_ = false;  // of the block
};

[[gnu::always_inline]] inline void NativeEncoder::read_value(Field& field, JsonCursor& in) {
  if (in.peek() == 'n' && !field.column->takes_null && field.column->has_default) {
    in.expect("null");
    append_missing(field);
  } else {
    read_or_default(*field.writer, in);
  }
}

}  // namespace millrace
