#include "tests/integration/differential.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

#include "pipeline/encode/encode_facts.h"
#include "pipeline/encoder.h"
#include "tests/integration/differential_rows.h"
#include "transport/error.h"

namespace millrace::test {
namespace {

// Of those that the sender sends, what decides the meaning of rows.
const Settings kInsertSettings = {{"async_insert", "0"},
                                  {"input_format_parallel_parsing", "0"},
                                  {"input_format_allow_errors_num", "0"},
                                  {"input_format_allow_errors_ratio", "0"},
                                  {"input_format_csv_detect_header", "0"},
                                  {"input_format_tsv_detect_header", "0"},
                                  {"input_format_skip_unknown_fields", "0"},
                                  {"max_insert_block_size", "100000000"}};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string shown(std::string_view message) {
  return std::string(message.substr(0, 300)) + (message.size() > 300 ? "…" : "");
}

}  // namespace

Differential::Differential(Client& client, const std::string& columns, Settings settings,
                           std::string format)
    : client_(client), format_(std::move(format)), settings_([&] {
        Settings all = std::move(settings);
        for (const auto& [name, value] : kInsertSettings) all.emplace(name, value);
        return all;
      }()) {
  for (const char* table : {"as_text", "as_native"}) {
    client_.command(std::string("DROP TABLE IF EXISTS ") + table);
    client_.command(
        std::string("CREATE TABLE ") + table + " (n UInt32, " + columns + ") ENGINE = Memory",
        {.settings = {{"allow_suspicious_low_cardinality_types", "1"},
                      {"enable_time_time64_type", "1"},
                      {"allow_suspicious_fixed_string_types", "1"}}});
  }
  EncodeFacts facts = ask_encode_facts(client_, "as_native", settings_);
  facts.context.format = row_format_of(format_).value();
  auto plan = NativePlan::make(facts.columns, facts.context);
  if (auto* made = std::get_if<std::shared_ptr<const NativePlan>>(&plan)) {
    plan_ = *made;
    encoder_ = std::make_unique<NativeEncoder>(plan_);
  } else {
    cannot_ = std::get<CannotEncode>(plan);
  }
}

void Differential::begin() {
  client_.command("TRUNCATE TABLE as_text");
  client_.command("TRUNCATE TABLE as_native");
  encoder_->clear();
}

std::optional<int> Differential::insert_text(std::string_view body, std::string* why) {
  try {
    client_.raw_insert("as_text", body, {.settings = settings_, .format = format_});
    return std::nullopt;
  } catch (const ClickHouseError& error) {
    if (why != nullptr) *why = error.what();
    return error.code();
  }
}

// In memory of its own, so that AddressSanitizer sees who reads too far.
std::optional<EncodeFailure> Differential::encode(const std::string& message,
                                                  std::string_view columns) {
  const auto padded = std::make_unique<char[]>(message.size() + kReadAhead);
  std::memcpy(padded.get(), message.data(), message.size());
  std::fill_n(padded.get() + message.size(), kReadAhead, '7');  // misleading
  return encoder_->add({padded.get(), message.size()}, columns);
}

// `sent` is what the server gets of the message.
void Differential::feed(const std::string& message, const std::string& sent,
                        std::string_view columns, std::vector<std::string>& differences) {
  const auto failure = encode(message, columns);
  std::string why;
  const auto refusal = insert_text(sent.ends_with('\n') ? sent : sent + "\n", &why);
  if (failure) ++refused_;
  if (failure.has_value() == refusal.has_value()) {
    compare_codes(message, failure, refusal, why, differences);
    return;
  }
  differences.push_back(shown(message) +
                        (failure ? "\n  only we refuse: " + failure->column + ": " + failure->reason
                                 : "\n  only ClickHouse refuses: " + why));
  begin();  // the tables would differ
}

void Differential::compare_codes(const std::string& message,
                                 const std::optional<EncodeFailure>& ours,
                                 const std::optional<int>& theirs, const std::string& why,
                                 std::vector<std::string>& differences) {
  if (!ours || !theirs || ours->code == *theirs) return;
  differences.push_back(shown(message) + "\n  another code: ours is " + std::to_string(ours->code) +
                        ", " + ours->column + ": " + ours->reason + "\n  ClickHouse: " + why);
}

std::vector<std::string> Differential::feed_each(const std::vector<std::string>& messages) {
  std::vector<std::string> differences;
  begin();
  for (const std::string& message : messages) feed(message, message, {}, differences);
  insert_native(differences);
  compare(messages, differences);
  return differences;
}

std::vector<std::string> Differential::feed_spliced(const std::string& message,
                                                    const std::string& columns) {
  std::vector<std::string> differences;
  begin();
  std::string spliced;
  splice_columns(message, columns, spliced);
  feed(message, spliced, columns, differences);
  insert_native(differences);
  compare({}, differences);
  return differences;
}

std::vector<std::string> Differential::feed_through(const std::string& message) {
  std::vector<std::string> differences;
  begin();
  std::vector<std::string> refusals;
  if (const auto failure = encode(message)) {
    refusals.push_back(failure->reason);
  } else {
    insert_native(refusals);
  }
  std::string why;
  if (insert_text(message, &why).has_value() != !refusals.empty()) {
    differences.push_back(shown(message) + "\n  ClickHouse: " + why +
                          "\n  we: " + (refusals.empty() ? "" : refusals.front()));
    return differences;
  }
  compare({message}, differences);
  return differences;
}

std::vector<std::string> Differential::feed_together(const std::vector<std::string>& messages) {
  std::vector<std::string> differences;
  begin();
  std::string taken;
  std::string why;
  for (const std::string& message : messages) {
    const auto failure = encode(message);
    if (!failure) {
      taken.append(message).append("\n");
      continue;
    }
    ++refused_;
    const auto refusal = insert_text(message + "\n", &why);
    compare_codes(message, failure, refusal, why, differences);
    if (!refusal) {
      differences.push_back(shown(message) + "\n  only we refuse: " + failure->column + ": " +
                            failure->reason);
      client_.command("ALTER TABLE as_text DELETE WHERE 1");
    }
  }
  if (insert_text(taken, &why)) return feed_each(messages);  // to see which
  insert_native(differences);
  compare(messages, differences);
  return differences;
}

void Differential::insert_native(std::vector<std::string>& differences) {
  const NativeBlock block = encoder_->finish();
  if (block.cannot) {
    differences.push_back("the block can't be encoded: " + block.cannot->column + ": " +
                          block.cannot->reason);
    return;
  }
  if (block.rows == 0) return;
  try {
    client_.raw_insert("as_native", BodyPieces(block.pieces),
                       {.columns = {block.columns.begin(), block.columns.end()},
                        .settings = {{"async_insert", "0"}, {"max_insert_block_size", "100000000"}},
                        .format = "Native"});
  } catch (const ClickHouseError& error) {
    differences.push_back(std::string("ClickHouse refuses the Native block: ") + error.what());
  }
}

void Differential::compare(const std::vector<std::string>& messages,
                           std::vector<std::string>& differences) {
  const auto content = [&](const char* table) {
    return client_.raw_query(std::string("SELECT * FROM ") + table + " ORDER BY n",
                             {.format = "TSV"});
  };
  const std::string text = content("as_text"), native = content("as_native");
  if (text == native) return;
  const auto text_rows = lines_of(text), native_rows = lines_of(native);
  if (text_rows.size() != native_rows.size()) {
    differences.push_back(std::to_string(text_rows.size()) + " rows by ClickHouse, " +
                          std::to_string(native_rows.size()) + " by us");
    return;
  }
  for (std::size_t i = 0; i < text_rows.size() && differences.size() < 20; ++i) {
    if (text_rows[i] == native_rows[i]) continue;
    const std::size_t n = std::strtoul(text_rows[i].c_str(), nullptr, 10) % RowGenerator::kSecond;
    differences.push_back((n < messages.size() ? shown(messages[n]) : std::string("?")) +
                          "\n  ClickHouse: " + shown(text_rows[i]) +
                          "\n  we:         " + shown(native_rows[i]));
  }
}

}  // namespace millrace::test
