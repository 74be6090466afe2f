#include "pipeline/encode/low_cardinality_column.h"

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace millrace {
namespace {

constexpr std::uint64_t kVersion = 1;               // shared dictionaries with additional keys
constexpr std::uint64_t kAdditionalKeys = 1u << 9;  // the keys stand here, with the rows

template <class T>
std::uint64_t load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Words that overlap instead of a last one that is cut: no loop over single bytes.
[[gnu::always_inline]] inline std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0x9e3779b97f4a7c15u ^ text.size();
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  };
  const char* at = text.data();
  const std::size_t size = text.size();
  if (size >= 8) {
    for (const char* last = at + size - 8; at < last; at += 8) mix(load<std::uint64_t>(at));
    mix(load<std::uint64_t>(text.data() + size - 8));
  } else if (size >= 4) {
    mix(load<std::uint32_t>(at) << 32 | load<std::uint32_t>(at + size - 4));
  } else if (size >= 2) {
    mix(load<std::uint16_t>(at) << 16 | load<std::uint16_t>(at + size - 2));
  } else if (size == 1) {
    mix(load<std::uint8_t>(at));
  }
  return hash;
}

class LowCardinalityWriter final : public ColumnWriter {
 public:
  LowCardinalityWriter(ColumnWriterPtr values, bool nullable)
      : values_(std::move(values)), nullable_(nullable), slots_(kFirstSlots) {
    begin();
  }

  void read(JsonCursor& in) override {
    if (nullable_ && in.peek() == 'n') {
      in.expect("null");
      append_default();
      return;
    }
    const std::size_t row = values_->rows();
    values_->read(in);
    add_index(find_or_keep(row));
  }
  void read_text(JsonCursor& in) override {
    const std::size_t row = values_->rows();
    values_->read_text(in);
    add_index(find_or_keep(row));
  }
  TextForm text_form() const override { return values_->text_form(); }
  void append_default() override {
    if (nullable_) return add_index(0);
    const std::size_t row = values_->rows();
    values_->append_default();
    add_index(find_or_keep(row));
  }
  std::size_t rows() const override { return indexes_.size() / sizeof(std::uint32_t); }
  // A value that no row has any more stays: nobody is hurt.
  void truncate(std::size_t rows) override {
    indexes_.truncate(rows * sizeof(std::uint32_t));
    values_->truncate(known_);  // a value of which a part was read
  }
  void clear() override {
    indexes_.truncate(0);
    values_->clear();
    begin();
  }
  void write_prefix(NativeBody& body) const override { body.copy_u64(kVersion); }
  void write(NativeBody& body) override {
    if (rows() == 0) return;  // inside arrays that are all empty nothing is written at all
    const unsigned width = known_ <= 0x100 ? 0 : known_ <= 0x10000 ? 1 : 2;
    body.copy_u64(kAdditionalKeys | width);
    body.copy_u64(known_);
    values_->write(body);
    body.copy_u64(rows());
    switch (width) {
      case 0:
        return write_indexes<std::uint8_t>(body);
      case 1:
        return write_indexes<std::uint16_t>(body);
      default:
        return body.refer(indexes_.view());
    }
  }
  bool takes_null() const override { return nullable_; }
  std::size_t buffer_bytes() const override {
    return indexes_.capacity() + narrow_.capacity() + values_->buffer_bytes() +
           slots_.capacity() * sizeof(Slot);
  }
  void release() override {
    indexes_.release();
    narrow_.release();
    values_->clear();
    values_->release();
    slots_ = std::vector<Slot>(kFirstSlots);
    begin();
  }

 private:
  static constexpr std::size_t kFirstSlots = 256;
  struct Slot {  // open addressing; an index of 0 here: free
    std::uint32_t hash = 0, index_plus_one = 0;
  };

  void begin() {
    if (known_ > 0) std::fill(slots_.begin(), slots_.end(), Slot());
    known_ = 0;
    if (!nullable_) return;
    values_->append_default();  // the key of null; its value does not matter and is not looked up
    known_ = 1;
  }

  void add_index(std::size_t index) { indexes_.append_value(static_cast<std::uint32_t>(index)); }

  // `row` is the last one of the values: kept if there is none like it, else taken away.
  std::size_t find_or_keep(std::size_t row) {
    const std::string_view value = values_->value(row);
    const std::uint64_t hash = hash_of(value);
    const auto short_hash = static_cast<std::uint32_t>(hash >> 32);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.index_plus_one == 0) {
        slot = {short_hash, static_cast<std::uint32_t>(row + 1)};
        known_ = row + 1;
        if (known_ * 2 > slots_.size()) rehash();
        return row;
      }
      if (slot.hash == short_hash && values_->value(slot.index_plus_one - 1) == value) {
        values_->truncate(row);
        return slot.index_plus_one - 1;
      }
    }
  }

  void rehash() {
    std::vector<Slot> larger(slots_.size() * 2);
    const std::size_t mask = larger.size() - 1;
    for (const Slot& slot : slots_) {
      if (slot.index_plus_one == 0) continue;
      std::size_t at = hash_of(values_->value(slot.index_plus_one - 1)) & mask;
      while (larger[at].index_plus_one != 0) at = (at + 1) & mask;
      larger[at] = slot;
    }
    slots_ = std::move(larger);
  }

  template <class Index>
  void write_indexes(NativeBody& body) {
    narrow_.truncate(0);
    narrow_.ensure(rows() * sizeof(Index));
    for (std::size_t row = 0; row < rows(); ++row) {
      narrow_.append_value(static_cast<Index>(indexes_.value_at<std::uint32_t>(row)));
    }
    body.refer(narrow_.view());
  }

  const ColumnWriterPtr values_;
  const bool nullable_;
  std::vector<Slot> slots_;  // a power of two
  std::size_t known_ = 0;    // values that are kept
  ColumnBytes indexes_, narrow_;
};

}  // namespace

ColumnWriterPtr make_low_cardinality_writer(ColumnWriterPtr values, bool nullable) {
  return std::make_unique<LowCardinalityWriter>(std::move(values), nullable);
}

}  // namespace millrace
