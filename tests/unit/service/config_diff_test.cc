#include "service/config_diff.h"

#include <gmock/gmock.h>

#include "service/config_schema.h"
#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Config config(const std::string& pipeline = "", const std::string& process = "") {
  return parse_config(minimal(pipeline, process), "m.yaml");
}

// "setting: before -> after", with a star when it is live.
std::vector<std::string> changes(const Config& before, const Config& after) {
  std::vector<std::string> texts;
  for (const SettingChange& change : changes_between(before, after))
    texts.push_back(change.setting + ": " + change.before + " -> " + change.after +
                    (change.live ? " *" : ""));
  return texts;
}

TEST(ConfigDiff, TheSameFileHasNoChanges) {
  EXPECT_THAT(changes(config(), config("", "workers: {count: 4}\n")), IsEmpty());
}

TEST(ConfigDiff, NamesEachChangeAndWhetherItIsLive) {
  const Config after = config("    batch: {max_rows: 7}\n    format: CSV\n",
                              "memory: {budget: 1GiB}\nlog: {level: debug}\n");
  EXPECT_THAT(changes(config(), after),
              ElementsAre("memory.budget: 512MiB -> 1GiB", "log.level: info -> debug *",
                          "pipelines.events.format: JSONEachRow -> CSV",
                          "pipelines.events.batch.max_rows: 1000000 -> 7 *"));
}

TEST(ConfigDiff, MapsAreShownAsAWhole) {
  Config after = config();
  after.workers.retry.dispositions = {{60, Disposition::kRetry}, {241, Disposition::kWait}};
  EXPECT_THAT(changes(config(), after),
              ElementsAre("clickhouse.dispositions:  -> 60: retry, 241: wait *"));
}

TEST(ConfigDiff, ASecretThatChangedIsNamedAndNotShown) {
  Config before = config(), after = config();
  before.clickhouse.client.password = "hunter1";
  after.clickhouse.client.password = "hunter2";
  after.pipelines[0].kafka.options = {{"sasl.password", "hunter3"}};
  EXPECT_THAT(changes(before, after),
              ElementsAre("clickhouse.password: <redacted> -> <redacted> *",
                          "pipelines.events.source.kafka.options:  -> sasl.password: <redacted>"));
}

TEST(ConfigDiff, PipelinesThatComeAndGoAndChangePlaces) {
  Config before = config();
  before.pipelines.push_back(before.pipelines[0]);
  before.pipelines[1].name = "old";
  Config after = before;
  after.pipelines[1].name = "new";
  std::swap(after.pipelines[0], after.pipelines[1]);
  EXPECT_THAT(changes(before, after),
              ElementsAre("pipelines.old: there -> removed", "pipelines.new:  -> added"));
}

TEST(ConfigDiff, OnlyLiveSettingsAreTaken) {
  const Config wanted = config("    batch: {max_age: 5s}\n    format: CSV\n",
                               "memory: {budget: 1GiB}\nshutdown: {grace: 3s}\n");
  const Config mixed = with_live_settings(config(), wanted, "m.yaml");
  EXPECT_THAT(changes(config(), mixed), ElementsAre("shutdown.grace: 25s -> 3s *",
                                                    "pipelines.events.batch.max_age: 1s -> 5s *"));
  EXPECT_THAT(changes(mixed, wanted), ElementsAre("memory.budget: 512MiB -> 1GiB",
                                                  "pipelines.events.format: JSONEachRow -> CSV"));
}

TEST(ConfigDiff, ALiveSettingThatNeedsAnotherOneWhichNeedsARestartIsRefused) {
  const Config wanted =
      config("    batch: {target_bytes: 400MiB, max_bytes: 400MiB}\n", "memory: {budget: 2GiB}\n");
  try {
    with_live_settings(config(), wanted, "m.yaml");
    FAIL() << "a block that the running budget has no room for";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("batch.target_bytes"), HasSubstr("restart")));
  }
}

TEST(ConfigDiff, EverySettingCanBeCopied) {
  const auto check = [](const auto& settings, auto to, const auto& from) {
    for (const auto& setting : settings) {
      setting.copy(to, from);
      EXPECT_EQ(setting.get(to), setting.get(from)) << setting.path;
    }
  };
  Config from = config("    tables: {events: other}\n", "admin: {listen: '[::1]:1', token: t}\n");
  check(process_settings(), Config{}, from);
  check(pipeline_settings(), PipelineConfig{}, from.pipelines[0]);
}

}  // namespace
}  // namespace millrace
