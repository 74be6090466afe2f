#include "pipeline/encode/other_columns.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "pipeline/encode/number_text.h"

namespace millrace {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

struct Uuid {
  std::uint64_t high = 0, low = 0;
};

// 32 hexadecimal digits, with a '-' in each of the four usual places or in none.
class UuidWriter final : public FixedWidthWriter<Uuid> {
  void read(JsonCursor& in) override {
    in.expect('"');
    read_text(in);
    in.expect('"');
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    const bool dashed = in.left() > 8 && in.at[8] == '-';
    std::array<std::uint64_t, 2> halves{};
    for (std::size_t digit = 0; digit < 32; ++digit) {
      if (dashed && (digit == 8 || digit == 12 || digit == 16 || digit == 20))
        in.expect('-', Refused::kUuid);
      const int value = hex_value(in.peek());
      if (value < 0) {
        in.at = start;
        in.refuse("not a UUID", Refused::kUuid);
      }
      halves[digit / 16] = halves[digit / 16] << 4 | static_cast<std::uint64_t>(value);
      ++in.at;
    }
    append({halves[0], halves[1]});
  }
};

// Decimal octets, up to four digits each.
bool read_octet(JsonCursor& in, std::uint32_t& value) {
  unsigned digits = 0;
  value = 0;
  for (; digits < 4 && in.peek() >= '0' && in.peek() <= '9'; ++digits) {
    value = value * 10 + static_cast<std::uint32_t>(*in.at++ - '0');
  }
  return digits > 0 && value <= 255;
}

// Octets from the `from`th on, below those that are in `address` already.
bool read_ipv4(JsonCursor& in, std::uint32_t& address, unsigned from = 0) {
  for (unsigned i = from; i < 4; ++i) {
    std::uint32_t octet;
    if ((i > from && !in.take('.')) || !read_octet(in, octet)) return false;
    address = address << 8 | octet;
  }
  return true;
}

class Ipv4Writer final : public FixedWidthWriter<std::uint32_t> {
  void read(JsonCursor& in) override {
    in.expect('"');
    read_text(in);
    in.expect('"', Refused::kBehindValue);
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    std::uint32_t address = 0;
    if (!read_ipv4(in, address)) {
      in.at = start;
      in.refuse("not an IPv4 address", Refused::kIpv4);
    }
    append(address);
  }
};

using Ipv6 = std::array<std::uint8_t, 16>;

// The groups of an address as they are read, and where "::" stood.
class Ipv6Reader {
 public:
  explicit Ipv6Reader(JsonCursor& in) : in_(in) {}

  bool read(Ipv6& address) {
    if (read_mapped()) {
      address = bytes_;
      return true;
    }
    if (!read_groups()) return false;
    if (!gap_) {
      address = bytes_;
      return size_ == 16;
    }
    // With eight groups "::" stands for none, as ClickHouse has it.
    std::copy(bytes_.begin(), bytes_.begin() + *gap_, address.begin());
    std::copy(bytes_.begin() + *gap_, bytes_.begin() + size_, address.end() - (size_ - *gap_));
    return true;
  }

 private:
  // "1.2.3.4" alone is ::ffff:1.2.3.4, but for "01.2.3.4".
  bool read_mapped() {
    if (in_.peek() == '0' && in_.left() > 1 && in_.at[1] != '.') return false;
    const char* start = in_.at;
    std::uint32_t address = 0;
    if (read_ipv4(in_, address)) {
      bytes_[10] = bytes_[11] = 0xff;
      size_ = 12;
      put(address, 4);
      return true;
    }
    in_.at = start;
    return false;
  }

  // Where no group follows a colon the address ends, as ClickHouse has it: "1::2:" is 1::2.
  bool read_groups() {
    const char* group = nullptr;  // the one that was just read, if no colon came behind it
    while (size_ < 16) {
      if (in_.take(':')) {
        group = nullptr;
        if (in_.take(':')) {
          if (gap_) return false;
          gap_ = size_;
          continue;
        }
        if (size_ == 0) return false;
      } else if (group != nullptr) {
        return in_.peek() != '.' || read_tail(group);
      }
      group = in_.at;
      if (!read_group()) return in_.peek() != '.';
    }
    return true;
  }

  bool read_group() {
    std::uint32_t value = 0;
    unsigned digits = 0;
    for (; digits < 4 && hex_value(in_.peek()) >= 0; ++digits) {
      value = value << 4 | static_cast<std::uint32_t>(hex_value(*in_.at++));
    }
    if (digits > 0) put(value, 2);
    return digits > 0;
  }

  // The last four bytes as an IPv4 address, which begins where the last group did.
  bool read_tail(const char* group) {
    size_ -= 2;
    if ((size_ <= 0 && !gap_) || size_ > 12) return false;
    in_.at = group;
    std::uint32_t address = 0;
    if (!read_ipv4(in_, address)) return false;
    put(address, 4);
    return true;
  }

  void put(std::uint32_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      bytes_[static_cast<std::size_t>(size_++)] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  }

  JsonCursor& in_;
  Ipv6 bytes_{};
  int size_ = 0;
  std::optional<int> gap_;
};

class Ipv6Writer final : public FixedWidthWriter<Ipv6> {
  void read(JsonCursor& in) override {
    in.expect('"');
    read_text(in);
    in.expect('"', Refused::kBehindValue);
  }
  void read_text(JsonCursor& in) override {
    const char* start = in.at;
    Ipv6 address{};
    if (!Ipv6Reader(in).read(address)) {
      in.at = start;
      in.refuse("not an IPv6 address", Refused::kIpv6);
    }
    append(address);
  }
};

// By name, or by number where no name is the same text.
template <class T>
class EnumWriter final : public FixedWidthWriter<T> {
 public:
  explicit EnumWriter(std::vector<std::pair<std::string, int>> values)
      : values_(std::move(values)) {
    int least = values_.front().second;
    for (const auto& [name, number] : values_) least = std::min(least, number);
    default_ = static_cast<T>(least);
  }

  void read(JsonCursor& in) override {
    const char* start = in.at;
    if (in.peek() == '"') {
      text_.truncate(0);
      in.read_string(text_);
      text_.ensure(kReadAhead);
      if (append_named(text_.view()) || append_number_in(text_.view())) return;
    } else if (append_number(read_integer<T>(in))) {
      return;
    }
    in.at = start;
    in.refuse("not a value of the enumeration", Refused::kEnum);
  }
  void read_text(JsonCursor& in) override {
    const std::string_view text(in.at, in.left());
    if (!append_named(text) && !append_number_in(text))
      in.refuse("not a value of the enumeration", Refused::kEnum);
    in.at = in.end;
  }
  TextForm text_form() const override { return TextForm::kAny; }
  void append_default() override { this->append(default_); }
  // ClickHouse stores 0 even where no name has it, and then can't show the row any more.
  void append_for_null(JsonCursor& in) override {
    if (!append_number(0))
      in.refuse("null, and no name of the enumeration has number 0", Refused::kEnum);
  }

 private:
  bool append_named(std::string_view name) {
    for (const auto& [known, number] : values_) {
      if (known != name) continue;
      this->append(static_cast<T>(number));
      return true;
    }
    return false;
  }
  bool append_number(int number) {
    for (const auto& [name, known] : values_) {
      if (known != number) continue;
      this->append(static_cast<T>(number));
      return true;
    }
    return false;
  }
  bool append_number_in(std::string_view text) {
    JsonCursor in(text);
    const int sign = in.take('-') ? -1 : 1;
    if (sign > 0) in.take('+');
    std::int64_t number = 0;
    const char* start = in.at;
    for (; in.peek() >= '0' && in.peek() <= '9' && number < 0x10000; ++in.at) {
      number = number * 10 + (*in.at - '0');
    }
    if (in.at == start || !in.done()) return false;
    return append_number(static_cast<int>(number) * sign);
  }

  const std::vector<std::pair<std::string, int>> values_;
  T default_{};
  ColumnBytes text_;
};

}  // namespace

ColumnWriterPtr make_uuid_writer() { return std::make_unique<UuidWriter>(); }
ColumnWriterPtr make_ipv4_writer() { return std::make_unique<Ipv4Writer>(); }
ColumnWriterPtr make_ipv6_writer() { return std::make_unique<Ipv6Writer>(); }

ColumnWriterPtr make_enum_writer(unsigned bytes, std::vector<std::pair<std::string, int>> values) {
  if (bytes == 1) return std::make_unique<EnumWriter<std::int8_t>>(std::move(values));
  return std::make_unique<EnumWriter<std::int16_t>>(std::move(values));
}

}  // namespace millrace
