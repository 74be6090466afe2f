#include "pipeline/encode/composite_columns.h"

#include <cstdint>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

class NullableWriter final : public ColumnWriter {
 public:
  explicit NullableWriter(ColumnWriterPtr nested) : nested_(std::move(nested)) {}

  void read(JsonCursor& in) override {
    if (in.peek() == 'n') {
      in.expect("null");
      append_default();
    } else {
      nested_->read(in);
      nulls_.append_value('\0');
    }
  }
  void read_text(JsonCursor& in) override {
    nested_->read_text(in);
    nulls_.append_value('\0');
  }
  TextForm text_form() const override { return nested_->text_form(); }
  void append_default() override {
    nested_->append_default();
    nulls_.append_value('\1');
  }
  std::size_t rows() const override { return nulls_.size(); }
  void truncate(std::size_t rows) override {
    nulls_.truncate(rows);
    nested_->truncate(rows);
  }
  void clear() override {
    nulls_.truncate(0);
    nested_->clear();
  }
  void write_prefix(NativeBody& body) const override { nested_->write_prefix(body); }
  void write(NativeBody& body) override {
    body.refer(nulls_.view());
    nested_->write(body);
  }
  bool takes_null() const override { return true; }
  std::size_t buffer_bytes() const override { return nulls_.capacity() + nested_->buffer_bytes(); }
  void release() override {
    nulls_.release();
    nested_->release();
  }

 private:
  const ColumnWriterPtr nested_;
  ColumnBytes nulls_;
};

// Rows of several elements each: where each row ends, counted in elements.
class Ends {
 public:
  std::size_t rows() const { return ends_.size() / sizeof(std::uint64_t); }
  std::size_t elements() const { return elements_before(rows()); }
  std::size_t elements_before(std::size_t row) const {
    return row == 0 ? 0 : static_cast<std::size_t>(ends_.value_at<std::uint64_t>(row - 1));
  }
  void add_row(std::size_t size) { ends_.append_value(std::uint64_t{elements() + size}); }
  void truncate(std::size_t rows) { ends_.truncate(rows * sizeof(std::uint64_t)); }
  void write(NativeBody& body) const { body.refer(ends_.view()); }
  std::size_t buffer_bytes() const { return ends_.capacity(); }
  void release() { ends_.release(); }

 private:
  ColumnBytes ends_;
};

// What stands between an opening and a closing bracket. A comma may stand behind the last one.
struct ListForm {
  char open, close;
  Refused not_opened, not_separated;
};
constexpr ListForm kArrayForm{'[', ']', Refused::kArray, Refused::kArray};
constexpr ListForm kMapForm{'{', '}', Refused::kSyntax, Refused::kMap};

template <class ReadElement>
std::size_t read_list(JsonCursor& in, ListForm form, ReadElement read_element) {
  const char close = form.close;
  in.expect(form.open, form.not_opened);
  in.skip_space();
  std::size_t size = 0;
  while (!in.done() && *in.at != close) {
    if (size > 0) in.expect(',', form.not_separated);
    in.skip_space();
    if (in.peek() == close) break;
    read_element();
    ++size;
    in.skip_space();
  }
  in.expect(close);
  return size;
}

class ArrayWriter final : public ColumnWriter {
 public:
  explicit ArrayWriter(ColumnWriterPtr element) : element_(std::move(element)) {}

  void read(JsonCursor& in) override {
    ends_.add_row(read_list(in, kArrayForm, [&] { read_or_default(*element_, in); }));
  }
  void append_default() override { ends_.add_row(0); }
  std::size_t rows() const override { return ends_.rows(); }
  void truncate(std::size_t rows) override {
    ends_.truncate(rows);
    element_->truncate(ends_.elements());
  }
  void clear() override {
    ends_.truncate(0);
    element_->clear();
  }
  void write_prefix(NativeBody& body) const override { element_->write_prefix(body); }
  void write(NativeBody& body) override {
    ends_.write(body);
    element_->write(body);
  }
  std::size_t elements(std::size_t row) const override {
    return ends_.elements_before(row + 1) - ends_.elements_before(row);
  }
  std::size_t buffer_bytes() const override {
    return ends_.buffer_bytes() + element_->buffer_bytes();
  }
  void release() override {
    ends_.release();
    element_->release();
  }

 private:
  const ColumnWriterPtr element_;
  Ends ends_;
};

class MapWriter final : public ColumnWriter {
 public:
  MapWriter(ColumnWriterPtr key, ColumnWriterPtr value)
      : key_(std::move(key)), value_(std::move(value)) {}

  void read(JsonCursor& in) override {
    ends_.add_row(read_list(in, kMapForm, [&] {
      read_or_default(*key_, in);
      in.skip_space();
      in.expect(':');
      in.skip_space();
      read_or_default(*value_, in);
    }));
  }
  void append_default() override { ends_.add_row(0); }
  std::size_t rows() const override { return ends_.rows(); }
  void truncate(std::size_t rows) override {
    ends_.truncate(rows);
    key_->truncate(ends_.elements());
    value_->truncate(ends_.elements());
  }
  void clear() override {
    ends_.truncate(0);
    key_->clear();
    value_->clear();
  }
  void write_prefix(NativeBody& body) const override {
    key_->write_prefix(body);
    value_->write_prefix(body);
  }
  void write(NativeBody& body) override {
    ends_.write(body);
    key_->write(body);
    value_->write(body);
  }
  std::size_t buffer_bytes() const override {
    return ends_.buffer_bytes() + key_->buffer_bytes() + value_->buffer_bytes();
  }
  void release() override {
    ends_.release();
    key_->release();
    value_->release();
  }

 private:
  const ColumnWriterPtr key_, value_;
  Ends ends_;
};

class TupleWriter final : public ColumnWriter {
 public:
  TupleWriter(std::vector<ColumnWriterPtr> elements, std::vector<std::string> names)
      : elements_(std::move(elements)), names_(std::move(names)) {}

  void read(JsonCursor& in) override {
    if (names_.empty()) {
      read_array(in);
    } else {
      read_object(in);
    }
    ++rows_;
  }
  void append_default() override {
    for (const auto& element : elements_) element->append_default();
    ++rows_;
  }
  void append_for_null(JsonCursor& in) override {
    for (const auto& element : elements_) element->append_for_null(in);
    ++rows_;
  }
  std::size_t rows() const override { return rows_; }
  void truncate(std::size_t rows) override {
    rows_ = rows;
    for (const auto& element : elements_) element->truncate(rows);
  }
  void clear() override {
    rows_ = 0;
    for (const auto& element : elements_) element->clear();
  }
  void write_prefix(NativeBody& body) const override {
    for (const auto& element : elements_) element->write_prefix(body);
  }
  void write(NativeBody& body) override {
    for (const auto& element : elements_) element->write(body);
  }
  std::size_t buffer_bytes() const override {
    std::size_t bytes = 0;
    for (const auto& element : elements_) bytes += element->buffer_bytes();
    return bytes;
  }
  void release() override {
    for (const auto& element : elements_) element->release();
  }

 private:
  void read_array(JsonCursor& in) {
    in.expect('[');
    for (std::size_t i = 0; i < elements_.size(); ++i) {
      in.skip_space();
      if (i > 0) {
        in.expect(',');
        in.skip_space();
      }
      read_or_default(*elements_[i], in);
    }
    in.skip_space();
    in.expect(']');
  }

  // Names in any order; one that is missing is as null, one that is unknown is passed over.
  void read_object(JsonCursor& in) {
    in.expect('{');
    in.skip_space();
    for (bool first = true; !in.done() && *in.at != '}'; first = false) {
      if (!first) {
        in.expect(',');
        in.skip_space();
      }
      const char* start = in.at;
      ColumnWriter* element = element_named(read_name(in));
      in.skip_space();
      in.expect(':');
      in.skip_space();
      if (element == nullptr) {
        in.skip_value();
      } else if (element->rows() > rows_) {
        in.at = start;
        in.refuse("a name of the tuple comes twice", Refused::kData);
      } else {
        read_or_default(*element, in);
      }
      in.skip_space();
    }
    in.expect('}');
    for (const auto& element : elements_) {
      if (element->rows() == rows_) element->append_for_null(in);
    }
  }

  // Names are read as SQL strings, not as JSON: a \u means nothing in them. One with a backslash is
  // taken for an unknown name.
  static std::string_view read_name(JsonCursor& in) {
    in.expect('"', Refused::kString);
    const char* start = in.at;
    bool escaped = false;
    while (in.peek() != '"') {
      if (in.done()) in.refuse("the name has no end", Refused::kString);
      if (*in.at == '\\') {
        escaped = true;
        ++in.at;
        if (in.done()) in.refuse("the name has no end", Refused::kEscape);
      }
      ++in.at;
    }
    const std::string_view name(start, static_cast<std::size_t>(in.at - start));
    ++in.at;
    return escaped ? std::string_view() : name;
  }

  ColumnWriter* element_named(std::string_view name) const {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return elements_[i].get();
    }
    return nullptr;
  }

  const std::vector<ColumnWriterPtr> elements_;
  const std::vector<std::string> names_;
  std::size_t rows_ = 0;
};

}  // namespace

ColumnWriterPtr make_nullable_writer(ColumnWriterPtr nested) {
  return std::make_unique<NullableWriter>(std::move(nested));
}
ColumnWriterPtr make_array_writer(ColumnWriterPtr element) {
  return std::make_unique<ArrayWriter>(std::move(element));
}
ColumnWriterPtr make_map_writer(ColumnWriterPtr key, ColumnWriterPtr value) {
  return std::make_unique<MapWriter>(std::move(key), std::move(value));
}
ColumnWriterPtr make_tuple_writer(std::vector<ColumnWriterPtr> elements,
                                  std::vector<std::string> names) {
  return std::make_unique<TupleWriter>(std::move(elements), std::move(names));
}

}  // namespace millrace
