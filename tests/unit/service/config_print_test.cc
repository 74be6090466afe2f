#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "service/config_schema.h"
#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

std::string printed(const Config& config) {
  std::ostringstream out;
  print_config(config, out);
  return out.str();
}

// Every setting of both roots as text, so that two configurations can be compared as a whole.
std::string all_values(const Config& config) {
  std::ostringstream out;
  const auto add = [&](const auto& settings, const auto& root) {
    for (const auto& setting : settings)
      for (const auto& entry : setting.get(root))
        out << setting.path << " " << entry.name << "=" << entry.text << "\n";
  };
  add(process_settings(), config);
  for (const PipelineConfig& pipeline : config.pipelines) add(pipeline_settings(), pipeline);
  return out.str();
}

// Values that are hard to write down, and none at its default where another is possible.
Config rich_config() {
  Config config = parse_config(minimal("",
                                       "  - name: more\n"
                                       "    source: {kafka: {brokers: \"b:1,b:2\", topics: "
                                       "[\"^ev.*$\", x]}}\n"
                                       "    tables: {x: 'db.`a b`'}\n"
                                       "    columns: {offset: \"a: {b} # c\"}\n"),
                               "m.yaml");
  config.clickhouse.client.user = "${not} a 'variable' \"here\"";
  config.clickhouse.client.settings = {{"a", "1"}, {"b", "true"}, {"c", ""}, {"d", "colon:"}};
  config.clickhouse.insert_settings = {{"x", "null"}, {"y", "line\nline\t\x01 end"}};
  config.clickhouse.client.session_policy = ClickHouseSessionPolicy::kNone;
  config.clickhouse.pool.max_age = std::chrono::milliseconds(0);
  config.clickhouse.pool.connect_timeout = std::chrono::milliseconds(1'234);
  config.memory.budget_bytes = 600'000'001;
  config.admin = {.host = "::1", .port = 0};
  config.pipelines[0].kafka.tombstones = Tombstones::kEmptyPayload;
  config.pipelines[0].kafka.options = {{"client.id", "- dash: x"}, {"client.rack", "~"}};
  config.pipelines[0].batch.max_age = std::chrono::milliseconds(90'000);
  return config;
}

TEST(PrintConfig, IsAFileThatReadsAsTheSameConfiguration) {
  const Config config = rich_config();
  const std::string text = printed(config);
  SCOPED_TRACE(text);
  const Config again = parse_config(text, "printed.yaml");
  EXPECT_EQ(all_values(again), all_values(config));
}

TEST(PrintConfig, ShowsDefaultsUnderTheirSections) {
  const std::string text = printed(parse_config(minimal(), "m.yaml"));
  EXPECT_EQ(text.substr(0, text.find("workers:")), R"(clickhouse:
  endpoints: [http://127.0.0.1:8123/]
  user: default
  password: ""
  database: default
  settings: {}
  insert_settings: {}
  session:
    policy: per_client
    timeout: 1m
  dispositions: {}
  request_timeout: 5m
  proof_header: ""
  trust_status: "false"
  pool:
    soft_limit: 32
    hard_limit: 64
    store_limit: 32
    acquire_timeout: 10s
    connect_timeout: 5s
    idle_timeout: 1m
    max_age: 10m
    tcp_keep_alive: 30s
    tcp_user_timeout: 30s
  tls:
    ca_cert: ""
    client_cert: ""
    client_cert_key: ""
    server_host_name: ""
    verify: "true"
)");
  EXPECT_NE(text.find("pipelines:\n  - name: events\n    source:\n      kafka:\n        brokers: "
                      "127.0.0.1:9092\n"),
            std::string::npos)
      << text;
}

TEST(PrintConfig, NeverShowsASecret) {
  Config config = rich_config();
  config.clickhouse.client.password = "hunter2";
  config.clickhouse.insert_settings["s3_access_key"] = "hunter2";
  config.pipelines[0].kafka.options = {{"sasl.password", "hunter2"},
                                       {"ssl.key.pem", "hunter2"},
                                       {"sasl.oauthbearer.config", "secret=hunter2"}};
  const std::string text = printed(config);
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_NE(text.find("password: \"<redacted>\"\n"), std::string::npos) << text;
  EXPECT_EQ(faults_of(text), "");
}

TEST(Schema, EverySettingHasAPathOfItsOwnATypeAndASentenceOfHelp) {
  std::set<std::string> paths;
  const auto check = [&](const auto& settings) {
    for (const auto& setting : settings) {
      EXPECT_TRUE(paths.insert(setting.path).second) << setting.path << " is declared twice";
      EXPECT_FALSE(setting.type.empty()) << setting.path;
      EXPECT_GT(setting.help.size(), 15u) << setting.path;
      EXPECT_TRUE(setting.help.ends_with('.')) << setting.path << ": " << setting.help;
    }
  };
  check(process_settings());
  check(pipeline_settings());
  EXPECT_TRUE(paths.contains("clickhouse.pool.hard_limit"));
  EXPECT_TRUE(paths.contains("source.kafka.brokers"));
}

TEST(Schema, DefaultsAreWithinTheirOwnBounds) {
  const auto check = [](const auto& settings, auto root) {
    for (const auto& setting : settings) {
      if (setting.required || setting.shape != SettingShape::kScalar) continue;
      EXPECT_NO_THROW(setting.put(root, setting.get(root).front())) << setting.path;
    }
  };
  check(process_settings(), Config{});
  check(pipeline_settings(), PipelineConfig{});
}

TEST(Reference, IsCurrent) {
  std::ostringstream wanted;
  print_config_reference(wanted);
  std::ifstream file(MILLRACE_CONFIGURATION_MD);
  std::ostringstream found;
  found << file.rdbuf();
  EXPECT_TRUE(found.str() == wanted.str())
      << "write it again: millrace config-reference > service/CONFIGURATION.md";
}

}  // namespace
}  // namespace millrace
