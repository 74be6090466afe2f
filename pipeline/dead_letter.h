// A record that ClickHouse refuses when it is sent by itself: kept, so that its lane can go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

struct DeadLetter {
  std::string pipeline, table, format;
  std::string group, topic;  // of its lane
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  // Its identity: the token under which it was sent alone. A replay sends it under the same one.
  std::string token;
  int code = 0;         // ClickHouse's, or 0
  std::string reason;   // its name: "CANNOT_PARSE_NUMBER"
  std::string message;  // ClickHouse's text
  unsigned attempts = 0;
  std::chrono::system_clock::time_point time{};
  std::string payload;  // the message as the source has it
  std::string sent;     // the row as it was sent, if something was spliced in; else empty
  bool replayed = false;

  std::string_view row() const { return sent.empty() ? payload : sent; }
};

// Where they are kept. Thread-safe.
class DeadLetterStore {
 public:
  virtual ~DeadLetterStore() = default;
  // Returns when they will survive a crash. The same letter (by token) may come again, after a
  // crash: a reader sees it once. Throws std::exception with what an operator must do; then none,
  // some or all may have been stored.
  virtual void store(std::span<const DeadLetter> letters) = 0;
  // For people: "table millrace_dead_letters".
  virtual std::string name() const = 0;
};

}  // namespace millrace
