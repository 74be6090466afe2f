// A block's records -> the body of its insert. Runs in the worker.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/block.h"
#include "pipeline/block_split.h"
#include "pipeline/metadata_json.h"

namespace millrace {

// Owned by one thread: a worker, which uses it for one block after another.
class Encoder {
 public:
  // The body of a part of the block, in pieces. Without metadata columns these are the block's own
  // chunks: nothing is copied. With them, each JSON row (a message may hold several) gets the
  // columns spliced in behind its opening brace, in a buffer that is used again; the pieces are
  // valid until the next call. A message in which no JSON object is found where a row should begin
  // is passed on as it is: the server then says what is wrong with it.
  std::vector<std::string_view> encode(const InsertBlock& block, const BlockPart& part);
  std::size_t buffer_bytes() const noexcept { return buffer_.capacity(); }
  // Gives a large buffer back. Called when the body is sent: an idle worker holds no memory that
  // the byte budget does not know of.
  void trim();

 private:
  std::string buffer_;
  std::string columns_;  // of one record, without braces
};

// Appends `payload` with `columns_json` (`"a":1,"b":"x"`, no braces) spliced into each top-level
// JSON object. Whitespace, commas and brackets between objects stay.
void splice_columns(std::string_view payload, std::string_view columns_json, std::string& out);
// How many rows the message holds: its top-level JSON objects, but one at least.
std::size_t count_rows(std::string_view payload);

}  // namespace millrace
