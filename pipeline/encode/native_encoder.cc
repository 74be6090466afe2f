#include "pipeline/encode/native_encoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pipeline/encoder.h"

namespace millrace {
namespace {

// A copy with bytes behind it that may be read.
std::string with_read_ahead(std::string text) { return text.append(kReadAhead, '\0'); }

bool same_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

FieldKey::FieldKey(std::string_view name) {
  append_json_string(name, text_);
  text_ += ':';
  char text[sizeof words_] = {}, mask[sizeof words_] = {};
  const std::size_t size = std::min(text_.size(), sizeof words_);
  std::memcpy(text, text_.data(), size);
  std::memset(mask, 0xff, size);
  std::memcpy(words_, text, sizeof words_);
  std::memcpy(masks_, mask, sizeof masks_);
}

bool FieldKey::take(JsonCursor& in) const {
  std::uint64_t words[kWords];
  std::memcpy(words, in.at, sizeof words);  // may read ahead
  const bool same =
      (((words[0] ^ words_[0]) & masks_[0]) | ((words[1] ^ words_[1]) & masks_[1])) == 0;
  if (!same || in.left() < text_.size()) return false;
  if (text_.size() > sizeof words && std::memcmp(in.at + sizeof words, text_.data() + sizeof words,
                                                 text_.size() - sizeof words) != 0) {
    return false;
  }
  in.at += text_.size();
  return true;
}

NativeEncoder::NativeEncoder(std::shared_ptr<const NativePlan> plan)
    : plan_(std::move(plan)), writers_(plan_->make_writers()), fields_(writers_.size()) {
  before_first_.next = &fields_.front();
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    Field& field = fields_[i];
    field.writer = writers_[i].get();
    field.column = &plan_->columns()[i];
    field.key = FieldKey(field.column->name);
    field.default_json = with_read_ahead(field.column->default_json);
    by_name_[field.column->name] = &field;
    field.next = i + 1 < fields_.size() ? &fields_[i + 1] : nullptr;
  }
}

std::optional<EncodeFailure> NativeEncoder::add(std::string_view payload,
                                                std::string_view columns_json) {
  const std::size_t rows_before = rows_;
  missed_.clear();
  row_of_message_ = 0;
  reading_ = nullptr;
  unknown_field_.clear();
  if (!columns_json.empty()) columns_json_.assign(columns_json).append(kReadAhead, '\0');
  JsonCursor in(payload);
  try {
    read_rows(in, {columns_json_.data(), columns_json.size()});
    return std::nullopt;
  } catch (const JsonRefusal& refusal) {
    EncodeFailure failure;
    failure.row = row_of_message_;
    failure.reason = refusal.what;
    failure.code = static_cast<int>(refusal.code);
    failure.unknown_field = unknown_field_;
    if (reading_ != nullptr) {
      failure.column = reading_->column->name;
      failure.type = reading_->column->type;
    }
    // A refusal of what was put in front of the fields has no place in the message.
    const bool inside =
        refusal.at >= payload.data() && refusal.at <= payload.data() + payload.size();
    failure.position = inside ? static_cast<std::size_t>(refusal.at - payload.data()) : 0;
    roll_back(rows_before);
    return failure;
  }
}

void NativeEncoder::read_rows(JsonCursor& in, std::string_view columns_json) {
  switch (plan_->format()) {
    case RowFormat::kJsonObjects:
      return read_json_objects(in, columns_json);
    case RowFormat::kJsonArrays:
      return read_json_arrays(in);
    case RowFormat::kTabs:
    case RowFormat::kCommas:
      return read_text_rows(in);
  }
}

void NativeEncoder::read_json_objects(JsonCursor& in, std::string_view columns_json) {
  in.skip_byte_order_mark();
  in.skip_space();
  const bool array = in.take('[');
  for (bool first = true;; first = false) {
    in.skip_space();
    if ((first || !in.take(',')) && in.peek() == (array ? ']' : ';')) break;
    in.skip_space();
    if (in.done()) break;
    read_row(in, columns_json);
    ++row_of_message_;
  }
  if (array) {
    in.expect(']');
    in.skip_space();
  }
  if (in.take(';')) in.skip_space();
  if (!in.done()) in.refuse("something stands behind the rows", Refused::kSyntax);
}

void NativeEncoder::read_row(JsonCursor& in, std::string_view columns_json) {
  in.expect('{');
  ++serial_;
  seen_ = 0;
  last_ = &before_first_;
  if (!columns_json.empty()) {
    JsonCursor columns(columns_json);
    read_fields(columns, false);
  }
  read_fields(in, true);
  if (seen_ < fields_.size()) complete_row();
  end_row(in);
}

void NativeEncoder::end_row(JsonCursor& in) {
  ++rows_;
  if (!plan_->nested().empty()) check_nested(in);
}

// Up to the closing brace of the object, or to the end of what is in front of its fields.
void NativeEncoder::read_fields(JsonCursor& in, bool object) {
  for (bool first = true;; first = false) {
    in.skip_space();
    if (object ? in.take('}') : in.done()) return;
    if (!first) {
      if (!in.take(',')) {
        in.refuse_expected(',', in.done() ? Refused::kEnd : Refused::kSyntax);
      }
      in.skip_space();
    }
    read_field(in);
  }
}

void NativeEncoder::read_field(JsonCursor& in) {
  if (plan_->skips_unknown_fields() && seen_ == fields_.size()) {
    read_name(in);  // with all columns seen ClickHouse does not look at names any more
    skipped_fields_ = true;
    return in.skip_value();
  }
  // What is most often: the field that came here in the row before.
  Field* field = last_->next;
  if (field == nullptr || !field->key.take(in)) field = find(in);
  in.skip_space();
  if (field == nullptr) return in.skip_value();
  if (field->seen == serial_)
    in.refuse("the field " + field->column->name + " comes twice", Refused::kData);
  field->seen = serial_;
  ++seen_;
  last_ = field;
  reading_ = field;
  read_value(*field, in);
  reading_ = nullptr;
}

// No quote opens here. ClickHouse has a code of its own where none closes without an escape either.
void NativeEncoder::refuse_name(const JsonCursor& in) {
  const std::string_view rest(in.at, in.left());
  const std::size_t stop = rest.find_first_of("\\\"", 1);
  const bool closes = stop != rest.npos && rest[stop] == '"';
  in.refuse("a name in quotes is expected", closes ? Refused::kSyntax : Refused::kString);
}

// Up to the value behind it.
void NativeEncoder::read_name(JsonCursor& in) {
  name_.truncate(0);
  if (in.peek() != '"') refuse_name(in);
  in.read_string(name_);
  in.skip_space();
  in.expect(':');
  in.skip_space();
}

// Null if there is no such column, and none is needed.
NativeEncoder::Field* NativeEncoder::find(JsonCursor& in) {
  const char* start = in.at;
  read_name(in);
  const std::string_view name = name_.view();
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    last_->next = found->second;
    return found->second;
  }
  std::size_t alike = 0;
  Field* field = nullptr;
  for (Field& other : fields_) {
    if (!plan_->takes_either_case() || !same_but_for_case(other.column->name, name)) continue;
    field = &other;
    ++alike;
  }
  if (alike == 1) return field;
  if (alike == 0 && plan_->skips_unknown_fields()) {
    skipped_fields_ = true;
    return nullptr;
  }
  in.at = start;
  if (alike > 0) {
    in.refuse("more than one column is like " + std::string(name), Refused::kData);
  }
  unknown_field_ = name;
  const std::string_view kind = plan_->computed_kind(name);
  const auto what = kind.empty() ? "the table has no column " + unknown_field_
                                 : unknown_field_ + " is a column that no insert can set (" +
                                       std::string(kind) + ")";
  in.refuse(what, Refused::kData);
}

void NativeEncoder::append_missing(Field& field) {
  ++field.missing;
  missed_.push_back(&field);
  if (field.column->default_json.empty()) return field.writer->append_default();
  JsonCursor in({field.default_json.data(), field.column->default_json.size()});
  read_or_default(*field.writer, in);
}

void NativeEncoder::complete_row() {
  for (Field& field : fields_) {
    if (field.seen != serial_) append_missing(field);
  }
}

void NativeEncoder::check_nested(JsonCursor& in) {
  for (const auto& columns : plan_->nested()) {
    const std::size_t size = writers_[columns.front()]->elements(rows_ - 1);
    for (const std::size_t column : columns) {
      if (writers_[column]->elements(rows_ - 1) == size) continue;
      reading_ = &fields_[column];
      in.refuse("its array is not as long as that of " + fields_[columns.front()].column->name,
                Refused::kNestedSizes);
    }
  }
}

void NativeEncoder::roll_back(std::size_t rows) {
  rows_ = rows;
  for (const auto& writer : writers_) writer->truncate(rows);
  for (Field* field : missed_) --field->missing;
}

NativeBlock NativeEncoder::finish() {
  NativeBlock block;
  block.rows = rows_;
  block.skipped_fields = skipped_fields_;
  body_.clear();
  if (rows_ == 0) return block;
  std::vector<const Field*> sent;
  for (const Field& field : fields_) {
    const bool computed = field.column->has_default && field.column->default_json.empty();
    if (field.missing == rows_) continue;  // the server fills it in
    if (field.missing > 0 && computed) {
      block.cannot = {
          field.column->name,
          "rows lack it, and its DEFAULT is an expression that only ClickHouse computes"};
      return block;
    }
    sent.push_back(&field);
  }
  if (sent.empty()) add_column_for_empty_rows(sent);
  if (sent.empty()) {
    block.cannot = {"", "no row has any field, and all columns have a DEFAULT that is computed"};
    return block;
  }
  body_.copy_varint(sent.size());
  body_.copy_varint(rows_);
  for (const Field* field : sent) {
    block.columns.push_back(field->column->name);
    body_.copy_string(field->column->name);
    body_.copy_string(field->column->type);
    field->writer->write_prefix(body_);
    field->writer->write(body_);
  }
  block.pieces = body_.pieces();
  return block;
}

// Rows without any field need one column to be counted by.
void NativeEncoder::add_column_for_empty_rows(std::vector<const Field*>& sent) const {
  for (const Field& field : fields_) {
    if (field.column->has_default && field.column->default_json.empty()) continue;
    if (field.column->ephemeral) continue;
    sent.push_back(&field);
    return;
  }
}

void NativeEncoder::clear() {
  rows_ = 0;
  skipped_fields_ = false;
  missed_.clear();
  body_.clear();
  for (const auto& writer : writers_) writer->clear();
  for (Field& field : fields_) field.missing = 0;
}

std::size_t NativeEncoder::buffer_bytes() const {
  std::size_t bytes = 0;
  for (const auto& writer : writers_) bytes += writer->buffer_bytes();
  return bytes;
}

void NativeEncoder::trim() {
  clear();
  for (const auto& writer : writers_) writer->release();
}

}  // namespace millrace
