// Every folder of tests/cases through the program: what users reported, as files.
#include <gtest/gtest.h>

#include "tests/integration/case_files.h"
#include "tests/integration/servers.h"

namespace millrace::test {
namespace {

class CasesTest : public WithServers, public testing::WithParamInterface<std::string> {
 protected:
  // Topic, table and group of the case.
  static std::string case_name() { return "case_" + GetParam(); }

  Case load() const {
    return Case(project_file("tests/cases") / GetParam(), {{"CASE", case_name()},
                                                           {"CLICKHOUSE", clickhouse().url()},
                                                           {"KAFKA", kafka().brokers()},
                                                           {"FOLDER", work_folder().string()}});
  }
  std::filesystem::path work_folder() const { return folder(case_name()); }

  static void produce(const Case& wanted) {
    auto next = wanted.messages.begin();
    kafka().produce(case_name(), [&](KafkaMessage& message) {
      if (next == wanted.messages.end()) return false;
      message = *next++;
      return true;
    });
  }

  static std::string rows(const Case& wanted) {
    if (wanted.rows_sql.empty()) return {};
    try {
      return clickhouse().query(wanted.rows_sql) + "\n";
    } catch (const QueryFailed& error) {
      return error.what();
    }
  }

  // Offset, code and message of the letters of the case, one a line.
  static std::string letters() {
    try {
      return clickhouse().query(
          "SELECT offset, code, message FROM millrace_dead_letters FINAL WHERE topic = '" +
          case_name() + "' ORDER BY partition, offset");
    } catch (const QueryFailed&) {
      return {};  // no letter so far, no table
    }
  }
  static testing::AssertionResult has_letters(const Case& wanted) {
    const std::string found = letters();
    std::istringstream lines(found);
    std::string line;
    for (const ExpectedLetter& letter : wanted.letters) {
      if (!std::getline(lines, line) ||
          !line.starts_with(letter.offset + "\t" + letter.code + "\t") ||
          line.find(letter.message) == std::string::npos) {
        return testing::AssertionFailure() << "no letter " << letter.offset << " " << letter.code
                                           << " " << letter.message << " among:\n"
                                           << found;
      }
    }
    if (std::getline(lines, line))
      return testing::AssertionFailure() << "a letter too many: " << line;
    return testing::AssertionSuccess();
  }

  // The first of `parts` that `text` lacks.
  static std::string missing(const std::vector<std::string>& parts, const std::string& text) {
    for (const std::string& part : parts) {
      if (text.find(part) == std::string::npos) return part;
    }
    return {};
  }
};

TEST_P(CasesTest, EndsAsItsFilesSay) {
  const Case wanted = load();
  for (const std::string& statement : wanted.statements) clickhouse().query(statement);
  kafka().create_topic(case_name(), 1);
  produce(wanted);
  Millrace millrace(work_folder(), wanted.config);
  if (wanted.check_code) {
    const ProgramResult check = run_program(
        {built_program("millrace").string(), "check", "-c", millrace.config_file().string()});
    EXPECT_EQ(check.exit_code, *wanted.check_code) << check.output;
    EXPECT_EQ(missing(wanted.check, check.output), "") << check.output;
  }
  millrace.start();
  EXPECT_TRUE(eventually([&] { return rows(wanted) == wanted.rows; }, kPatience, "the rows"))
      << rows(wanted);
  EXPECT_TRUE(eventually([&] { return bool(has_letters(wanted)); }, kPatience, "the dead letters"))
      << has_letters(wanted).message();
  EXPECT_TRUE(eventually([&] { return missing(wanted.log, millrace.log()).empty(); }, kPatience,
                         "in the log: " + missing(wanted.log, millrace.log())));
  EXPECT_TRUE(
      eventually([&] { return missing(wanted.status, millrace.get("/status").body).empty(); },
                 kPatience, "in /status"))
      << missing(wanted.status, millrace.get("/status").body) << "\n"
      << millrace.get("/status").body;
  EXPECT_EQ(millrace.stop(), wanted.exit_code);
  // Nothing more has come.
  EXPECT_EQ(rows(wanted), wanted.rows);
  EXPECT_TRUE(has_letters(wanted));
  for (const std::string& part : wanted.log_without) {
    EXPECT_EQ(millrace.log().find(part), std::string::npos) << part;
  }
}

INSTANTIATE_TEST_SUITE_P(Reports, CasesTest, testing::ValuesIn(case_names()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace millrace::test
