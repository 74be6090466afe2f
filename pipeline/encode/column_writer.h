// One column of a block: JSON values in, the bytes of a Native column out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/encode/column_bytes.h"
#include "pipeline/encode/json_cursor.h"

namespace millrace {

// A body of pieces: small ones are copied behind each other, columns stay where they are.
class NativeBody {
 public:
  void clear();
  void copy(std::string_view bytes);
  void copy_varint(std::uint64_t number);
  void copy_string(std::string_view text);  // its length first
  void copy_u64(std::uint64_t number) {
    copy({reinterpret_cast<const char*>(&number), sizeof number});
  }
  void refer(std::string_view bytes);  // must stay until clear()
  // Valid until the next call of another function.
  std::vector<std::string_view> pieces() const;

 private:
  struct Piece {
    const char* data;  // null: in copied_, in order
    std::size_t bytes;
  };
  std::string copied_;
  std::vector<Piece> pieces_;
};

// What a field of TSV or CSV may have around a value, or in it.
enum class TextForm {
  kBare,      // nothing
  kQuotable,  // quotes, in CSV
  kAny,       // the format's escapes and quotes: it may hold any text
};

// Owned by one thread. A composite type's writer owns those of its parts. Memory is kept from block
// to block.
class ColumnWriter {
 public:
  ColumnWriter() = default;
  ColumnWriter(const ColumnWriter&) = delete;
  ColumnWriter& operator=(const ColumnWriter&) = delete;
  virtual ~ColumnWriter() = default;

  // Appends the value that is the whole text from the cursor to its end, a field of TSV or CSV: the
  // caller has taken escapes and quotes away, and sees to it that nothing is left. Throws as
  // read().
  virtual void read_text(JsonCursor& in) {
    in.refuse("such values are not read from text", Refused::kSyntax);
  }
  virtual TextForm text_form() const { return TextForm::kQuotable; }
  // Appends the value at the cursor. Throws JsonRefusal; a part of a value may be left then, and
  // truncate() takes it away.
  virtual void read(JsonCursor& in) = 0;
  // The value that ClickHouse gives a type when nothing else is said.
  virtual void append_default() = 0;
  // What null becomes where the type has none; nearly always the default. `in` is for a refusal.
  virtual void append_for_null(JsonCursor& /*in*/) { append_default(); }
  virtual std::size_t rows() const = 0;
  // REQUIRES: rows <= rows().
  virtual void truncate(std::size_t rows) = 0;
  // Before the next block: no rows.
  virtual void clear() { truncate(0); }
  // What comes before the data of the whole column, whatever it is nested in.
  virtual void write_prefix(NativeBody&) const {}
  // May refer to the memory of the column.
  virtual void write(NativeBody& body) = 0;
  // Whether it takes null by itself. Of all others null is the default.
  virtual bool takes_null() const { return false; }
  virtual std::size_t buffer_bytes() const = 0;
  // Gives its memory back. REQUIRES: rows() == 0.
  virtual void release() = 0;
  // The bytes that tell a value of one from another: of types that a dictionary can be made of.
  virtual std::string_view value(std::size_t /*row*/) const { return {}; }
  // Of an array: how many elements a row has.
  virtual std::size_t elements(std::size_t /*row*/) const { return 0; }
};
using ColumnWriterPtr = std::unique_ptr<ColumnWriter>;

// What every reader of a value does, at the top and within a composite type. False: it was null for
// a type without nulls, and a default was appended.
[[gnu::always_inline]] inline bool read_or_default(ColumnWriter& column, JsonCursor& in) {
  if (in.peek() == 'n' && !column.takes_null()) {
    in.expect("null");
    column.append_for_null(in);
    return false;
  }
  column.read(in);
  return true;
}

// Of a type whose values are T in memory as in a Native column.
template <class T>
class FixedWidthWriter : public ColumnWriter {
 public:
  void append_default() override { data_.append_value(T{}); }
  std::size_t rows() const override { return data_.size() / sizeof(T); }
  void truncate(std::size_t rows) override { data_.truncate(rows * sizeof(T)); }
  void write(NativeBody& body) override { body.refer(data_.view()); }
  std::size_t buffer_bytes() const override { return data_.capacity(); }
  void release() override { data_.release(); }
  std::string_view value(std::size_t row) const override {
    return {data_.data() + row * sizeof(T), sizeof(T)};
  }

 protected:
  void append(const T& value) { data_.append_value(value); }

 private:
  ColumnBytes data_;
};

}  // namespace millrace
