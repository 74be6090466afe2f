// Any bytes as a parameter: what the server reads from the text is what was given, alone and in an
// array. The rules of its reader: a backslash makes the next character plain; a quote ends a
// string.
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "transport/error.h"
#include "transport/value.h"

namespace millrace::fuzz {
namespace {

// Up to `end`, which is left; all of it if there is none.
std::string unescape(std::string_view& text, char end) {
  std::string plain;
  while (!text.empty() && (end == '\0' || text.front() != end)) {
    if (text.front() == '\\') {
      require(text.size() > 1, "no backslash at the end");
      text.remove_prefix(1);
      const bool letter = (text.front() >= 'a' && text.front() <= 'z') ||
                          (text.front() >= '0' && text.front() <= '9') || text.front() == 'N';
      require(!letter, "a letter behind a backslash would mean something else");
    } else {
      require(text.front() != '\t' && text.front() != '\n', "what ends a field is escaped");
    }
    plain += text.front();
    text.remove_prefix(1);
  }
  return plain;
}

void check_alone(std::string_view bytes) {
  const std::string bound = Value(bytes).as_bind_text("String");
  std::string_view text = bound;
  require(unescape(text, '\0') == bytes, "a string is read as it was given");
}

void check_in_an_array(std::string_view bytes) {
  Array items;
  std::vector<std::string> wanted;
  for (std::size_t start = 0; start <= bytes.size();) {
    const auto end = std::min(bytes.find(',', start), bytes.size());
    wanted.emplace_back(bytes.substr(start, end - start));
    items.emplace_back(wanted.back());
    start = end + 1;
  }
  const std::string bound = Value(items).as_bind_text("Array(String)");
  std::string_view text = bound;
  require(text.starts_with("[") && text.ends_with("]"), "an array has its brackets");
  text.remove_prefix(1);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i > 0) {
      require(text.starts_with(", ") || text.starts_with(","), "elements are separated");
      text.remove_prefix(text.starts_with(", ") ? 2 : 1);
    }
    require(text.starts_with("'"), "a string in an array is quoted");
    text.remove_prefix(1);
    require(unescape(text, '\'') == wanted[i], "an element is read as it was given");
    require(text.starts_with("'"), "a string in an array ends");
    text.remove_prefix(1);
  }
  require(text == "]", "nothing stands behind the last element");
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  millrace::fuzz::check_alone(bytes);
  millrace::fuzz::check_in_an_array(bytes);
  return 0;
}
