#include "service/config_reload.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/support/eventually.h"
#include "tests/support/files.h"
#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

class Reload : public testing::Test {
 protected:
  void write(const std::string& yaml) { test::write_file(file_, yaml); }
  void make(std::chrono::milliseconds secrets_interval = 1h) {
    ConfigFile file = read_config_file(file_);
    Config config = parse_config(file.text, file.name);
    reloader_ = std::make_unique<ConfigReloader>(
        std::move(config), std::move(file),
        [this](const Config& before, const Config& after) {
          if (refuse_) throw std::runtime_error("no");
          const MutexLock lock(mutex_);
          for (const SettingChange& each : changes_between(before, after))
            applied_.push_back(each.setting);
          password_ = after.clickhouse.client.password;
        },
        [this](const LogEvent& event) {
          const MutexLock lock(mutex_);
          log_ += event.message + "\n";
          for (const auto& [name, value] : event.fields) log_ += name + "=" + value + "\n";
        },
        secrets_interval);
  }
  std::vector<std::string> applied() {
    const MutexLock lock(mutex_);
    return applied_;
  }
  std::string password() {
    const MutexLock lock(mutex_);
    return password_;
  }
  std::string log() {
    const MutexLock lock(mutex_);
    return log_;
  }
  bool password_becomes(const std::string& wanted) {
    return test::eventually([&] { return password() == wanted; }, test::kPatience, wanted);
  }

  const test::TempDir folder_;
  const std::filesystem::path file_ = folder_ / "m.yaml", secret_ = folder_ / "secret";
  bool refuse_ = false;
  Mutex mutex_;
  std::vector<std::string> applied_ GUARDED_BY(mutex_);
  std::string password_ GUARDED_BY(mutex_), log_ GUARDED_BY(mutex_);
  std::unique_ptr<ConfigReloader> reloader_;  // last: it uses all of the above
};

TEST_F(Reload, TakesWhatCanChangeAndNamesTheRestUntilARestart) {
  write(minimal());
  make();
  write(minimal("    batch: {max_rows: 7}\n", "memory: {budget: 1GiB}\n"));
  const ReloadResult result = reloader_->reload();
  EXPECT_EQ(
      to_json(result),
      R"({"applied":[{"setting":"pipelines.events.batch.max_rows","before":"1000000","after":"7"}],)"
      R"("needs_restart":[{"setting":"memory.budget","before":"512MiB","after":"1GiB"}]})");
  EXPECT_THAT(applied(), ElementsAre("pipelines.events.batch.max_rows"));
  EXPECT_THAT(log(), AllOf(HasSubstr("applied=pipelines.events.batch.max_rows: 1000000 -> 7"),
                           HasSubstr("needs_restart=memory.budget: 512MiB -> 1GiB")));
  // Once more: what was applied is in effect, what was not still is not.
  const ReloadResult again = reloader_->reload();
  ASSERT_THAT(again.changes, SizeIs(1));
  EXPECT_EQ(again.changes[0].setting, "memory.budget");
  EXPECT_TRUE(reloader_->state().last_successful);
}

TEST_F(Reload, AFileWithAFaultChangesNothingAndSaysWhere) {
  write(minimal());
  make();
  const auto before = reloader_->state();
  write(minimal("    batch: {max_rows: 7}\n", "worker: {count: 2}\n"));
  const ReloadResult result = reloader_->reload();
  ASSERT_THAT(result.faults, SizeIs(1));
  EXPECT_THAT(result.faults[0],
              AllOf(HasSubstr(file_.string() + ":8: "), HasSubstr("did you mean \"workers\"?")));
  EXPECT_THAT(to_json(result), HasSubstr("{\"errors\":["));
  EXPECT_THAT(log(), HasSubstr("did you mean"));
  EXPECT_THAT(applied(), IsEmpty());
  EXPECT_FALSE(reloader_->state().last_successful);
  EXPECT_EQ(reloader_->state().last_success, before.last_success);

  write(minimal());
  EXPECT_THAT(reloader_->reload().faults, IsEmpty());
  EXPECT_TRUE(reloader_->state().last_successful);
}

TEST_F(Reload, AFileThatIsGoneChangesNothing) {
  write(minimal());
  make();
  std::filesystem::remove(file_);
  EXPECT_THAT(reloader_->reload().faults, ElementsAre(HasSubstr("cannot be read")));
}

TEST_F(Reload, WhatCouldNotBeAppliedIsNotTakenForDone) {
  write(minimal());
  make();
  write(minimal("    batch: {max_rows: 7}\n"));
  refuse_ = true;
  EXPECT_THAT(reloader_->reload().faults, ElementsAre("no"));
  refuse_ = false;
  EXPECT_THAT(reloader_->reload().changes, SizeIs(1));
}

class Secrets : public Reload {
 protected:
  std::string with_secret(const std::string& more = "") {
    return "clickhouse:\n  endpoints: [http://127.0.0.1:8123]\n  password: ${file:" +
           secret_.string() + "}\n" + minimal().substr(minimal().find("pipelines:")) + more;
  }
};

TEST_F(Secrets, ARotatedSecretIsTakenByItself) {
  test::write_file(secret_, "first\n");
  write(with_secret());
  make(5ms);
  reloader_->start();
  test::write_file(secret_, "second\n");
  EXPECT_TRUE(password_becomes("second"));
  EXPECT_THAT(log(), AllOf(HasSubstr("clickhouse.password: <redacted> -> <redacted>"),
                           Not(HasSubstr("second"))));
}

// Kubernetes: secret -> ..data/secret, ..data -> folder of the version.
TEST_F(Secrets, AVolumeWhoseLinkIsSwappedIsSeen) {
  namespace fs = std::filesystem;
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(folder_ / version);
    test::write_file(folder_ / version / "secret", version);
  }
  fs::create_directory_symlink("v1", folder_ / "..data");
  fs::create_symlink("..data/secret", secret_);
  write(with_secret());
  make(5ms);
  reloader_->start();
  fs::create_directory_symlink("v2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(password_becomes("v2"));
}

TEST_F(Secrets, AnEditOfTheFileWaitsForAReload) {
  test::write_file(secret_, "first");
  write(with_secret());
  make(5ms);
  write(with_secret("log: {level: debug}\n"));
  test::write_file(secret_, "second");
  reloader_->start();
  ASSERT_TRUE(password_becomes("second"));
  EXPECT_THAT(applied(), ElementsAre("clickhouse.password"));
}

TEST_F(Secrets, AFileThatIsGoneLeavesTheLastContentInEffect) {
  test::write_file(secret_, "first");
  write(with_secret());
  make(5ms);
  std::filesystem::remove(secret_);
  reloader_->start();
  ASSERT_TRUE(test::eventually([&] { return log().find(secret_.string()) != std::string::npos; },
                               test::kPatience, "the log names the file"));
  EXPECT_THAT(applied(), IsEmpty());
  test::write_file(secret_, "second");
  EXPECT_TRUE(password_becomes("second"));
}

}  // namespace
}  // namespace millrace
