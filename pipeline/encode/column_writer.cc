#include "pipeline/encode/column_writer.h"

namespace millrace {

void NativeBody::clear() {
  copied_.clear();
  pieces_.clear();
}

void NativeBody::copy(std::string_view bytes) {
  copied_.append(bytes);
  if (pieces_.empty() || pieces_.back().data != nullptr) pieces_.push_back({nullptr, 0});
  pieces_.back().bytes += bytes.size();
}

void NativeBody::copy_varint(std::uint64_t number) {
  char text[10];
  std::size_t size = 0;
  for (; number >= 0x80; number >>= 7) text[size++] = static_cast<char>(number | 0x80);
  text[size++] = static_cast<char>(number);
  copy({text, size});
}

void NativeBody::copy_string(std::string_view text) {
  copy_varint(text.size());
  copy(text);
}

void NativeBody::refer(std::string_view bytes) {
  if (!bytes.empty()) pieces_.push_back({bytes.data(), bytes.size()});
}

std::vector<std::string_view> NativeBody::pieces() const {
  std::vector<std::string_view> result;
  result.reserve(pieces_.size());
  const char* copied = copied_.data();
  for (const Piece& piece : pieces_) {
    if (piece.data != nullptr) {
      result.emplace_back(piece.data, piece.bytes);
    } else {
      result.emplace_back(copied, piece.bytes);
      copied += piece.bytes;
    }
  }
  return result;
}

}  // namespace millrace
