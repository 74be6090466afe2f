// An entry of `source.kafka.topics` as librdkafka understands it: a name, or a pattern from its ^
// on.
#pragma once

#include <regex.h>

#include <array>
#include <string>

namespace millrace {

// A POSIX extended regular expression, which is what librdkafka takes a pattern for.
class KafkaPattern {
 public:
  explicit KafkaPattern(const std::string& text)
      : error_(regcomp(&regex_, text.c_str(), REG_EXTENDED | REG_NOSUB)) {}
  ~KafkaPattern() {
    if (error_ == 0) regfree(&regex_);
  }
  KafkaPattern(const KafkaPattern&) = delete;

  // What is wrong with it; empty: nothing.
  std::string fault() const {
    if (error_ == 0) return {};
    std::array<char, 256> text{};
    regerror(error_, &regex_, text.data(), text.size());
    return text.data();
  }
  bool matches(const std::string& name) const {
    return error_ == 0 && regexec(&regex_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t regex_{};
  const int error_;
};

}  // namespace millrace
