#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "service/dead_letters/archive.h"
#include "service/dead_letters/letter_text.h"
#include "service/dead_letters/preparation.h"
#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

using std::chrono::hours;

DeadLetter letter(std::int64_t offset, std::string payload) {
  DeadLetter letter;
  letter.pipeline = "p";
  letter.table = "db.events";
  letter.format = "JSONEachRow";
  letter.group = "g";
  letter.topic = "t";
  letter.partition = 3;
  letter.offset = offset;
  letter.token = "g/t/3/inc/0-9#" + std::to_string(offset) + "-" + std::to_string(offset + 1);
  letter.code = 72;
  letter.reason = "CANNOT_PARSE_NUMBER";
  letter.message = "no \"number\":\t(at row 1)\n";
  letter.attempts = 2;
  letter.time = std::chrono::system_clock::time_point(hours(500'000));
  letter.payload = std::move(payload);
  return letter;
}

void expect_same(const DeadLetter& a, const DeadLetter& b) {
  EXPECT_EQ(a.pipeline, b.pipeline);
  EXPECT_EQ(a.table, b.table);
  EXPECT_EQ(a.format, b.format);
  EXPECT_EQ(a.group, b.group);
  EXPECT_EQ(a.topic, b.topic);
  EXPECT_EQ(a.partition, b.partition);
  EXPECT_EQ(a.offset, b.offset);
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.message, b.message);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.payload, b.payload);
  EXPECT_EQ(a.sent, b.sent);
  EXPECT_EQ(a.replayed, b.replayed);
}

std::string line_of(const DeadLetter& letter) {
  std::string line;
  append_letter(letter, LetterBytes::kStrict, line);
  line.pop_back();
  return line;
}

TEST(LetterText, ComesBackAsItWas) {
  for (const std::string& payload :
       {std::string(R"({"a":"quoted \" and é"})"), std::string(""), std::string("\xff\xfe\0x", 4),
        std::string("two\nlines"), std::string(100'000, 'x')}) {
    DeadLetter written = letter(7, payload);
    written.sent = payload + "!";
    written.replayed = true;
    const std::string line = line_of(written);
    EXPECT_EQ(line.find('\n'), std::string::npos) << "one line";
    const auto read = parse_letter(line);
    ASSERT_TRUE(read) << line;
    expect_same(*read, written);
  }
}

TEST(LetterText, WhatIsNoneIsNothing) {
  for (const char* text : {"", "{", "{}", "[]", "null", "7", R"({"time":"x"})", "no json"}) {
    EXPECT_FALSE(parse_letter(text)) << text;
  }
}

TEST(LetterLog, KeepsTheLastStateOfEachToken) {
  LetterLog log;
  DeadLetter replayed = letter(1, "one");
  replayed.replayed = true;
  log.add(line_of(letter(1, "one")));
  log.add(line_of(letter(2, "two")));
  log.add(line_of(replayed));
  log.add(line_of(letter(1, "one")));  // the repeat of a crash
  log.add("half a li");
  log.add("");
  const DeadLetters found = log.take({.replayed = true});
  ASSERT_EQ(found.letters.size(), 2u);
  EXPECT_EQ(found.letters[0].offset, 1);
  EXPECT_TRUE(found.letters[0].replayed);
  EXPECT_FALSE(found.letters[1].replayed);
  EXPECT_EQ(found.unreadable, 1u);
}

TEST(DeadLetterFilter, MatchesWhatIsAskedFor) {
  DeadLetter one = letter(1, "one");
  EXPECT_TRUE(DeadLetterFilter{}.matches(one));
  EXPECT_TRUE((DeadLetterFilter{.table = "db.events"}.matches(one)));
  EXPECT_FALSE((DeadLetterFilter{.table = "events"}.matches(one)));
  EXPECT_TRUE((DeadLetterFilter{.token = "g/t/3/"}.matches(one)));
  EXPECT_FALSE((DeadLetterFilter{.token = "g/t/4/"}.matches(one)));
  EXPECT_TRUE((DeadLetterFilter{.code = 72}.matches(one)));
  EXPECT_FALSE((DeadLetterFilter{.code = 27}.matches(one)));
  EXPECT_TRUE((DeadLetterFilter{.since = one.time}.matches(one)));
  EXPECT_FALSE((DeadLetterFilter{.since = one.time + hours(1)}.matches(one)));
  EXPECT_FALSE((DeadLetterFilter{.until = one.time}.matches(one)));
  one.replayed = true;
  EXPECT_FALSE(DeadLetterFilter{}.matches(one));
  EXPECT_TRUE((DeadLetterFilter{.replayed = true}.matches(one)));
}

class FileArchiveTest : public ::testing::Test {
 protected:
  FileArchiveTest() {
    std::string name = (std::filesystem::temp_directory_path() / "letters.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileArchiveTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(FileArchiveTest, KeepsWhatIsStored) {
  const auto archive = make_file_archive(folder_ / "letters.jsonl");
  EXPECT_TRUE(archive->read({}).letters.empty()) << "no file yet";
  const std::vector<DeadLetter> letters{letter(1, "one"), letter(2, "\xff")};
  archive->store(letters);
  archive->store({&letters[0], 1});
  const DeadLetters found = archive->read({});
  ASSERT_EQ(found.letters.size(), 2u);
  expect_same(found.letters[0], letters[0]);
  expect_same(found.letters[1], letters[1]);
}

TEST_F(FileArchiveTest, HalfALineOfWhoWasKilledSpoilsNoOther) {
  std::ofstream(folder_ / "letters.jsonl") << line_of(letter(1, "one")) << "\n{\"time\":12";
  const auto archive = make_file_archive(folder_ / "letters.jsonl");
  const DeadLetter two = letter(2, "two");
  archive->store({&two, 1});
  const DeadLetters found = archive->read({});
  ASSERT_EQ(found.letters.size(), 2u);
  EXPECT_EQ(found.letters[1].payload, "two");
  EXPECT_EQ(found.unreadable, 1u);
}

// RLIMIT_FSIZE does what a full disk does: a part is written, then nothing more. Restored at the
// end.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit lower{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(FileArchiveTest, AFullDiskLeavesNothingOfWhatCanNotBeStored) {
  const auto archive = make_file_archive(folder_ / "letters.jsonl");
  const DeadLetter first = letter(1, "one");
  const std::vector<DeadLetter> more{letter(2, std::string(3'000, 'a')),
                                     letter(3, std::string(3'000, 'b'))};
  archive->store({&first, 1});
  const auto size = std::filesystem::file_size(folder_ / "letters.jsonl");
  {
    const FileLimit full(size + 4'000);  // the one fits in, half of the other does
    for (int i = 0; i < 2; ++i) {
      EXPECT_THROW(archive->store(more), std::system_error);
      EXPECT_EQ(std::filesystem::file_size(folder_ / "letters.jsonl"), size);
    }
  }
  archive->store(more);
  const DeadLetters found = archive->read({});
  EXPECT_EQ(found.letters.size(), 3u);
  EXPECT_EQ(found.unreadable, 0u);
}

TEST_F(FileArchiveTest, AnAbortEndsTheWaitForAnothersLock) {
  const std::string path = folder_ / "letters.jsonl";
  const int other = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  const auto archive = make_file_archive(path);
  const DeadLetter one = letter(1, "one");
  auto stored = std::async(std::launch::async, [&] { archive->store({&one, 1}); });
  archive->abort();
  EXPECT_THROW(stored.get(), AbortedError);
  ::close(other);
}

TEST_F(FileArchiveTest, APipeThatNobodyReadsHoldsNobody) {
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto archive = make_file_archive(path);
  const DeadLetter one = letter(1, std::string(1'000'000, 'x'));
  EXPECT_THROW(archive->store({&one, 1}), std::system_error);
}

// A place that comes with the third try.
class LateArchive final : public DeadLetterArchive {
 public:
  void store(std::span<const DeadLetter>) override {}
  std::string name() const override { return "late"; }
  DeadLetters read(const DeadLetterFilter&) override { return {}; }
  void prepare() override {
    if (++tries < 3) throw std::runtime_error("no room");
  }
  std::atomic<int> tries{0};
};

TEST(DeadLetterPreparation, TriesUntilThePlaceIsThere) {
  const auto archive = std::make_shared<LateArchive>();
  std::atomic<int> warnings{0};
  DeadLetterPreparation preparation(
      {archive},
      [&](const LogEvent& event) {
        EXPECT_NE(event.message.find("late: no room"), std::string::npos) << event.message;
        ++warnings;
      },
      std::chrono::milliseconds(1));
  preparation.start();
  while (archive->tries < 3) std::this_thread::yield();
  preparation.stop();
  EXPECT_EQ(archive->tries, 3);
  EXPECT_EQ(warnings, 2);
}

TEST_F(FileArchiveTest, ManyThreadsWriteWholeLines) {
  const auto archive = make_file_archive(folder_ / "letters.jsonl");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const DeadLetter one = letter(t * 100 + i, std::string(5'000, 'x'));
        archive->store({&one, 1});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const DeadLetters found = archive->read({});
  EXPECT_EQ(found.letters.size(), 200u);
  EXPECT_EQ(found.unreadable, 0u);
}

TEST_F(FileArchiveTest, SaysWhichFileCanNotBeWritten) {
  const auto archive = make_file_archive(folder_ / "missing" / "letters.jsonl");
  const DeadLetter one = letter(1, "one");
  try {
    archive->store({&one, 1});
    FAIL() << "nothing was thrown";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("missing/letters.jsonl"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("No such file"), std::string::npos) << error.what();
  }
}

TEST(DeadLettersConfig, IsCheckedForWhatTheStoreNeeds) {
  const auto fault = [](const std::string& letters) {
    return faults_of(minimal("    dead_letters: {" + letters + "}\n"));
  };
  EXPECT_EQ(fault("store: none"), "");
  EXPECT_EQ(fault("store: file, file: /tmp/x"), "");
  EXPECT_EQ(fault("store: kafka, topic: letters"), "");
  EXPECT_EQ(fault("table: db.letters"), "");
  EXPECT_NE(fault("store: file").find("m.yaml:7: pipelines[0].dead_letters.store"),
            std::string::npos)
      << fault("store: file");
  EXPECT_NE(fault("store: kafka").find("dead_letters.topic"), std::string::npos);
  EXPECT_NE(fault("store: kafka, topic: events").find("read by the pipeline itself"),
            std::string::npos);
  EXPECT_NE(fault("store: kafka, topic: 'no topic'").find("not the name of a topic"),
            std::string::npos);
  EXPECT_NE(fault("table: 'a b'").find("not the name of a table"), std::string::npos);
  // What librdkafka refuses of a producer: it shares the options of the source.
  EXPECT_EQ(
      faults_of("clickhouse: {endpoints: [http://h]}\npipelines:\n  - name: x\n    "
                "dead_letters: {store: kafka, topic: l}\n    source:\n      kafka:\n"
                "        {brokers: b, topics: [t],\n         options: {acks: 1}}\n"),
      "m.yaml:8: pipelines[0].source.kafka: for the dead letters: `acks` must be set to `all` "
      "when `enable.idempotence` is true");
  EXPECT_NE(fault("store: disk").find("clickhouse"), std::string::npos);
}

TEST(Dispositions, AreReadByCode) {
  const auto dispositions = [](const std::string& map) {
    std::string yaml = minimal();
    yaml.insert(yaml.find("pipelines:"), "  dispositions: {" + map + "}\n");
    return yaml;
  };
  const Config config = parse_config(dispositions("117: wait, 60: dead_letter"), "m.yaml");
  EXPECT_EQ(
      config.workers.retry.dispositions,
      (std::map<int, Disposition>{{117, Disposition::kWait}, {60, Disposition::kDeadLetter}}));
  EXPECT_NE(faults_of(dispositions("117: drop")).find("retry, wait, split, dead_letter"),
            std::string::npos);
  EXPECT_EQ(
      parse_config(dispositions("HTTP_413: dead_letter"), "m.yaml").workers.retry.dispositions,
      (std::map<int, Disposition>{{-413, Disposition::kDeadLetter}}));
  EXPECT_NE(faults_of(dispositions("HTTP_200: wait")), "");
  EXPECT_NE(faults_of(dispositions("UNKNOWN_TABLE: wait")), "");
  EXPECT_NE(faults_of(dispositions("0: wait")), "");
}

}  // namespace
}  // namespace millrace
