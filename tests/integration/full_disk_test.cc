// A ClickHouse whose disk is full: answers are whole or errors, never a part that is believed.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <fstream>

#include "pipeline/encode/encode_facts.h"
#include "pipeline/guarantee.h"
#include "pipeline/question.h"
#include "pipeline/restart_check.h"
#include "tests/integration/clickhouse_only.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kManyRows = 1'000'000;  // 6.6 MiB of text
constexpr const char* kMany = "SELECT number FROM numbers(1000000)";

// A server on a file system of its own.
class FullDisk : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    disk_ = std::make_unique<Disk>();
    if (!disk_->mounted) return;
    server_ =
        std::make_unique<RealClickHouse>(RealClickHouse::Options{.folder = disk_->folder / "disk"});
    server_->start();
    server_->query(
        "CREATE TABLE t (n UInt64, topic String, partition UInt32, offset UInt64) "
        "ENGINE = MergeTree ORDER BY n");
    disk_->fill();
  }
  static void TearDownTestSuite() {
    server_.reset();
    disk_.reset();
  }
  void SetUp() override {
    if (!disk_->mounted) GTEST_SKIP() << "a file system can be mounted by root only";
    client_.emplace(ClientOptions{.host = "127.0.0.1", .port = server_->port()});
  }
  static bool truncated(const NetworkError& error) {
    return error.kind() == NetworkError::Kind::kTruncated;
  }

  std::optional<Client> client_;

 private:
  struct Disk {
    Disk() {
      std::filesystem::create_directories(folder / "disk");
      mounted = ::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", 0, "size=100m") == 0;
    }
    ~Disk() {
      if (mounted) ::umount2((folder / "disk").c_str(), MNT_DETACH);
    }
    Disk(const Disk&) = delete;
    void fill() const {
      for (const std::size_t size : {std::size_t{1} << 20, std::size_t{1} << 12}) {
        std::ofstream file(folder / "disk" / ("fill" + std::to_string(size)), std::ios::binary);
        const std::string block(size, 'x');
        while (file.write(block.data(), static_cast<std::streamsize>(size)).flush()) {
        }
      }
    }
    TempDir folder{"full_disk"};
    bool mounted = false;
  };
  static inline std::unique_ptr<Disk> disk_;
  static inline std::unique_ptr<RealClickHouse> server_;
};

TEST_F(FullDisk, SmallAnswersNeverTouchIt) {
  EXPECT_EQ(client_->raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(client_->command("SELECT 1"), "1");
  EXPECT_EQ(client_->describe_table("t").size(), 4u);
  EXPECT_EQ(client_->raw_query("SELECT 1 WHERE 0"), "");
}

TEST_F(FullDisk, LargeResultsAreWhole) {
  QuerySummary summary;
  const std::string rows = client_->raw_query(kMany, {.summary = &summary});
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), static_cast<std::ptrdiff_t>(kManyRows));
  EXPECT_EQ(summary.result_rows, kManyRows);
  const std::string binary = client_->raw_query(kMany, {.format = "RowBinary"});
  EXPECT_EQ(binary.size(), 8 * kManyRows);
  std::size_t streamed = 0;
  RawStream stream = client_->raw_stream(kMany, {.format = "RowBinary"});
  while (const auto piece = stream.next_chunk()) streamed += piece->size();
  EXPECT_EQ(streamed, 8 * kManyRows);
}

TEST_F(FullDisk, ResultsBeyondTheLimitAreAnError) {
  ClientOptions small = client_->options();
  small.max_response_bytes = 100'000;
  EXPECT_THROW(Client(small).raw_query(kMany), ResultTooLargeError);
}

// The caller wants them buffered on the disk all the same.
TEST_F(FullDisk, ResultsThatAreCutAreAnError) {
  for (const Settings& settings :
       {Settings{{"buffer_size", "0"}}, Settings{{"http_response_buffer_size", "1"}},
        Settings{{"http_response_buffer_size", "2000000"}}}) {
    try {
      client_->raw_query(kMany, {.settings = settings});
      ADD_FAILURE() << "it was believed with " << settings.begin()->first;
    } catch (const NetworkError& error) {
      EXPECT_TRUE(truncated(error)) << error.what();
    }
  }
  RawStream stream = client_->raw_stream("SELECT 1", {.settings = {{"wait_end_of_query", "1"}}});
  EXPECT_THROW(while (stream.next_chunk()){}, NetworkError);
}

TEST_F(FullDisk, QuestionsOfThePipelineAreAnswered) {
  const SteadyTime now = std::chrono::steady_clock::now();
  TableTarget target;
  target.table = "t";
  target.columns.topic = "topic";
  target.columns.partition = "partition";
  target.columns.offset = "offset";
  EXPECT_EQ(ask_columns(*client_, "t").size(), 4u);
  EXPECT_EQ(ask_row(*client_, "SELECT 7, 'a\tb'", 2), (AnswerRow{"7", "a\tb"}));
  EXPECT_EQ(ask_granted(*client_, "INSERT", "t"), true);
  EXPECT_TRUE(ask_table_facts(*client_, "t").has_value());
  EXPECT_FALSE(ask_table_facts(*client_, "missing").has_value());
  EXPECT_TRUE(ask_rows_of_records(*client_, target, {"group", "topic", 0}, {0, 10}, {}).empty());
  EXPECT_EQ(ask_inserts_since(*client_, "t", now).of_table, 0u);
  EXPECT_FALSE(ask_encode_facts(*client_, "t", {}).columns.empty());
  // Under settings that send the answer to the disk there is none.
  EXPECT_THROW(ask_rows(*client_, "SELECT 1", 1, {.settings = {{"buffer_size", "0"}}}),
               NetworkError);
}

TEST_F(FullDisk, AnInsertIsRefused) {
  try {
    client_->raw_insert("t", "1\ta\t0\t0\n", {.format = "TSV"});
    ADD_FAILURE() << "there is room for it";
  } catch (const ClickHouseError& error) {
    EXPECT_NE(error.disposition(), Disposition::kSplit) << error.what();
  }
}

}  // namespace
}  // namespace millrace::test
