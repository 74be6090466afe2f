#include "pipeline/block.h"

namespace millrace {

std::string InsertBlock::renewed(const std::string& text) const {
  return token_renewals == 0 ? text : text + "~" + std::to_string(token_renewals);
}

std::string InsertBlock::token_of(const BlockPart& part) const {
  if (part.first == 0 && part.end == buffer.records()) return renewed(token);
  if (part.records() == 1) return renewed(token_of_record(part.record(0)));
  const auto& entries = buffer.entries();
  return renewed(token + "#" + std::to_string(entries[part.first].offset) + "-" +
                 std::to_string(entries[part.end - 1].offset + 1));
}

std::string InsertBlock::token_of_record(std::size_t index) const {
  const std::int64_t offset = buffer.entries()[index].offset;
  return token + "#" + std::to_string(offset) + "-" + std::to_string(offset + 1);
}

}  // namespace millrace
