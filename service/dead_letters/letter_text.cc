#include "service/dead_letters/letter_text.h"

#include <Poco/Base64Decoder.h>
#include <Poco/Base64Encoder.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <utility>

#include "pipeline/encoder.h"
#include "service/json_writer.h"

namespace millrace {
namespace {

using Milliseconds = std::chrono::milliseconds;

void append_text(const char* name, std::string_view text, std::string& out) {
  out.append(",\"").append(name).append("\":");
  append_json_string(text, out);
}

void append_number(const char* name, std::int64_t number, std::string& out) {
  out.append(",\"").append(name).append("\":").append(std::to_string(number));
}

std::string to_base64(std::string_view bytes) {
  std::ostringstream out;
  Poco::Base64Encoder encoder(out);
  encoder.rdbuf()->setLineLength(0);
  encoder.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  encoder.close();
  return std::move(out).str();
}

std::string from_base64(const std::string& text) {
  std::istringstream in(text);
  Poco::Base64Decoder decoder(in);
  return {std::istreambuf_iterator<char>(decoder), std::istreambuf_iterator<char>()};
}

void append_bytes(const std::string& name, std::string_view bytes, LetterBytes how,
                  std::string& out) {
  if (how == LetterBytes::kRaw || to_valid_utf8(bytes) == bytes) {
    append_text(name.c_str(), bytes, out);
  } else {
    append_text((name + "_base64").c_str(), to_base64(bytes), out);
  }
}

template <class T>
T value(const Poco::JSON::Object& object, const char* name) {
  return object.getValue<T>(name);
}

std::string bytes_of(const Poco::JSON::Object& object, const std::string& name) {
  const std::string encoded = name + "_base64";
  if (object.has(encoded)) return from_base64(object.getValue<std::string>(encoded));
  return object.has(name) ? object.getValue<std::string>(name) : "";
}

}  // namespace

void append_letter(const DeadLetter& letter, LetterBytes bytes, std::string& out) {
  const auto time = std::chrono::floor<Milliseconds>(letter.time.time_since_epoch());
  out += "{\"time\":" + std::to_string(time.count());
  append_text("pipeline", letter.pipeline, out);
  append_text("table", letter.table, out);
  append_text("format", letter.format, out);
  append_text("group", letter.group, out);
  append_text("topic", letter.topic, out);
  append_number("partition", letter.partition, out);
  append_number("offset", letter.offset, out);
  append_text("token", letter.token, out);
  append_number("code", letter.code, out);
  append_text("reason", letter.reason, out);
  append_text("message", letter.message, out);
  append_number("attempts", letter.attempts, out);
  append_number("replayed", letter.replayed ? 1 : 0, out);
  append_bytes("payload", letter.payload, bytes, out);
  append_bytes("sent", letter.sent, bytes, out);
  out += "}\n";
}

std::optional<DeadLetter> parse_letter(std::string_view line) {
  try {
    const auto parsed = Poco::JSON::Parser().parse(std::string(line));
    const auto& object = *parsed.extract<Poco::JSON::Object::Ptr>();
    DeadLetter letter;
    letter.time =
        std::chrono::system_clock::time_point(Milliseconds(value<Poco::Int64>(object, "time")));
    letter.pipeline = value<std::string>(object, "pipeline");
    letter.table = value<std::string>(object, "table");
    letter.format = value<std::string>(object, "format");
    letter.group = value<std::string>(object, "group");
    letter.topic = value<std::string>(object, "topic");
    letter.partition = value<Poco::Int32>(object, "partition");
    letter.offset = value<Poco::Int64>(object, "offset");
    letter.token = value<std::string>(object, "token");
    letter.code = value<Poco::Int32>(object, "code");
    letter.reason = value<std::string>(object, "reason");
    letter.message = value<std::string>(object, "message");
    letter.attempts = value<Poco::UInt32>(object, "attempts");
    letter.replayed = value<Poco::Int32>(object, "replayed") != 0;
    letter.payload = bytes_of(object, "payload");
    letter.sent = bytes_of(object, "sent");
    return letter;
  } catch (const Poco::Exception&) {
    return std::nullopt;
  }
}

void LetterLog::add(std::string_view line) {
  if (line.empty()) return;
  std::optional<DeadLetter> letter = parse_letter(line);
  if (!letter) {
    ++all_.unreadable;
    return;
  }
  const auto [known, is_new] = by_token_.try_emplace(letter->token, all_.letters.size());
  if (is_new) {
    all_.letters.push_back(std::move(*letter));
    return;
  }
  // One that comes again after it was replayed is the repeat of a crash.
  DeadLetter& before = all_.letters[known->second];
  letter->replayed = letter->replayed || before.replayed;
  before = std::move(*letter);
}

DeadLetters LetterLog::take(const DeadLetterFilter& filter) {
  by_token_.clear();
  std::erase_if(all_.letters, [&](const DeadLetter& letter) { return !filter.matches(letter); });
  return std::exchange(all_, {});
}

}  // namespace millrace
