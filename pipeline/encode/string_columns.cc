#include "pipeline/encode/string_columns.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace millrace {
namespace {

// Grammar of the data: { size as a varint, bytes }. Where each one ends is kept beside it: rows are
// taken back from the end.
class StringWriter : public ColumnWriter {
 public:
  void read(JsonCursor& in) override {
    const std::size_t begin = data_.size();
    data_.append_value('\0');  // room for a size below 128
    if (in.peek() == '"') {
      in.read_string(data_);
    } else {
      read_other(in);
    }
    finish(begin);
  }
  void read_text(JsonCursor& in) override {
    append_text({in.at, in.left()});
    in.at = in.end;
  }
  TextForm text_form() const override { return TextForm::kAny; }
  void append_default() override {
    data_.append_value('\0');
    ends_.append_value(data_.size());
  }
  std::size_t rows() const override { return ends_.size() / sizeof(std::size_t); }
  void truncate(std::size_t rows) override {
    ends_.truncate(rows * sizeof(std::size_t));
    data_.truncate(begin_of(rows));
  }
  void write(NativeBody& body) override { body.refer(data_.view()); }
  std::size_t buffer_bytes() const override { return data_.capacity() + ends_.capacity(); }
  void release() override {
    data_.release();
    ends_.release();
  }
  std::string_view value(std::size_t row) const override {
    const std::size_t begin = begin_of(row);
    return {data_.data() + begin, ends_.value_at<std::size_t>(row) - begin};
  }

 protected:
  // A value that was read or is constant.
  void append_text(std::string_view text) {
    const std::size_t begin = data_.size();
    data_.append_value('\0');
    data_.append(text);
    finish(begin);
  }

 private:
  std::size_t begin_of(std::size_t row) const {
    return row == 0 ? 0 : ends_.value_at<std::size_t>(row - 1);
  }

  // Whatever else JSON has becomes its own text.
  void read_other(JsonCursor& in) {
    const char* start = in.at;
    switch (in.peek()) {
      case '{':
      case '[':
        in.skip_balanced();
        break;
      case 't':
        in.expect("true");
        break;
      case 'f':
        in.expect("false");
        break;
      default:
        in.skip_value();
    }
    data_.append({start, static_cast<std::size_t>(in.at - start)});
  }

  void finish(std::size_t begin) {
    const std::size_t size = data_.size() - begin - 1;
    if (size < 0x80) {
      data_.data()[begin] = static_cast<char>(size);
    } else {
      make_room_for_size(begin, size);
    }
    ends_.append_value(data_.size());
  }

  void make_room_for_size(std::size_t begin, std::size_t size) {
    char text[10];
    std::size_t width = 0;
    std::size_t rest = size;
    for (; rest >= 0x80; rest >>= 7) text[width++] = static_cast<char>(rest | 0x80);
    text[width++] = static_cast<char>(rest);
    data_.ensure(width - 1);
    char* at = data_.data() + begin;
    std::memmove(at + width, at + 1, size);
    std::memcpy(at, text, width);
    data_.advance(width - 1);
  }

  ColumnBytes data_, ends_;
};

class JsonWriter final : public StringWriter {
  void read(JsonCursor& in) override {
    if (in.peek() != '{') in.refuse("an object is expected", Refused::kData);
    const char* start = in.at;
    in.skip_value();
    append_text({start, static_cast<std::size_t>(in.at - start)});
  }
  void append_default() override { append_text("{}"); }
  void write_prefix(NativeBody& body) const override {
    constexpr std::uint64_t kAsText = 1;  // of the ways to write JSON in Native
    body.copy_u64(kAsText);
  }
};

class FixedStringWriter final : public ColumnWriter {
 public:
  explicit FixedStringWriter(std::size_t width) : width_(width) {}

  void read(JsonCursor& in) override {
    const char* start = in.at;
    const std::size_t begin = data_.size();
    in.read_string(data_);
    fill_up(data_.size() - begin, in, start);
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    data_.append({start, in.left()});
    in.at = in.end;
    fill_up(static_cast<std::size_t>(in.end - start), in, start);
  }
  TextForm text_form() const override { return TextForm::kAny; }
  void append_default() override { data_.append_zeros(width_); }
  std::size_t rows() const override { return data_.size() / width_; }
  void truncate(std::size_t rows) override { data_.truncate(rows * width_); }
  void write(NativeBody& body) override { body.refer(data_.view()); }
  std::size_t buffer_bytes() const override { return data_.capacity(); }
  void release() override { data_.release(); }
  std::string_view value(std::size_t row) const override {
    return {data_.data() + row * width_, width_};
  }

 private:
  void fill_up(std::size_t size, JsonCursor& in, const char* start) {
    if (size > width_) {
      in.at = start;
      in.refuse("the string is longer than " + std::to_string(width_) + " bytes",
                Refused::kLongString);
    }
    data_.append_zeros(width_ - size);
  }

  const std::size_t width_;
  ColumnBytes data_;
};

}  // namespace

ColumnWriterPtr make_string_writer() { return std::make_unique<StringWriter>(); }
ColumnWriterPtr make_json_writer() { return std::make_unique<JsonWriter>(); }
ColumnWriterPtr make_fixed_string_writer(std::size_t width) {
  return std::make_unique<FixedStringWriter>(width);
}

}  // namespace millrace
