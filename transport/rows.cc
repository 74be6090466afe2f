#include "transport/rows.h"

#include <algorithm>
#include <charconv>

#include "transport/row_type.h"

namespace millrace {
namespace {

constexpr const char* kFormat = "RowBinaryWithNamesAndTypes";

RawStream open(Client& client, std::string_view sql, QueryOptions options) {
  options.fmt.clear();
  options.format = kFormat;
  return client.raw_stream(sql, options);
}

std::vector<RowType> types_of(const std::vector<ResultColumn>& columns) {
  std::vector<RowType> types;
  for (const ResultColumn& column : columns) {
    try {
      types.emplace_back(column.type);
    } catch (const UsageError& error) {
      throw UsageError("column " + column.name + ": " + error.what());
    }
  }
  return types;
}

std::vector<ResultColumn> insertable(const std::vector<ColumnDescription>& table) {
  std::vector<ResultColumn> columns;
  for (const ColumnDescription& column : table) {
    if (column.default_kind == "MATERIALIZED" || column.default_kind == "ALIAS") continue;
    columns.push_back({column.name, column.type});
  }
  return columns;
}

std::vector<ResultColumn> chosen(const std::vector<ColumnDescription>& table,
                                 const std::vector<std::string>& names) {
  std::vector<ResultColumn> columns;
  for (const std::string& name : names) {
    const auto found =
        std::find_if(table.begin(), table.end(),
                     [&](const ColumnDescription& column) { return column.name == name; });
    if (found == table.end()) throw UsageError("the table has no column " + name);
    columns.push_back({found->name, found->type});
  }
  return columns;
}

}  // namespace

namespace detail {

void refuse_value(std::string_view what, const char* wanted) {
  throw UsageError(std::string(what) + " is not " + wanted);
}

std::optional<double> as_double(const Value& value) {
  const auto& data = value.data();
  if (const auto* number = std::get_if<double>(&data)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&data)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&data)) return static_cast<double>(*number);
  const auto* number = std::get_if<Number>(&data);
  if (number == nullptr) return std::nullopt;
  const std::string& text = number->text();
  double result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

}  // namespace detail

const Value& Row::operator[](std::size_t column) const {
  if (column < values_.size()) return values_[column];
  throw UsageError("a row of " + std::to_string(values_.size()) + " columns has no column " +
                   std::to_string(column));
}

const Value& Row::operator[](std::string_view column) const {
  for (std::size_t i = 0; i < columns_->size(); ++i) {
    if ((*columns_)[i].name == column) return values_[i];
  }
  throw UsageError("the result has no column " + std::string(column));
}

RowReader::RowReader(Client& client, std::string_view sql, QueryOptions options)
    : RowReader(open(client, sql, std::move(options))) {}

RowReader::RowReader(RawStream stream) : stream_(std::move(stream)) { read_header(); }

RowReader::RowReader(RowReader&&) noexcept = default;
RowReader::~RowReader() = default;

bool RowReader::fill() {
  if (ended_) return false;
  buffer_.erase(0, std::exchange(used_, 0));
  const auto chunk = stream_.next_chunk();
  if (chunk) {
    buffer_ += *chunk;
  } else {
    ended_ = true;
  }
  return !ended_;
}

// What `read` takes off the front of what came; again from the start with more, if it ends within.
template <class Read>
auto RowReader::complete(Read read) {
  for (;;) {
    std::string_view in = std::string_view(buffer_).substr(used_);
    try {
      auto result = read(in);
      used_ = buffer_.size() - in.size();
      return result;
    } catch (const RowType::Unfinished&) {
      if (fill()) continue;
      throw NetworkError(NetworkError::Kind::kTruncated,
                         "the result ends within a row: is it RowBinaryWithNamesAndTypes?", true);
    }
  }
}

void RowReader::read_header() {
  columns_ = std::make_shared<const std::vector<ResultColumn>>();
  if (buffer_.empty() && !fill()) return;  // a statement without a result
  columns_ = std::make_shared<const std::vector<ResultColumn>>(complete([](std::string_view& in) {
    const std::size_t count = read_length(in);
    if (count > in.size()) throw RowType::Unfinished();
    std::vector<ResultColumn> columns(count);
    for (ResultColumn& column : columns) column.name = read_text(in);
    for (ResultColumn& column : columns) column.type = read_text(in);
    return columns;
  }));
  types_ = types_of(*columns_);
}

std::optional<Row> RowReader::next() {
  if (used_ == buffer_.size() && !fill()) return std::nullopt;
  return Row(columns_, complete([this](std::string_view& in) {
               std::vector<Value> values;
               values.reserve(types_.size());
               for (const RowType& type : types_) values.push_back(type.read(in));
               return values;
             }));
}

RowWriter::RowWriter(std::vector<ResultColumn> columns)
    : columns_(std::move(columns)), types_(types_of(columns_)) {
  write_length(columns_.size(), header_);
  for (const auto part : {&ResultColumn::name, &ResultColumn::type}) {
    for (const ResultColumn& column : columns_) {
      write_length((column.*part).size(), header_);
      header_ += column.*part;
    }
  }
  bytes_ = header_;
}

RowWriter::RowWriter(const std::vector<ColumnDescription>& table) : RowWriter(insertable(table)) {}

RowWriter::RowWriter(const std::vector<ColumnDescription>& table,
                     const std::vector<std::string>& names)
    : RowWriter(chosen(table, names)) {}

RowWriter::RowWriter(RowWriter&&) noexcept = default;
RowWriter::~RowWriter() = default;

void RowWriter::append_row(const std::vector<Value>& row) {
  if (row.size() != types_.size()) {
    throw UsageError("a row of " + std::to_string(row.size()) + " values for " +
                     std::to_string(types_.size()) + " columns");
  }
  const std::size_t before = bytes_.size();
  for (std::size_t i = 0; i < row.size(); ++i) {
    try {
      types_[i].write(row[i], bytes_);
    } catch (const UsageError& error) {
      bytes_.resize(before);
      throw UsageError("column " + columns_[i].name + " of row " + std::to_string(rows_ + 1) +
                       ": " + error.what());
    }
  }
  ++rows_;
}

InsertOptions RowWriter::options() const {
  InsertOptions options;
  for (const ResultColumn& column : columns_) options.columns.push_back(column.name);
  options.format = kFormat;
  return options;
}

void RowWriter::clear() {
  bytes_ = header_;
  rows_ = 0;
}

}  // namespace millrace
