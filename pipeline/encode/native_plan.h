// How the rows of one table become Native columns, or why they can't. Made once for each table
// as the server describes it; pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipeline/encode/column_writer.h"
#include "pipeline/encode/row_format.h"
#include "pipeline/encode/type_writers.h"

namespace millrace {

// A column as DESCRIBE TABLE has it.
struct TableColumn {
  std::string name, type, default_kind, default_expression;
  bool operator==(const TableColumn&) const = default;
};

// What else decides the meaning of a row.
struct EncodeContext {
  std::string time_zone = "UTC";  // the server's: of a DateTime without one
  RowFormat format = RowFormat::kJsonObjects;
  // As an insert of this table in that format would have them: the user's, and the server's own of
  // those in relied_on_settings().
  std::map<std::string, std::string> settings{};
  bool operator==(const EncodeContext&) const = default;
};
// Names of settings that change what rows mean, for which a server may have another default.
std::vector<std::string_view> relied_on_settings();

// The rows must be sent as they are, for the server to read. `column` is empty if a setting is the
// cause.
struct CannotEncode {
  std::string column, reason;
};

// Immutable; shared by the workers of a table.
class NativePlan {
 public:
  struct Column {
    std::string name, type;
    bool has_default = false;  // a DEFAULT expression
    // The value of that expression as JSON, if it is a literal.
    std::string default_json{};
    bool takes_null = false;
    TextForm text_form = TextForm::kQuotable;
    bool ephemeral = false;
    // A field of CSV without quotes is looked at when it is whole: what it is refused with.
    bool whole_in_csv = false;
  };

  static std::variant<std::shared_ptr<const NativePlan>, CannotEncode> make(
      const std::vector<TableColumn>& table, const EncodeContext& context);

  RowFormat format() const noexcept { return format_; }
  const std::vector<Column>& columns() const noexcept { return columns_; }
  // Arrays of one Nested have as many elements as each other: their columns.
  const std::vector<std::vector<std::size_t>>& nested() const noexcept { return nested_; }
  // What else of that name the table has, which no insert can set: MATERIALIZED or ALIAS. Empty:
  // nothing.
  std::string_view computed_kind(std::string_view name) const;
  bool skips_unknown_fields() const noexcept { return skip_unknown_; }
  // As ClickHouse does where no text of the first column begins with one.
  bool skips_byte_order_mark() const noexcept { return skip_mark_; }
  // A field is that of a column whose name differs in the case of letters only, if no other does.
  bool takes_either_case() const noexcept { return either_case_; }
  // One for each column.
  std::vector<ColumnWriterPtr> make_writers() const;

 private:
  void find_nested();

  std::vector<Column> columns_;
  std::vector<std::vector<std::size_t>> nested_;
  std::map<std::string, std::string, std::less<>> computed_;
  TypeContext types_;
  RowFormat format_ = RowFormat::kJsonObjects;
  bool skip_unknown_ = false, skip_mark_ = false, either_case_ = false;
};

}  // namespace millrace
