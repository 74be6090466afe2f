#include "service/metrics.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "service/json_writer.h"
#include "tests/unit/service/status_test_support.h"

namespace millrace {
namespace {

using testing::HasSubstr;

struct Family {
  std::string type, help;
  std::map<std::string, double> samples;  // by name and labels, as in the text
  std::set<std::string> label_names;
};

// Takes `prefix` off the front of `text`; false when it is not there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string take_name(std::string_view& text) {
  const std::size_t length =
      std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), text.size());
  std::string name(text.substr(0, length));
  text.remove_prefix(length);
  return name;
}

// `{name="value",…}`; the label names go to `names`. False when it is not that.
bool take_labels(std::string_view& text, std::set<std::string>& names) {
  if (!take(text, "{")) return true;
  do {
    if (!names.insert(take_name(text)).second || !take(text, "=\"")) return false;
    while (!text.empty() && text.front() != '"') {
      if (text.front() == '\\') text.remove_prefix(1);
      text.remove_prefix(std::min<std::size_t>(1, text.size()));
    }
    if (!take(text, "\"")) return false;
  } while (take(text, ","));
  return take(text, "}");
}

std::string without_histogram_suffix(std::string name) {
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return name;
}

// Reads the text format strictly: each family once, HELP and TYPE before its samples, every sample
// with the family's name (and a histogram's suffixes) and no series twice.
std::map<std::string, Family> parse_exposition(const std::string& text) {
  std::map<std::string, Family> families;
  std::istringstream lines(text);
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    std::string_view rest = line;
    const bool help = take(rest, "# HELP ");
    if (help || take(rest, "# TYPE ")) {
      current = take_name(rest);
      std::string& field = help ? families[current].help : families[current].type;
      EXPECT_EQ(field, "") << "twice: " << line;
      EXPECT_TRUE(take(rest, " ")) << line;
      field = rest;
      continue;
    }
    Family& family = families[current];
    const std::string name = take_name(rest);
    EXPECT_EQ(family.type == "histogram" ? without_histogram_suffix(name) : name, current);
    std::set<std::string> labels;
    EXPECT_TRUE(take_labels(rest, labels) && take(rest, " ")) << "not the text format: " << line;
    labels.erase("le");
    family.label_names.insert(labels.begin(), labels.end());
    std::size_t used = 0;
    const std::string number(rest), series = line.substr(0, line.size() - rest.size() - 1);
    EXPECT_TRUE(family.samples.emplace(series, std::stod(number, &used)).second) << line;
    EXPECT_EQ(used, number.size()) << line;
  }
  return families;
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t to; (to = text.find(separator, from)) != text.npos;) {
    parts.push_back(text.substr(from, to - from));
    from = to + separator.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

// Name -> {type, labels}, as the reference says.
std::map<std::string, std::pair<std::string, std::set<std::string>>> declared() {
  std::ostringstream reference;
  print_metrics_reference(reference);
  std::map<std::string, std::pair<std::string, std::set<std::string>>> rows;
  for (const std::string& line : split(reference.str(), "\n")) {
    if (!line.starts_with("| `")) continue;
    const std::vector<std::string> cells = split(line, " | ");
    const std::vector<std::string> quoted = split(cells.at(2), "`");
    std::set<std::string> labels;
    for (std::size_t i = 1; i < quoted.size(); i += 2) labels.insert(quoted[i]);
    const std::string name = split(cells.at(0), "`").at(1);
    EXPECT_TRUE(rows.emplace(name, std::pair(cells.at(1), labels)).second) << "twice: " << line;
  }
  return rows;
}

double sample(const std::string& series) {
  for (const auto& [name, family] : parse_exposition(render_metrics(filled_snapshot()))) {
    if (const auto found = family.samples.find(series); found != family.samples.end()) {
      return found->second;
    }
  }
  ADD_FAILURE() << "missing: " << series;
  return -1;
}

TEST(Metrics, EveryDeclaredFamilyIsShownWithItsTypeAndLabels) {
  const auto families = parse_exposition(render_metrics(filled_snapshot()));
  const auto reference = declared();
  EXPECT_GT(reference.size(), 40u);
  EXPECT_EQ(families.size(), reference.size());
  for (const auto& [name, type_and_labels] : reference) {
    ASSERT_TRUE(families.contains(name)) << name;
    const Family& family = families.at(name);
    EXPECT_EQ(family.type, type_and_labels.first) << name;
    EXPECT_EQ(family.label_names, type_and_labels.second) << name;
    EXPECT_FALSE(family.samples.empty()) << name << " is never filled";
  }
}

TEST(Metrics, NamesFollowTheConventionsOfPrometheus) {
  // Units that are no base units, and words that the type says already.
  const std::set<std::string> kNotInNames{
      "ms",    "milliseconds", "us", "microseconds", "ns",        "nanoseconds", "minutes",
      "hours", "days",         "kb", "mb",           "kilobytes", "megabytes",   "percent",
      "count", "sum",          "le", "bucket",       "counter",   "gauge",       "histogram"};
  for (const auto& [name, family] : parse_exposition(render_metrics(filled_snapshot()))) {
    EXPECT_EQ(name.ends_with("_total"), family.type == "counter") << name;
    EXPECT_TRUE(name.starts_with("millrace_") || name.starts_with("process_")) << name;
    EXPECT_TRUE(family.help.ends_with(".")) << name << ": " << family.help;
    for (const std::string& word : split(name, "_")) {
      EXPECT_FALSE(kNotInNames.contains(word)) << name;
    }
  }
}

// Whatever counts a failure says what to do about it, in a sentence.
TEST(Metrics, FailuresSayWhatToDo) {
  std::ostringstream reference;
  print_metrics_reference(reference);
  int advised = 0;
  for (const std::string& line : split(reference.str(), "\n")) {
    if (!line.starts_with("| `")) continue;
    const std::string advice = split(line, " | ").at(4);
    if (advice != " |" && advice != "|") {
      ++advised;
      EXPECT_TRUE(advice.ends_with(". |") || advice.ends_with("? |")) << line;
      continue;
    }
    for (const char* word : {"errors", "failures", "lost", "waiting", "dead", "retries", "timeouts",
                             "ready", "difference"}) {
      EXPECT_EQ(split(line, "|").at(1).find(word), std::string::npos) << line;
    }
  }
  EXPECT_GT(advised, 30);
}

// An offset, a query ID or a session ID as a label makes a new series for ever.
TEST(Metrics, LabelsComeFromTheBoundedSet) {
  const std::set<std::string> allowed{"pipeline", "table", "source", "reason", "code",
                                      "stage",    "kind",  "cause",  "topic",  "partition",
                                      "version",  "build", "column", "format"};
  for (const auto& [name, family] : parse_exposition(render_metrics(filled_snapshot()))) {
    for (const std::string& label : family.label_names) {
      EXPECT_TRUE(allowed.contains(label)) << name << " has label " << label;
      EXPECT_TRUE((label != "topic" && label != "partition") ||
                  name == "millrace_lane_lag_messages" || name == "millrace_lane_position")
          << name;
    }
  }
}

TEST(Metrics, ShowTheNumbersOfTheSnapshot) {
  EXPECT_EQ(sample("millrace_build_info{version=\"1.2.3\",build=\"release\"}"), 1);
  EXPECT_EQ(sample("millrace_ready"), 1);
  EXPECT_EQ(sample("millrace_operations_in_flight{kind=\"insert\"}"), 1);
  EXPECT_EQ(sample("millrace_operations_in_flight{kind=\"query\"}"), 2);
  EXPECT_EQ(sample("millrace_operations_in_flight{kind=\"commit\"}"), 3);
  EXPECT_EQ(sample("millrace_inserted_rows_total{pipeline=\"p\",table=\"db.events\"}"), 1000);
  EXPECT_EQ(sample("millrace_inserted_bytes_total{pipeline=\"p\",table=\"db.events\"}"), 2000);
  EXPECT_EQ(sample("millrace_inserted_blocks_total{pipeline=\"p\",table=\"db.events\"}"), 3);
  EXPECT_EQ(sample("millrace_read_rows_total{pipeline=\"p\",table=\"db.events\"}"), 1100);
  EXPECT_EQ(sample("millrace_read_bytes_total{pipeline=\"p\",table=\"db.events\"}"), 2200);
  EXPECT_EQ(sample("millrace_tombstones_total{pipeline=\"p\",table=\"db.events\"}"), 4);
  EXPECT_EQ(sample("millrace_abandoned_blocks_total{pipeline=\"p\",table=\"db.events\"}"), 5);
  EXPECT_EQ(sample("millrace_retries_total{pipeline=\"p\",table=\"db.events\",code=\"timeout\"}"),
            7);
  EXPECT_EQ(sample("millrace_dead_letters_total{pipeline=\"p\",table=\"db.events\",code=\"CANNOT_"
                   "PARSE_NUMBER\"}"),
            8);
  const std::string of_table = "{pipeline=\"p\",table=\"db.events\",";
  EXPECT_EQ(sample("millrace_encoded_blocks_total" + of_table + "format=\"Native\"}"), 11);
  EXPECT_EQ(sample("millrace_passed_on_total" + of_table + "column=\"v\"}"), 12);
  EXPECT_EQ(sample("millrace_repaired_rows_total{pipeline=\"p\",table=\"db.events\"}"), 10);
  EXPECT_EQ(sample("millrace_unwritten_rows_total{pipeline=\"p\",table=\"db.events\"}"), 9);
  EXPECT_EQ(sample("millrace_ledger_difference_records{pipeline=\"p\"}"), 1);
  EXPECT_EQ(sample("millrace_queued_blocks"), 11);
  EXPECT_EQ(sample("millrace_parked_blocks"), 12);
  EXPECT_EQ(sample("millrace_oldest_block_age_seconds"), 1.5);
  EXPECT_EQ(sample("millrace_budget_used_bytes"), 13);
  EXPECT_EQ(sample("millrace_budget_limit_bytes"), 14);
  EXPECT_EQ(sample("millrace_lanes{pipeline=\"p\"}"), 2);
  EXPECT_EQ(sample("millrace_lanes_paused{pipeline=\"p\"}"), 1);
  EXPECT_EQ(sample("millrace_pipeline_paused{pipeline=\"p\"}"), 1);
  EXPECT_EQ(sample("millrace_config_last_reload_successful"), 0);
  EXPECT_EQ(sample("millrace_config_last_reload_success_timestamp_seconds"), 1'700'000'000);
  EXPECT_EQ(sample("millrace_source_messages_total{pipeline=\"p\",source=\"kafka\"}"), 41);
  EXPECT_EQ(sample("millrace_source_bytes_total{pipeline=\"p\",source=\"kafka\"}"), 42);
  EXPECT_EQ(sample("millrace_source_commits_total{pipeline=\"p\",source=\"kafka\"}"), 43);
  EXPECT_EQ(sample("millrace_source_lost_messages_total{pipeline=\"p\",source=\"kafka\"}"), 44);
  EXPECT_EQ(sample("millrace_source_begun_again_total{pipeline=\"p\",source=\"kafka\"}"), 49);
  EXPECT_EQ(sample("millrace_source_pauses_total{pipeline=\"p\",source=\"kafka\"}"), 45);
  EXPECT_EQ(sample("millrace_http_sessions_open"), 15);
  EXPECT_EQ(sample("millrace_http_sessions_leased"), 9);
  EXPECT_EQ(sample("millrace_http_sessions_idle"), 6);
  EXPECT_EQ(sample("millrace_http_sessions_waiting"), 2);
  EXPECT_EQ(sample("millrace_http_sessions_created_total"), 21);
  EXPECT_EQ(sample("millrace_http_sessions_reused_total"), 22);
  EXPECT_EQ(sample("millrace_http_session_waits_total"), 23);
  EXPECT_EQ(sample("millrace_http_session_wait_seconds_total"), 2.5);
  EXPECT_EQ(sample("millrace_http_connect_failures_total"), 24);
  EXPECT_EQ(sample("millrace_http_acquire_timeouts_total"), 25);
  EXPECT_EQ(sample("millrace_certificate_expiry_timestamp_seconds{kind=\"server\"}"),
            1'800'000'000);
  EXPECT_EQ(sample("millrace_certificate_expiry_timestamp_seconds{kind=\"client\"}"),
            1'900'000'000);
  EXPECT_EQ(sample("process_cpu_seconds_total"), 3.5);
  EXPECT_EQ(sample("process_resident_memory_bytes"), 4096);
  EXPECT_EQ(sample("process_start_time_seconds"), 1.7e9);
}

TEST(Metrics, EnumerationsHaveOneSampleForEachValueEvenBeforeItHappened) {
  for (std::size_t i = 0; i < kCutReasons; ++i) {
    const std::string reason(to_string(static_cast<CutReason>(i)));
    EXPECT_EQ(sample("millrace_cut_blocks_total{pipeline=\"p\",table=\"db.events\",reason=\"" +
                     reason + "\"}"),
              10 + static_cast<double>(i));
  }
  for (std::size_t i = 0; i < kStages; ++i) {
    const std::string stage(to_string(static_cast<Stage>(i)));
    EXPECT_EQ(sample("millrace_stage_seconds_total{pipeline=\"p\",table=\"db.events\",stage=\"" +
                     stage + "\"}"),
              0.5 + static_cast<double>(i));
  }
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    EXPECT_EQ(sample("millrace_limiting_stage{stage=\"" + std::string(to_string(limit)) + "\"}"),
              limit == Limit::kSessionWait ? 1 : 0);
  }
  for (std::size_t i = 0; i < kHttpSessionCloseReasons; ++i) {
    const std::string reason(to_string(static_cast<HttpSessionCloseReason>(i)));
    EXPECT_EQ(sample("millrace_http_sessions_closed_total{reason=\"" + reason + "\"}"),
              30 + static_cast<double>(i));
  }
}

TEST(Metrics, HistogramBucketsAreCumulativeAndEndInInfinity) {
  const std::string labels = "{pipeline=\"p\",table=\"db.events\"";
  const std::string bucket = "millrace_insert_duration_seconds_bucket" + labels + ",le=\"";
  EXPECT_EQ(sample(bucket + "0.1\"}"), 2);
  EXPECT_EQ(sample(bucket + "1\"}"), 2);
  EXPECT_EQ(sample(bucket + "+Inf\"}"), 3);
  EXPECT_EQ(sample("millrace_insert_duration_seconds_count" + labels + "}"), 3);
  EXPECT_EQ(sample("millrace_insert_duration_seconds_sum" + labels + "}"), 12.5);
}

TEST(Metrics, AWaitingLaneSaysWhyAndWhetherSomebodyMustAct) {
  EXPECT_EQ(
      sample("millrace_lanes_waiting{pipeline=\"p\",table=\"db.events\",reason=\"UNKNOWN_TABLE\","
             "kind=\"" +
             std::string(to_string(Disposition::kWait)) + "\"}"),
      1);
}

TEST(Metrics, LagIsShownOnlyWhereTheEndIsKnown) {
  EXPECT_EQ(sample("millrace_lane_lag_messages{pipeline=\"p\",topic=\"events\",partition=\"0\"}"),
            10);
  EXPECT_THAT(
      render_metrics(filled_snapshot()),
      testing::Not(HasSubstr("lag_messages{pipeline=\"p\",topic=\"events\",partition=\"1\"")));
  EXPECT_EQ(sample("millrace_lane_position{pipeline=\"p\",topic=\"events\",partition=\"0\"}"), 90);
}

TEST(Metrics, NotReadyIsZero) {
  StatusSnapshot snapshot = filled_snapshot();
  snapshot.not_ready = {"ClickHouse: connection refused"};
  snapshot.pipelines[0].not_ready = {"broker down"};
  const std::string text = render_metrics(snapshot);
  EXPECT_THAT(text, HasSubstr("\nmillrace_ready 0\n"));
  EXPECT_THAT(text, HasSubstr("\nmillrace_pipeline_ready{pipeline=\"p\"} 0\n"));
}

// One bad byte in a name would make Prometheus refuse the whole page.
TEST(Metrics, HostileNamesKeepThePageReadable) {
  StatusSnapshot snapshot = filled_snapshot();
  snapshot.pipelines[0].name = "a\"b\\c\nd";
  snapshot.pipelines[0].tables[0].table = "\xff\xc0\xaf{}";
  const std::string text = render_metrics(snapshot);
  parse_exposition(text);
  EXPECT_EQ(to_valid_utf8(text), text);
  EXPECT_THAT(text, HasSubstr(R"(pipeline="a\"b\\c\nd")"));
}

TEST(Metrics, AnEmptyProcessCanBeScraped) {
  const auto families = parse_exposition(render_metrics(StatusSnapshot{}));
  EXPECT_EQ(families.size(), declared().size());
}

// METRICS.md is print_metrics_reference, word for word. To write it anew after a change:
// MILLRACE_WRITE_REFERENCE=1 status_test --gtest_filter=Metrics.*
TEST(Metrics, TheReferencePageIsUpToDate) {
  const std::string path = MILLRACE_METRICS_MD;
  std::ostringstream reference;
  print_metrics_reference(reference);
  if (std::getenv("MILLRACE_WRITE_REFERENCE") != nullptr) std::ofstream(path) << reference.str();
  std::ostringstream page;
  page << std::ifstream(path).rdbuf();
  EXPECT_EQ(page.str(), reference.str());
}

}  // namespace
}  // namespace millrace
