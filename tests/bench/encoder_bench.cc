// The encoder alone: web-log rows of 10 columns, and wide ones of 100, from messages as they lie in
// a block to one Native body; beside simdjson, which walks the same messages and keeps nothing.
// MB/s are of the messages, one core.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipeline/encode/native_encoder.h"
#include "pipeline/encode/native_plan.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace millrace::bench {
namespace {

struct Messages {
  RowFormat format = RowFormat::kJsonObjects;
  std::vector<TableColumn> table;
  std::string text;  // one behind the other, and room to read ahead
  std::vector<std::string_view> payloads;

  void seal(const std::vector<std::size_t>& ends) {
    text.append(kReadAhead, '\0');
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      payloads.emplace_back(text.data() + begin, end - begin - 1);  // without the newline
      begin = end;
    }
  }
};

// One value of a row; `text` needs quotes where the format has them.
struct Field {
  const char* name;
  std::string value;
  bool text = false;
};

std::string row_of(const std::vector<Field>& fields, RowFormat format) {
  const bool tabs = format == RowFormat::kTabs, json = !has_text_fields(format);
  const bool named = format == RowFormat::kJsonObjects;
  std::string row;
  for (const Field& field : fields) {
    if (!row.empty()) row += tabs ? '\t' : ',';
    if (named) row += '"' + std::string(field.name) + "\":";
    row += field.text && !tabs ? '"' + field.value + '"' : field.value;
  }
  if (json) row = named ? '{' + row + '}' : '[' + row + ']';
  return row + '\n';
}

// About 228 bytes each as JSON objects.
Messages web_log(std::size_t rows, RowFormat format) {
  static constexpr const char* kMethods[] = {"GET", "GET", "GET", "POST", "PUT"};
  static constexpr const char* kAgents[] = {
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "curl/8.5.0",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X)", "Go-http-client/2.0"};
  static constexpr int kStatuses[] = {200, 200, 200, 304, 404, 500};
  std::mt19937_64 random(1);
  Messages messages;
  messages.format = format;
  messages.table = {{"time", "DateTime64(3)", "", ""},
                    {"host", "LowCardinality(String)", "", ""},
                    {"method", "LowCardinality(String)", "", ""},
                    {"path", "String", "", ""},
                    {"status", "UInt16", "", ""},
                    {"bytes", "UInt32", "", ""},
                    {"latency", "Float64", "", ""},
                    {"user_id", "UInt64", "", ""},
                    {"agent", "String", "", ""},
                    {"flag", "Bool", "", ""}};
  std::vector<std::size_t> ends;
  const auto number = [&](std::size_t below) { return std::to_string(random() % below); };
  for (std::size_t i = 0; i < rows; ++i) {
    char time[32];
    std::snprintf(time, sizeof time, "2024-05-17 %02zu:%02zu:%02zu.%03u", i / 180000 % 24,
                  i / 3000 % 60, i / 50 % 60, unsigned(random() % 1000));
    messages.text += row_of({{"time", time, true},
                             {"host", "web-" + number(40) + ".example.com", true},
                             {"method", kMethods[random() % 5], true},
                             {"path", "/catalog/item/" + number(1000000) + "/details", true},
                             {"status", std::to_string(kStatuses[random() % 6])},
                             {"bytes", number(200000)},
                             {"latency", number(900) + "." + number(1000)},
                             {"user_id", number(10000000)},
                             {"agent", kAgents[random() % 4], true},
                             {"flag", random() % 2 == 0 ? "true" : "false"}},
                            format);
    ends.push_back(messages.text.size());
  }
  messages.seal(ends);
  return messages;
}

// 100 columns: every fifth one a string, a float, a time, a dictionary, an integer.
Messages wide(std::size_t rows) {
  static constexpr const char* kTypes[] = {"String", "Float64", "DateTime",
                                           "LowCardinality(String)", "Int64"};
  std::mt19937_64 random(2);
  Messages messages;
  for (int column = 0; column < 100; ++column) {
    messages.table.push_back({"column_" + std::to_string(column), kTypes[column % 5], "", ""});
  }
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < rows; ++i) {
    for (int column = 0; column < 100; ++column) {
      messages.text += (column == 0 ? "{\"column_" : ",\"column_") + std::to_string(column) + "\":";
      switch (column % 5) {
        case 0:
          messages.text += "\"text " + std::to_string(random() % 100000) + "\"";
          break;
        case 1:
          messages.text += std::to_string(random() % 1000) + "." + std::to_string(random() % 1000);
          break;
        case 2:
          messages.text += "\"2024-05-17 10:20:" + std::to_string(10 + random() % 50) + "\"";
          break;
        case 3:
          messages.text += "\"value " + std::to_string(random() % 100) + "\"";
          break;
        default:
          messages.text += std::to_string(static_cast<std::int64_t>(random() % 2000000) - 1000000);
      }
    }
    messages.text += "}\n";
    ends.push_back(messages.text.size());
  }
  messages.seal(ends);
  return messages;
}

const Messages& log_messages(RowFormat format) {
  static std::map<RowFormat, Messages> made;
  const auto [found, is_new] = made.try_emplace(format);
  if (is_new) found->second = web_log(65536, format);
  return found->second;
}
const Messages& wide_messages() {
  static const Messages kWide = wide(8192);
  return kWide;
}

void report(benchmark::State& state, const Messages& messages, std::uint64_t allocated) {
  const auto rounds = static_cast<double>(state.iterations());
  const auto rows = static_cast<double>(messages.payloads.size()) * rounds;
  const auto bytes = static_cast<double>(messages.text.size() - kReadAhead) * rounds;
  state.counters["MB/s"] = benchmark::Counter(bytes / 1e6, benchmark::Counter::kIsRate);
  state.counters["rows/s"] = benchmark::Counter(rows, benchmark::Counter::kIsRate);
  state.counters["allocations/row"] = static_cast<double>(allocated) / rows;
  state.counters["bytes/row"] = bytes / rows;
}

// `columns`: what is put in front of the fields of each row, columns of the record's.
void encode(benchmark::State& state, const Messages& messages, std::string_view columns) {
  std::vector<TableColumn> table = messages.table;
  if (!columns.empty()) {
    table.push_back({"_topic", "LowCardinality(String)", "", ""});
    table.push_back({"_partition", "Int32", "", ""});
    table.push_back({"_offset", "UInt64", "", ""});
  }
  EncodeContext context;
  context.format = messages.format;
  const auto plan = std::get<std::shared_ptr<const NativePlan>>(NativePlan::make(table, context));
  NativeEncoder encoder(plan);
  const auto one_block = [&] {
    encoder.clear();
    for (const std::string_view payload : messages.payloads) {
      if (auto failure = encoder.add(payload, columns))
        state.SkipWithError(failure->reason.c_str());
    }
    benchmark::DoNotOptimize(encoder.finish());
  };
  one_block();  // memory grows once
  const std::uint64_t before = allocations;
  while (state.KeepRunning()) one_block();
  report(state, messages, allocations - before);
}

// Every field of every message is looked at; strings and numbers are not unescaped or converted.
void walk(benchmark::State& state, const Messages& messages) {
  simdjson::ondemand::parser parser;
  std::size_t seen = 0;
  const std::uint64_t before = allocations;
  while (state.KeepRunning()) {
    for (const std::string_view payload : messages.payloads) {
      simdjson::ondemand::document document;
      if (parser.iterate(payload.data(), payload.size(), payload.size() + kReadAhead)
              .get(document) != simdjson::SUCCESS) {
        state.SkipWithError("simdjson refuses");
      }
      for (auto field : document.get_object())
        seen += field.value().raw_json_token().value().size();
    }
    benchmark::DoNotOptimize(seen);
  }
  report(state, messages, allocations - before);
}

constexpr std::string_view kColumns =
    R"("_topic":"access_log","_partition":11,"_offset":1234567890)";

void encode_log(benchmark::State& state, RowFormat format) {
  encode(state, log_messages(format), "");
}
void encode_log_with_columns(benchmark::State& state) {
  encode(state, log_messages(RowFormat::kJsonObjects), kColumns);
}
void encode_wide(benchmark::State& state) { encode(state, wide_messages(), ""); }
void walk_log(benchmark::State& state) { walk(state, log_messages(RowFormat::kJsonObjects)); }
void walk_wide(benchmark::State& state) { walk(state, wide_messages()); }

BENCHMARK_CAPTURE(encode_log, json, RowFormat::kJsonObjects)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_log, json_arrays, RowFormat::kJsonArrays)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_log, tsv, RowFormat::kTabs)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_log, csv, RowFormat::kCommas)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_log_with_columns)->Unit(benchmark::kMillisecond);
BENCHMARK(walk_log)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_wide)->Unit(benchmark::kMillisecond);
BENCHMARK(walk_wide)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::bench

BENCHMARK_MAIN();
