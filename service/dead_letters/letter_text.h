// A dead letter as one line of JSON, and back.
//
//   {"time":1764076800123,"pipeline":"p",…,"payload":"{\"a\":"}
//   {…,"payload_base64":"/w==","sent_base64":"…"}          where the bytes are no UTF-8
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/dead_letters/archive.h"

namespace millrace {

// kRaw: for ClickHouse, whose strings are bytes. kStrict: JSON that every reader takes.
enum class LetterBytes { kRaw, kStrict };
void append_letter(const DeadLetter& letter, LetterBytes bytes, std::string& out);
// Nothing when it is none.
std::optional<DeadLetter> parse_letter(std::string_view line);

// Lines in the order in which they were stored -> the last state of each letter. Owned by one
// thread.
class LetterLog {
 public:
  void add(std::string_view line);
  DeadLetters take(const DeadLetterFilter& filter);

 private:
  DeadLetters all_;
  std::map<std::string, std::size_t> by_token_;
};

}  // namespace millrace
