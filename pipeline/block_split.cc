#include "pipeline/block_split.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace millrace {
namespace {

// Each record that is taken out costs another upload of the rest. When many are at fault halving is
// cheaper; the halves then begin to count anew.
constexpr unsigned kMaxNamed = 8;

// The number behind the last `before`; 0 if there is none.
std::size_t number_behind(std::string_view text, std::string_view before) {
  const std::size_t at = text.rfind(before);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + before.size());
  std::size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::size_t BlockPart::record(std::size_t n) const {
  std::size_t index = first + n;
  for (const std::size_t missing : without) {
    if (missing > index) break;
    ++index;
  }
  return index;
}

BlockSplit::BlockSplit(std::size_t records) { todo_.push_back({{0, records, {}}}); }

void BlockSplit::accept() {
  // ClickHouse takes alone what it named: its names mean something else here.
  if (todo_.back().suspect) trust_names_ = false;
  todo_.pop_back();
}

void BlockSplit::drop() { todo_.pop_back(); }

void BlockSplit::drop(std::size_t record) {
  BlockPart& part = todo_.back().part;
  if (part.records() == 1) return drop();
  part.without.insert(std::lower_bound(part.without.begin(), part.without.end(), record), record);
}

void BlockSplit::refuse(std::size_t row) {
  const Todo& refused = todo_.back();
  const std::size_t records = refused.part.records();
  if (records < 2) throw std::logic_error("a single record can't be split");
  if (trust_names_ && row >= 1 && row <= records && refused.named < kMaxNamed) {
    take_out(refused.part.record(row - 1));
  } else {
    halve(Next::kLeft);
  }
}

void BlockSplit::take_out(std::size_t record) {
  Todo& rest = todo_.back();
  auto& without = rest.part.without;
  without.insert(std::lower_bound(without.begin(), without.end(), record), record);
  ++rest.named;
  todo_.push_back({{record, record + 1, {}}, 0, true});
}

void BlockSplit::refuse_size(std::size_t largest_record) {
  const BlockPart& part = todo_.back().part;
  const std::size_t records = part.records();
  if (records < 2) throw std::logic_error("a single record can't be split");
  halve(largest_record < part.record(records / 2) ? Next::kLeft : Next::kRight);
}

void BlockSplit::halve(Next next) {
  const BlockPart part = std::move(todo_.back().part);
  todo_.pop_back();
  const std::size_t middle = part.record(part.records() / 2);
  const auto border = std::lower_bound(part.without.begin(), part.without.end(), middle);
  BlockPart left{part.first, middle, {part.without.begin(), border}};
  BlockPart right{middle, part.end, {border, part.without.end()}};
  if (next == Next::kRight) std::swap(left, right);
  todo_.push_back({std::move(right)});
  todo_.push_back({std::move(left)});
}

std::size_t named_row(std::string_view message) {
  const std::size_t parsed = number_behind(message, "(at row ");
  return parsed != 0 ? parsed : number_behind(message, "is violated at row ");
}

}  // namespace millrace
