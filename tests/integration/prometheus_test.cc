// What is made for Prometheus and Grafana, with a real Prometheus that scrapes a real run.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/real_prometheus.h"

namespace millrace::test {
namespace {

class PrometheusTest : public WithServers {
 protected:
  // Rows flow into one table, one of them is refused, and another table is missing.
  void SetUp() override {
    WithServers::SetUp();
    for (const auto& topic : {name(), name() + "_missing"}) {
      kafka().create_topic(topic, 2);
      produce_rows(kafka(), topic, 0, 1000, 2);
    }
    kafka().produce_texts(name(), {R"({"n":"none","text":""})"});
    create_rows_table(clickhouse(), name(), 1000);
    millrace_.start();
    ASSERT_TRUE(has_rows(name(), 1000));
  }
  std::string topics() const { return name() + ", " + name() + "_missing"; }
  // More rows, so that rates are numbers, until all expressions have given one.
  testing::AssertionResult all_have_numbers(const RealPrometheus& prometheus,
                                            std::vector<std::string> expressions) {
    const auto none_left = [&] {
      produce_rows(kafka(), name(), next_, next_ + 100, 2);
      next_ += 100;
      std::erase_if(expressions,
                    [&](const std::string& each) { return prometheus.has_number(each); });
      return expressions.empty();
    };
    auto result = eventually(none_left, kPatience, "every expression has a number");
    for (const std::string& each : expressions) {
      if (!result) result << "\n" << each << "\n  " << prometheus.query(each);
    }
    return result;
  }

  std::uint64_t next_ = 1000;
  Millrace millrace_{folder(),
                     clickhouse_yaml() +
                         "pipelines:\n  - {name: test, batch: {max_age: 100ms}, source: {kafka: "
                         "{brokers: '" +
                         kafka().brokers() + "', group: " + name() + ", topics: [" + topics() +
                         "]}}}\n" + "shutdown: {grace: 1s}\n"};
};

// What Grafana puts in the place of its variables.
std::string replaced(std::string text) {
  for (const auto& [variable, value] :
       {std::pair<std::string, std::string>{"$__rate_interval", "30s"},
        {"$__range", "5m"},
        {"$job", ".*"},
        {"$instance", ".*"},
        {"$pipeline", ".*"},
        {"$table", ".*"}}) {
    for (std::size_t at; (at = text.find(variable)) != std::string::npos;) {
      text.replace(at, variable.size(), value);
    }
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> jq(const std::string& program, const std::filesystem::path& file) {
  const ProgramResult result = run_program({"/usr/bin/jq", "-r", program, file.string()});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  return lines_of(result.output);
}

TEST_F(PrometheusTest, EveryQueryOfTheDashboardHasData) {
  const auto dashboard = project_file("deploy/grafana/millrace.json");
  const RealPrometheus prometheus(folder("prometheus"), {millrace_.port()});
  std::vector<std::string> expressions = jq(".panels[].targets[]?.expr", dashboard);
  EXPECT_GT(expressions.size(), 40u);
  const std::string kVariables =
      R"jq(.templating.list[] | select(.type == "query").definition
           | capture("^label_values\\((?<metric>.*), (?<label>[a-z]+)\\)$")
           | "count by (\(.label)) (\(.metric))")jq";
  for (const std::string& each : jq(kVariables, dashboard)) expressions.push_back(each);
  for (std::string& each : expressions) {
    each = replaced(each);
    EXPECT_EQ(each.find('$'), std::string::npos) << "a variable that nobody knows: " << each;
  }
  EXPECT_TRUE(all_have_numbers(prometheus, expressions));
  const std::string kDataSources =
      R"jq([.panels[] | select(.type != "row") | .datasource.uid, .targets[].datasource.uid]
           | unique[])jq";
  EXPECT_EQ(jq(kDataSources, dashboard), std::vector<std::string>{"${datasource}"});
  millrace_.stop();
}

TEST_F(PrometheusTest, EveryRecordingRuleRecordsAndTheMissingTableIsAnAlert) {
  const auto recording = project_file("deploy/prometheus/recording.yaml");
  const RealPrometheus prometheus(folder("prometheus"), {millrace_.port()},
                                  {recording, project_file("deploy/prometheus/alerts.yaml")});
  std::vector<std::string> expressions;
  for (const std::string& line : lines_of(read_file(recording))) {
    const std::string kRecord = "- record: ";
    const std::size_t at = line.find(kRecord);
    if (at != std::string::npos) expressions.push_back(line.substr(at + kRecord.size()));
  }
  EXPECT_GE(expressions.size(), 7u);
  expressions.push_back("ALERTS{alertname='MillraceLaneWaiting',reason='UNKNOWN_TABLE'}");
  expressions.push_back("ALERTS{alertname='MillraceDeadLetters',alertstate='firing'}");
  EXPECT_TRUE(all_have_numbers(prometheus, expressions));
  millrace_.stop();
}

}  // namespace
}  // namespace millrace::test
