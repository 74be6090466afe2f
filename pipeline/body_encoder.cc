#include "pipeline/body_encoder.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using std::chrono::steady_clock;

// An idle worker keeps no more than this: what it keeps is not paid for by any block.
constexpr std::size_t kKeptBufferBytes = 1u << 20;
// How long fields that the table has no column for are left out before it is asked again, and how
// long a table that can't be encoded for is not tried.
constexpr std::chrono::seconds kFieldsSkipped{1}, kPassedOn{60};

std::vector<std::string_view> columns_to_name(const EncodeFacts& facts) {
  const bool any = facts.context.format == RowFormat::kJsonObjects &&
                   std::any_of(facts.columns.begin(), facts.columns.end(), [](const auto& column) {
                     return column.default_kind == "EPHEMERAL";
                   });
  std::vector<std::string_view> names;
  for (const TableColumn& column : facts.columns) {
    const std::string_view kind = column.default_kind;
    if (any && kind != "MATERIALIZED" && kind != "ALIAS") names.push_back(column.name);
  }
  return names;
}

LogEvent passed_on_event(const TableTarget& target, const CannotEncode& why) {
  return {LogLevel::kWarning,
          "passed_on/" + target.pipeline + "/" + target.table,
          "rows of " + target.table + " are sent as " + target.format +
              ", which costs ClickHouse more: " +
              (why.column.empty() ? "" : "column " + why.column + ": ") + why.reason,
          {{"pipeline", target.pipeline}, {"table", target.table}, {"column", why.column}}};
}

}  // namespace

const EncodedBody& BodyEncoder::encode(const InsertBlock& block, const BlockPart& part) {
  const TableTarget& target = *block.target;
  const bool native = target.encodes() && encode_native(block, part);
  if (!native) body_ = {target.format, tables_[&target].named, encoder_.encode(block, part)};
  if (target.compression.codec != Codec::kNone) compress(target.compression);
  body_.traceparent = block.traceparent;
  target.stats->encoded_blocks.add(std::string(body_.format));
  return body_;
}

void BodyEncoder::compress(const BodyCompression& how) {
  if (compressor_ == nullptr || how != compressor_of_) {
    compressor_ =
        Compressor::make(how.codec, how.level == 0 ? std::nullopt : std::optional<int>(how.level));
    compressor_of_ = how;
  }
  compressor_->reset();
  compressed_.clear();
  for (const std::string_view piece : body_.pieces) compressor_->compress(piece, compressed_);
  compressor_->finish(compressed_);
  body_.pieces = {compressed_};
  body_.compression = how.codec;
}

std::string_view BodyEncoder::as_json(const InsertBlock& block, std::size_t index) {
  return encoder_.encode(block, {index, index + 1, {}}).front();
}

bool BodyEncoder::encode_native(const InsertBlock& block, const BlockPart& part) {
  const TableTarget& target = *block.target;
  const SteadyTime now = steady_clock::now();
  Table& table = table_of(target);
  while (table.encoder != nullptr) {
    std::vector<RowsNotEncoded::Record> refused = fill(*table.encoder, block, part);
    const NativeBlock native = table.encoder->finish();
    const bool stale = native.skipped_fields && now - table.asked > kFieldsSkipped;
    // Nothing is refused before the table was asked about it.
    if ((stale || !refused.empty()) && table.asked < now && ask(table, target)) continue;
    if (native.cannot) {
      pass_on(table, target, *native.cannot);
      break;
    }
    if (!refused.empty()) throw RowsNotEncoded(std::move(refused));
    if (native.rows == 0) break;
    body_ = {"Native", native.columns, native.pieces};
    return true;
  }
  return false;
}

std::vector<RowsNotEncoded::Record> BodyEncoder::fill(NativeEncoder& encoder,
                                                      const InsertBlock& block,
                                                      const BlockPart& part) {
  if (used_ != nullptr && used_ != &encoder) used_->trim();
  used_ = &encoder;
  encoder.clear();
  const bool with_columns = block.target->columns.any();
  const MetadataJson columns(block.target->columns, block.lane->id());
  std::vector<RowsNotEncoded::Record> refused;
  part.for_each_record([&](std::size_t index) {
    const RecordEntry& record = block.buffer.entries()[index];
    if (with_columns) columns.write(record, columns_);
    auto failure = encoder.add(record.payload(), columns_);
    if (failure) refused.push_back({index, std::move(*failure)});
  });
  columns_.clear();
  return refused;
}

BodyEncoder::Table& BodyEncoder::table_of(const TableTarget& target) {
  Table& table = tables_[&target];
  const bool look_again = table.encoder == nullptr && steady_clock::now() - table.asked > kPassedOn;
  if (!table.facts || look_again) ask(table, target);
  return table;
}

bool BodyEncoder::plan_again(const TableTarget& target) { return ask(tables_[&target], target); }

// True when the table looks another way than before.
bool BodyEncoder::ask(Table& table, const TableTarget& target) {
  EncodeFacts facts = ask_(target);
  facts.context.format = *row_format_of(target.format);  // REQUIRES: target.encodes()
  table.asked = steady_clock::now();
  if (table.facts == facts && table.encoder != nullptr) return false;
  const bool changed = table.facts != facts;
  if (used_ == table.encoder.get()) used_ = nullptr;
  table.encoder = nullptr;
  auto plan = NativePlan::make(facts.columns, facts.context);
  table.facts = std::move(facts);
  table.named = columns_to_name(*table.facts);
  if (const auto* why = std::get_if<CannotEncode>(&plan)) {
    pass_on(table, target, *why);
  } else {
    table.encoder = std::make_unique<NativeEncoder>(
        std::get<std::shared_ptr<const NativePlan>>(std::move(plan)));
  }
  return changed;
}

void BodyEncoder::pass_on(Table& table, const TableTarget& target, const CannotEncode& why) {
  if (used_ == table.encoder.get()) used_ = nullptr;
  table.encoder = nullptr;
  target.stats->passed_on.add(why.column.empty() ? "(setting)" : why.column);
  log_(passed_on_event(target, why));
}

std::size_t BodyEncoder::buffer_bytes() const {
  return encoder_.buffer_bytes() + compressed_.capacity() +
         (used_ == nullptr ? 0 : used_->buffer_bytes());
}

void BodyEncoder::trim() {
  encoder_.trim();
  if (compressed_.capacity() > kKeptBufferBytes) std::string().swap(compressed_);
  if (used_ != nullptr && used_->buffer_bytes() > kKeptBufferBytes) used_->trim();
}

}  // namespace millrace
