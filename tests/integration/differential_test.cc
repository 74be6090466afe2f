// That a row means the same whether ClickHouse reads its JSON or our encoder does: hand-picked
// cases, and generated ones from a seed (MILLRACE_SEED=… for the same again,
// MILLRACE_DIFFERENTIAL_MINUTES=… for more).
#include "tests/integration/differential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/integration/clickhouse_only.h"
#include "tests/integration/differential_cases.h"
#include "tests/integration/differential_rows.h"
#include "tests/integration/differential_shapes.h"
#include "tests/unit/pipeline/seed.h"

namespace millrace::test {
namespace {

class DifferentialTest : public WithClickHouse {
 protected:
  static void expect_none(const std::string& columns, const std::vector<std::string>& differences) {
    std::size_t shown = 0;
    for (const std::string& difference : differences) {
      ADD_FAILURE() << columns << "\n" << difference;
      static const char* most = std::getenv("MILLRACE_SHOWN");  // differences of one table
      if (++shown == (most != nullptr ? std::stoul(most) : 5)) break;
    }
  }
  // Of pipeline/encode/README.md, what values that were made for JSON come to as text.
  static bool is_meant(const std::string& difference, const Settings& settings,
                       const std::string& format) {
    const auto says = [&](const char* what) { return difference.find(what) != difference.npos; };
    const auto form = settings.find("date_time_input_format");
    const bool basic = form != settings.end() && form->second == "basic";
    if (basic && says("another code")) return true;
    // Of a date that is too short ClickHouse reads on in the next field.
    if (has_text_fields(row_format_of(format).value()) && says("another code: ours is 38")) {
      return true;
    }
    // At the end of all data an escape that is cut off is one more character.
    if (says("another code: ours is 25") && says("two digits are expected behind")) return true;
    return has_text_fields(row_format_of(format).value()) && says("only we refuse") &&
           (basic || says("no name of the enumeration has number 0"));
  }
  // Each value of each type, in the messages that `messages_of` makes of its number and its text.
  using MessagesOf =
      std::function<std::vector<std::string>(const std::string& n, const std::string& value)>;
  enum class Feed { kEach, kTogether };
  static void feed_values(const std::string& format, const MessagesOf& messages_of,
                          const std::vector<ValueCases>& all = value_cases(),
                          Feed feed = Feed::kEach) {
    Client own = client();
    std::size_t count = 0, refused = 0;
    for (const ValueCases& cases : all) {
      for (const std::string& type : cases.types) {
        Differential differential(own, "x " + type, cases.settings, format);
        if (differential.cannot() && has_text_fields(row_format_of(format).value())) continue;
        ASSERT_FALSE(differential.cannot()) << type << ": " << differential.cannot()->reason;
        std::vector<std::string> messages;
        for (const std::string& value : cases.values) {
          for (std::string& message : messages_of("$", value)) {
            message.replace(message.find('$'), 1, std::to_string(messages.size()));
            messages.push_back(std::move(message));
          }
        }
        std::vector<std::string> differences = feed == Feed::kEach
                                                   ? differential.feed_each(messages)
                                                   : differential.feed_together(messages);
        std::erase_if(differences, [&](const std::string& each) {
          return is_meant(each, cases.settings, format);
        });
        expect_none(type, differences);
        count += messages.size();
        refused += differential.refused();
      }
    }
    std::cout << count << " cases, " << refused << " of them refused" << std::endl;
  }
};

TEST_F(DifferentialTest, ValuesOfEachType) {
  feed_values("JSONEachRow", [](const std::string& n, const std::string& value) {
    return std::vector{"{\"n\":" + n + ",\"x\":" + value + "}"};
  });
}

TEST_F(DifferentialTest, ValuesOfEachTypeInJsonArrays) {
  feed_values("JSONCompactEachRow", [](const std::string& n, const std::string& value) {
    return std::vector{"[" + n + "," + value + "]"};
  });
}

TEST_F(DifferentialTest, ValuesOfEachTypeInTabSeparated) {
  feed_values("TabSeparated", [](const std::string& n, const std::string& value) {
    const std::string text = text_of_json(value);
    return std::vector{n + "\t" + text, n + "\t" + text + " ", n + "\t" + text + "\\"};
  });
}

TEST_F(DifferentialTest, ValuesOfEachTypeInCsv) {
  feed_values("CSV", [](const std::string& n, const std::string& value) {
    const std::string text = text_of_json(value);
    return std::vector{n + "," + text, n + ",\"" + text + "\"", n + ",'" + text + "'",
                       n + ", " + text + " ", n + ", \"" + text + "\" ,"};
  });
}

// Lengths and forms: differential_shapes.md. All of them where there is time.
std::vector<ValueCases> shapes(std::size_t most) {
  std::mt19937_64 random(millrace::testing::test_seed());
  const bool all = std::getenv("MILLRACE_DIFFERENTIAL_MINUTES") != nullptr;
  return shape_cases(random, all ? std::string::npos : most);
}

TEST_F(DifferentialTest, ShapesInJson) {
  feed_values(
      "JSONEachRow",
      [](const std::string& n, const std::string& value) {
        return std::vector{"{\"n\":" + n + ",\"x\":" + value + "}"};
      },
      shapes(150), Feed::kTogether);
}

TEST_F(DifferentialTest, ShapesInTabSeparated) {
  feed_values(
      "TSV",
      [](const std::string& n, const std::string& value) {
        const std::string text = text_of_json(value);
        // A backslash at the end would take the next message as its own.
        return std::vector{n + "\t" + text + (text.ends_with('\\') ? "x" : "")};
      },
      shapes(60), Feed::kTogether);
}

TEST_F(DifferentialTest, ShapesInCsv) {
  feed_values(
      "CSV",
      [](const std::string& n, const std::string& value) {
        std::string text = text_of_json(value);
        std::string bare = n + "," + text;
        for (std::size_t at = 0; (at = text.find('"', at)) != text.npos; at += 2) {
          text.insert(at, 1, '"');
        }
        if (text.starts_with("\"\"")) bare += "\"";
        return std::vector{std::move(bare), n + ",\"" + text + "\""};
      },
      shapes(60), Feed::kTogether);
}

TEST_F(DifferentialTest, WholeMessages) {
  Client own = client();
  std::size_t count = 0;
  for (const MessageCases& cases : message_cases()) {
    Differential differential(own, cases.columns, cases.settings, cases.format);
    ASSERT_FALSE(differential.cannot()) << cases.columns << ": " << differential.cannot()->reason;
    for (const std::string& message : cases.messages) {
      expect_none(cases.columns + "\n" + message, differential.feed_each({message}));
    }
    count += cases.messages.size();
  }
  std::cout << count << " cases" << std::endl;
}

TEST_F(DifferentialTest, ColumnsOfTheRecord) {
  Client own = client();
  const std::string table =
      "a UInt8, topic LowCardinality(String), partition Int32, offset UInt64, time DateTime64(3), "
      "key Nullable(String), headers Map(String, String)";
  Differential differential(own, table);
  const std::string columns =
      R"("topic":"t\"q","partition":3,"offset":12345678901,"time":"2024-01-02T03:04:05.678Z",)"
      R"("key":null,"headers":{"h":"1","h":"2"})";
  for (const char* message : {R"({"a":1})", R"({"a":1}{"a":2})", R"([{"a":1}, {}])", "{}", "",
                              R"({"a":1,"offset":5})", R"({"a":-1})", R"({"a":1,"key":null})"}) {
    expect_none(message, differential.feed_spliced(message, columns));
  }
}

TEST_F(DifferentialTest, TheSessionsTimeZoneCounts) {
  Client own = client();
  Differential differential(own, "a DateTime, b DateTime64(3), c DateTime('Europe/Berlin')",
                            {{"session_timezone", "America/New_York"}});
  expect_none("", differential.feed_each({R"({"n":1,"a":"2024-07-02 03:04:05",
    "b":"2024-01-02 03:04:05","c":"2024-01-02 03:04:05"})"}));
}

TEST_F(DifferentialTest, JsonColumns) {
  Client own = client();
  for (const char* type : {"JSON", "JSON(a UInt8, max_dynamic_paths = 3)", "Nullable(JSON)",
                           "Array(JSON)", "Tuple(String, JSON)", "Map(String, JSON)"}) {
    Differential differential(own, std::string("x ") + type);
    ASSERT_FALSE(differential.cannot()) << differential.cannot()->reason;
    for (std::string value :
         {R"({"a":1})", R"({})", R"(null)", R"("{\"a\":1}")", "1", "[1]",
          R"({"a":{"b":[1,{"c":2}]},"d":"2024-01-02","e":1.50})", R"({"a":1,"a":2})",
          R"({"a":tru})", R"({a:1})", R"({"a":300})", R"({"a":"x","b":null})", R"({ "a" : 1 , })",
          "{\"a\":\"\xff\"}", R"({"a":"\u00e9","b":"\ud83d\ude00"})", R"({"a")", ""}) {
      const std::string text(type);
      if (text.starts_with("Array")) value = "[" + value + "]";
      if (text.starts_with("Tuple")) value = "[\"t\"," + value + "]";
      if (text.starts_with("Map")) value = "{\"k\":" + value + "}";
      expect_none(text, differential.feed_through("{\"n\":1,\"x\":" + value + "}"));
    }
    expect_none(type, differential.feed_through(R"({"n":1}{"n":2})"));
  }
}

// The table of pipeline/encode/README.md.
TEST_F(DifferentialTest, DifferencesThatAreMeant) {
  Client own = client();
  const auto differ = [&](const std::string& columns, const std::string& message) {
    return Differential(own, columns).feed_each({message});
  };
  using ::testing::ElementsAre;
  using ::testing::HasSubstr;
  EXPECT_THAT(differ("x Enum8('a' = 1)", R"({"n":1,"x":null})"),
              ElementsAre(HasSubstr("only we refuse")));
  EXPECT_THAT(differ("x Tuple(a UInt8)", R"({"n":1,"x":{"\x61":1}})"),
              ElementsAre(HasSubstr("ClickHouse: 1\t(1)")));
  const Settings basic = {{"date_time_input_format", "basic"}};
  EXPECT_THAT(
      Differential(own, "x DateTime", basic).feed_each({R"({"n":1,"x":"2024-01-02 03:0x:05"})"}),
      ElementsAre(HasSubstr("only we refuse")));
  EXPECT_THAT(Differential(own, "x DateTime64(3)", basic).feed_each({R"({"n":1,"x":"-5"})"}),
              ElementsAre(HasSubstr("only we refuse")));
  EXPECT_THAT(Differential(own, "x String", {{"precise_float_parsing", "0"}})
                  .feed_each({R"({"n":1,"x":--1})"}),
              ElementsAre(HasSubstr("only ClickHouse refuses")));
  EXPECT_EQ(Differential(own, "x LowCardinality(Float64)").cannot()->column, "x");
  EXPECT_THAT(Differential(own, "x String", {{"input_format_csv_detect_header", "1"}}, "CSV")
                  .feed_each({"n,x"}),
              ElementsAre(HasSubstr("only we refuse")))
      << "the names of the columns are no header";
  EXPECT_THAT(Differential(own, "x Date", {}, "CSV").feed_each({"1,2024,01,02"}),
              ElementsAre(HasSubstr("only we refuse")));
}

class GeneratedRowsTest : public DifferentialTest,
                          public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, GeneratedRowsTest,
                         ::testing::Values("JSONEachRow", "JSONCompactEachRow", "TSV", "CSV"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(GeneratedRowsTest, MeanTheSame) {
  Client own = client();
  const char* minutes = std::getenv("MILLRACE_DIFFERENTIAL_MINUTES");
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::minutes(minutes != nullptr ? std::atoi(minutes) : 0);
  RowGenerator generator(millrace::testing::test_seed(), row_format_of(GetParam()).value());
  std::size_t rows = 0, refused = 0, tables = 0;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const std::size_t all = 50'000;
#else
  const std::size_t all = 200'000;
#endif
  const std::size_t wanted = std::string(GetParam()) == "JSONEachRow" ? all : all / 5;
  constexpr std::size_t kRowsOfTable = 2'000;
  while (rows < wanted || std::chrono::steady_clock::now() < end) {
    const std::string columns = generator.new_table();
    Differential differential(own, columns, generator.settings(), GetParam());
    ASSERT_FALSE(differential.cannot()) << columns << ": " << differential.cannot()->reason;
    std::vector<std::string> messages;
    for (std::size_t n = 0; n < kRowsOfTable; ++n) messages.push_back(generator.message(n));
    std::vector<std::string> differences = differential.feed_together(messages);
    // Codes are compared where texts are chosen: a row of several mistakes has the code of the one
    // that is found first, and each side has an order of its own.
    std::erase_if(differences,
                  [&](const std::string& each) { return each.find("another code") != each.npos; });
    expect_none(columns, differences);
    rows += kRowsOfTable;
    refused += differential.refused();
    ++tables;
    if (HasFailure()) break;
  }
  std::cout << rows << " rows of " << tables << " tables, " << refused << " of them refused"
            << std::endl;
}

}  // namespace
}  // namespace millrace::test
