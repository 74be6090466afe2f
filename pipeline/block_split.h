// Which records of a refused block are at fault: what to send next, until each record is in or has
// been refused by itself. Pure: it neither sends nor knows why something was refused.
//
//   [0 ........ n) refused, record r is named  ->  r alone, then [0 ... n) without r
//   [0 ........ n) refused, no record is named ->  [0 .. n/2), then [n/2 .. n)
//   r alone refused                            ->  r is a dead letter
//   [0 ........ n) too large for a proxy       ->  as if no record were named
//
// Why a record that ClickHouse names is sent by itself: the name is a row number, which counts
// something else when a message holds several rows, and the message that carries it quotes the
// user's data. Nobody's word is taken for what one insert can prove.
//
// Crash-safe by tokens alone. A whole block less its guilty records keeps the block's own token,
// because a refusal leaves nothing behind: after a crash the same refusals lead to the same parts
// under the same tokens, and what had landed is dropped. A half has a token of its own.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace {

// Records [first, end) of a block, by index, but for some of them.
struct BlockPart {
  std::size_t first = 0, end = 0;
  std::vector<std::size_t> without{};  // ascending

  std::size_t records() const noexcept { return end - first - without.size(); }
  // The nth record that is in it. REQUIRES: n < records().
  std::size_t record(std::size_t n) const;
  // Calls f(index) for each.
  template <class F>
  void for_each_record(F&& f) const;
  bool operator==(const BlockPart&) const = default;
};

template <class F>
void BlockPart::for_each_record(F&& f) const {
  auto missing = without.begin();
  for (std::size_t index = first; index < end; ++index) {
    if (missing != without.end() && *missing == index) {
      ++missing;
    } else {
      f(index);
    }
  }
}

// Owned by one thread: who owns the block.
class BlockSplit {
 public:
  explicit BlockSplit(std::size_t records);

  bool done() const noexcept { return todo_.empty(); }
  // What to send now. REQUIRES: !done().
  const BlockPart& next() const { return todo_.back().part; }
  void accept();                  // the next part is in
  void drop();                    // its records are dead letters
  void drop(std::size_t record);  // one of its records is
  // The next part was refused, and has more records than one. `row` is the number of the row that
  // the refusal names, from 1; 0: none.
  void refuse(std::size_t row);
  // The next part, of more records than one, is too large for one body: it is halved. The half with
  // the largest record is next: should that be too large by itself, nothing of the block is in yet,
  // and who builds the block again, under another limit perhaps, may send it as a whole.
  void refuse_size(std::size_t largest_record);

 private:
  struct Todo {
    BlockPart part;
    unsigned named = 0;    // records taken out because they were named
    bool suspect = false;  // one record, sent alone because it was named
  };
  void take_out(std::size_t record);
  enum class Next { kLeft, kRight };
  void halve(Next next);

  std::vector<Todo> todo_;  // the next one last
  bool trust_names_ = true;
};

// The row number that a message of ClickHouse names, 0 if none:
// "… (at row 3)", "Constraint `c` … is violated at row 3. …".
std::size_t named_row(std::string_view message);

}  // namespace millrace
