// Memory that grows and is used again: what a column of a block is gathered in.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace millrace {

// Owned by one thread. Unlike a string it writes no byte that nobody asked for, and it lets the
// caller write ahead: ensure(n), then store up to n bytes at end(), then advance().
class ColumnBytes {
 public:
  // Room for n bytes behind the last one.
  [[gnu::always_inline]] void ensure(std::size_t n) {
    if (capacity_ - size_ < n) grow(n);
  }
  char* end() noexcept { return data_.get() + size_; }
  void advance(std::size_t n) noexcept { size_ += n; }  // REQUIRES: n bytes were ensured

  // Always in line, as with the other functions of which a row needs many: over the whole program
  // the compiler's limit of growth leaves out some.
  template <class T>
  [[gnu::always_inline]] void append_value(const T& value) {
    ensure(sizeof value);
    std::memcpy(end(), &value, sizeof value);
    size_ += sizeof value;
  }
  [[gnu::always_inline]] void append(std::string_view text) {
    ensure(text.size());
    if (!text.empty()) std::memcpy(end(), text.data(), text.size());
    size_ += text.size();
  }
  void append_zeros(std::size_t n) {
    ensure(n);
    std::memset(end(), 0, n);
    size_ += n;
  }

  char* data() noexcept { return data_.get(); }
  const char* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  std::string_view view() const noexcept { return {data_.get(), size_}; }
  void truncate(std::size_t size) noexcept { size_ = size; }  // REQUIRES: size <= size()
  void release() noexcept {
    data_.reset();
    size_ = capacity_ = 0;
  }

  template <class T>
  T value_at(std::size_t index) const noexcept {
    T value;
    std::memcpy(&value, data_.get() + index * sizeof(T), sizeof(T));
    return value;
  }

 private:
  void grow(std::size_t n) {
    constexpr std::size_t kFirst = 256;
    std::size_t wanted = capacity_ < kFirst ? kFirst : capacity_ * 2;
    if (wanted < size_ + n) wanted = size_ + n;
    auto larger = std::make_unique_for_overwrite<char[]>(wanted);
    if (size_ > 0) std::memcpy(larger.get(), data_.get(), size_);
    data_ = std::move(larger);
    capacity_ = wanted;
  }

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace millrace
