// Any response: it is taken or refused, never misread, and how its body is cut does not matter.
//
// Input: one byte (how the body is cut), the response.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "transport/error.h"
#include "transport/http_response_parser.h"

namespace millrace::fuzz {
namespace {

// Takes a line from the front of `bytes`; false if there is no whole one.
bool take_line(std::string_view& bytes, std::string_view& line) {
  const auto end = bytes.find("\r\n");
  if (end == std::string_view::npos) return false;
  line = bytes.substr(0, end);
  bytes.remove_prefix(end + 2);
  return true;
}

void check_header(const HeaderField& field) {
  require(!field.name.empty(), "a header field has a name");
  const std::string again = std::string(field.name) + ": " + std::string(field.value);
  require(again.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos,
          "a header field is one line");
  const HeaderField parsed = parse_header_line(again);
  require(parsed.name == field.name && parsed.value == field.value, "a field can be written again");
}

// Takes the head from the front of `bytes`; false if it is not whole. Throws NetworkError.
bool read_head(std::string_view& bytes, ResponseFraming::Kind& kind) {
  std::string_view line;
  if (!take_line(bytes, line)) return false;
  const StatusLine status = parse_status_line(line);
  require(status.status >= 100 && status.status <= 599, "range of the status");
  require(status.version_minor >= 0 && status.version_minor <= 9, "range of the version");
  ResponseFraming framing(status.status);
  while (take_line(bytes, line)) {
    if (line.empty()) {
      kind = framing.kind();
      return true;
    }
    const HeaderField field = parse_header_line(line);
    check_header(field);
    framing.add(field.name, field.value);
  }
  return false;
}

struct Body {
  std::string data, left, error;
  bool done = false;
  bool operator==(const Body&) const = default;
};

Body read_chunks(std::string_view bytes, std::uint32_t seed) {
  ChunkParser parser;
  Body body;
  try {
    in_pieces(bytes, seed, [&](std::string_view piece) {
      while (!piece.empty() && !parser.done()) {
        const std::string_view before = piece, data = parser.next_data(piece);
        require(before.ends_with(piece), "the parser consumes from the front");
        require(data.empty() || data.data() + data.size() == piece.data(), "no copies");
        require(!data.empty() || piece.empty() || parser.done(), "the parser makes progress");
        body.data += data;
      }
      body.left += piece;
    });
  } catch (const NetworkError& error) {
    body.error = error.what();
  }
  body.done = parser.done();
  return body;
}

void check_chunks(std::string_view bytes, std::uint32_t seed) {
  const Body body = read_chunks(bytes, 0);
  require(body == read_chunks(bytes, seed), "pieces do not matter");
  require(bytes.ends_with(body.left), "what is left is the end of the input");
  require(body.done || body.left.empty(), "only what follows the body is left");
  require(!body.done || body.error.empty(), "a refused body is not done");
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    auto kind = ResponseFraming::Kind::kNone;
    if (fuzz::read_head(bytes, kind) && kind == ResponseFraming::Kind::kChunked) {
      fuzz::check_chunks(bytes, 1u + data[0]);
    }
  } catch (const NetworkError& error) {
    fuzz::require(error.kind() == NetworkError::Kind::kProtocol, "a refusal is a protocol error");
  }
  return 0;
}
