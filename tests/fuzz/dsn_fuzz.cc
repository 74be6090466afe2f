// Any text as a DSN: it is taken apart or refused in words of our own.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "transport/dsn.h"
#include "transport/error.h"

namespace millrace::fuzz {
namespace {

void check(std::string_view text) {
  try {
    const Dsn dsn = parse_dsn(text);
    require(!dsn.host || !dsn.host->empty(), "a host that is there has a name");
    require(!dsn.port || *dsn.port != 0, "a port that is there can be connected to");
  } catch (const UsageError& e) {
    // Only words of ours: a byte of the text in it could be one of the password.
    for (const char c : std::string_view(e.what())) {
      require(c >= ' ' && c <= '~', "a refusal holds no byte of the text");
    }
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
