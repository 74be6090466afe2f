// Any body, in any pieces: the scanner loses and invents nothing, and the pieces do not matter.
//
// Input: one byte (bit 0: the body is complete, bit 1: no tag, the rest: how it is cut), the body.
#include <optional>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "transport/exception_frame.h"

namespace millrace::fuzz {
namespace {

constexpr std::string_view kTag = "tag";  // short, so that the fuzzer comes upon it

struct Outcome {
  std::string data;
  std::optional<std::string> exception;
  bool operator==(const Outcome&) const = default;
};

Outcome scan(std::string_view body, std::string_view tag, bool complete, std::uint32_t seed) {
  ExceptionScanner scanner(tag);
  Outcome outcome;
  in_pieces(body, seed, [&](std::string_view piece) {
    const auto [held, fresh] = scanner.push(piece);
    require(fresh.empty() || fresh.data() == piece.data(), "fresh data begins the piece");
    outcome.data.append(held).append(fresh);
    require(body.starts_with(outcome.data), "data is the beginning of the body");
  });
  std::string rest;
  outcome.exception = scanner.finish(complete, rest);
  outcome.data += rest;
  return outcome;
}

void check(std::string_view body, std::string_view tag, bool complete, std::uint32_t seed) {
  const Outcome outcome = scan(body, tag, complete, 0);
  require(outcome == scan(body, tag, complete, seed), "pieces do not matter");
  if (!outcome.exception || tag.empty()) {
    require(outcome.data == body, "without a frame all is data");
  } else {
    const std::string opening = "\r\n__exception__\r\n" + std::string(tag) + "\r\n";
    require(body.starts_with(outcome.data + opening + *outcome.exception),
            "data, opening and text are the beginning of the body");
  }
  if (outcome.exception && tag.empty()) {
    require(!complete, "a complete body without a tag has no exception");
    require(exception_code(*outcome.exception) >= 0, "codes are not negative");
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  millrace::fuzz::check(body, data[0] & 2 ? "" : millrace::fuzz::kTag, data[0] & 1,
                        1u + (data[0] >> 2));
  return 0;
}
