// JSON rows that a worker sends as Native columns: rows that do not fit, and tables that change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/pipeline/fakes.h"
#include "transport/compression.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using testing::FakeLetters;
using ::testing::HasSubstr;
using testing::kQuick;
using testing::make_block;
using testing::make_lane;
using testing::make_target;
using testing::throw_clickhouse_error;

class WorkerEncodeTest : public ::testing::Test {
 protected:
  WorkerEncodeTest() {
    target_->encoding = Encoding::kNative;
    target_->dead_letters = letters_;
    script_->facts.columns = {{"n", "UInt32", "", ""}, {"s", "String", "", ""}};
  }
  // All in one block; returns when its lane is through, or waits.
  void deliver(const std::vector<std::string>& payloads) {
    const auto end = static_cast<std::int64_t>(payloads.size());
    run(payloads, [&] { return lane_->position() == end; });
  }
  void run(const std::vector<std::string>& payloads, const std::function<bool()>& done) {
    const auto end = static_cast<std::int64_t>(payloads.size());
    queue_.make_inlet().push(make_block(budget_, lane_, {0, end}, payloads, target_));
    run_until(done);
  }
  void run_until(const std::function<bool()>& done) {
    Worker worker(0, queue_, std::make_unique<testing::FakeSender>(script_), policy_, budget_,
                  stats_, log_.sink());
    std::thread thread([&] { worker.run(); });
    while (!done()) std::this_thread::yield();
    queue_.close();
    thread.join();
  }
  std::vector<std::string> formats() const {
    std::vector<std::string> all;
    for (const testing::Sent& sent : script_->sent()) all.push_back(sent.format);
    return all;
  }

  ByteBudget budget_{1u << 30};
  RetryPolicy policy_ = kQuick;
  std::shared_ptr<FakeLetters> letters_ = std::make_shared<FakeLetters>();
  std::shared_ptr<LaneProgress> lane_ = make_lane();
  std::shared_ptr<TableTarget> target_ = make_target();
  std::shared_ptr<testing::SendScript> script_ = std::make_shared<testing::SendScript>();
  testing::LogRecorder log_;
  WorkerStats stats_;
  BlockQueue queue_;
};

TEST_F(WorkerEncodeTest, RowsBecomeOneNativeBlockThatNamesItsColumns) {
  deliver({R"({"n":1,"s":"a"})", R"({"s":"b","n":2})"});
  ASSERT_EQ(script_->sent().size(), 1u);
  const testing::Sent sent = script_->sent()[0];
  EXPECT_EQ(sent.format, "Native");
  EXPECT_THAT(sent.columns, ElementsAre("n", "s"));
  const std::string numbers("\1\0\0\0\2\0\0\0", 8), texts("\1a\1b", 4);
  EXPECT_THAT(sent.body, HasSubstr("UInt32" + numbers));
  EXPECT_THAT(sent.body, HasSubstr("String" + texts));
  EXPECT_EQ(sent.token, "g/t/0/inc/0-2");
  EXPECT_EQ(script_->facts_asked, 1u);
  EXPECT_EQ(budget_.used(), 0u);
}

std::string decompressed(Codec codec, std::string_view body) {
  const auto decompressor = Decompressor::make(codec);
  std::string out;
  char piece[4096];
  while (const std::size_t bytes = decompressor->decompress(body, piece, sizeof piece)) {
    out.append(piece, bytes);
  }
  EXPECT_TRUE(decompressor->at_end());
  return out;
}

TEST_F(WorkerEncodeTest, RowsOfAllFormatsBecomeTheSameBlock) {
  std::int64_t end = 0;
  const auto add = [&](const char* format, const std::vector<std::string>& rows) {
    auto target = std::make_shared<TableTarget>(*target_);
    target->format = format;
    queue_.make_inlet().push(make_block(budget_, lane_, {end, end + 2}, rows, target));
    end += 2;
  };
  add("JSONEachRow", {R"({"n":1,"s":"a"})", R"({"n":2,"s":"b"})"});
  add("JSONCompactEachRow", {R"([1,"a"])", R"([2,"b"])"});
  add("TSV", {"1\ta", "2\tb"});
  add("CSV", {"1,\"a\"", "2,b"});
  run_until([&] { return lane_->position() == end; });
  ASSERT_EQ(script_->sent().size(), 4u);
  for (const testing::Sent& sent : script_->sent()) {
    EXPECT_EQ(sent.format, "Native");
    EXPECT_EQ(sent.body, script_->sent()[0].body);
  }
}

TEST_F(WorkerEncodeTest, BodiesAreCompressedWhereTheTargetSaysSo) {
  std::vector<std::string> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(R"({"n":)" + std::to_string(i) + R"(,"s":"same"})");
  queue_.make_inlet().push(make_block(budget_, lane_, {0, 1000}, rows, target_));
  std::int64_t begin = 1000;
  std::vector<std::shared_ptr<TableTarget>> targets;
  for (const BodyCompression how :
       {BodyCompression{Codec::kLz4, 0}, {Codec::kZstd, 0}, {Codec::kZstd, 19}, {Codec::kLz4, 0}}) {
    auto target = targets.emplace_back(std::make_shared<TableTarget>(*target_));
    target->compression = how;
    queue_.make_inlet().push(make_block(budget_, lane_, {begin, begin + 1000}, rows, target));
    begin += 1000;
  }
  run_until([&] { return lane_->position() == begin; });
  const std::vector<testing::Sent> sent = script_->sent();
  ASSERT_EQ(sent.size(), 5u);
  EXPECT_EQ(sent[0].compression, Codec::kNone);
  for (std::size_t i = 1; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].compression, targets[i - 1]->compression.codec);
    EXPECT_LT(sent[i].body.size(), sent[0].body.size() / 2);
    EXPECT_EQ(decompressed(sent[i].compression, sent[i].body), sent[0].body) << i;
  }
  EXPECT_LT(sent[3].body.size(), sent[2].body.size()) << "the level is taken";
}

TEST_F(WorkerEncodeTest, ARowThatDoesNotFitIsADeadLetterAloneAndNothingIsAsked) {
  deliver({R"({"n":1})", R"({"n":"x"})", R"({"n":3})",
           R"({"n":})"
           "x"});
  ASSERT_EQ(script_->sent().size(), 1u);
  EXPECT_EQ(script_->sent()[0].token, "g/t/0/inc/0-4") << "whoever builds it again has the same";
  ASSERT_EQ(letters_->letters.size(), 2u);
  EXPECT_EQ(letters_->letters[0].offset, 1);
  EXPECT_EQ(letters_->letters[0].code, 27);
  EXPECT_THAT(letters_->letters[0].message, HasSubstr("column n"));
  EXPECT_THAT(letters_->letters[0].message, HasSubstr("at byte"));
  EXPECT_EQ(letters_->letters[1].offset, 3);
  EXPECT_EQ(letters_->letters[1].code, 27);
  EXPECT_EQ(target_->stats->rows.value(), 2u);
  EXPECT_EQ(lane_->status().ledger.difference(), 0);
}

TEST_F(WorkerEncodeTest, RowsWithoutNamesAreEncodedToo) {
  target_->format = "JSONCompactEachRow";
  deliver({R"([1,"a"])", R"(["x","b"])", R"([3])", R"([4,"d"])"});
  ASSERT_EQ(script_->sent().size(), 1u);
  EXPECT_EQ(script_->sent()[0].format, "Native");
  EXPECT_THAT(script_->sent()[0].body, HasSubstr(std::string("UInt32\1\0\0\0\4\0\0\0", 14)));
  ASSERT_EQ(letters_->letters.size(), 2u);
  EXPECT_EQ(letters_->letters[0].format, "JSONCompactEachRow");
  EXPECT_EQ(letters_->letters[0].payload, R"(["x","b"])");
  EXPECT_THAT(letters_->letters[0].message, HasSubstr("column n"));
  EXPECT_THAT(letters_->letters[1].message, HasSubstr("at byte 2"));
  EXPECT_EQ(target_->stats->rows.value(), 2u);
}

TEST_F(WorkerEncodeTest, ABlockOfNothingThatFitsIsPutAsideWhole) {
  deliver({"nonsense", R"({"n":[]})"});
  EXPECT_TRUE(script_->sent().empty());
  EXPECT_EQ(letters_->letters.size(), 2u);
}

// Before a row is given up the table is asked whether it has the column by now.
TEST_F(WorkerEncodeTest, AColumnThatWasAddedIsSeenBeforeARowIsGivenUp) {
  run({R"({"n":1})"}, [&] { return lane_->position() == 1; });
  EXPECT_EQ(script_->facts_asked, 1u);
  BlockQueue more;
  script_->facts.columns.push_back({"added", "String", "", ""});
  Worker worker(0, more, std::make_unique<testing::FakeSender>(script_), policy_, budget_, stats_,
                log_.sink());
  more.make_inlet().push(make_block(budget_, lane_, {1, 2}, {R"({"n":2})"}, target_));
  more.make_inlet().push(
      make_block(budget_, lane_, {2, 3}, {R"({"n":3,"added":"x","again":1})"}, target_));
  more.close();
  script_->then([&] { script_->facts.columns.push_back({"again", "UInt8", "", ""}); });
  worker.run();
  EXPECT_TRUE(letters_->letters.empty());
  EXPECT_THAT(script_->sent().back().columns, ElementsAre("n", "added", "again"));
}

TEST_F(WorkerEncodeTest, ATableThatWasAlteredGetsTheSameRowsUnderTheSameToken) {
  script_->then([&] {
    script_->facts.columns = {{"n", "String", "", ""}};
    throw_clickhouse_error(16, "no such column s");
  });
  deliver({R"({"n":1})"});
  ASSERT_EQ(script_->sent().size(), 2u);
  EXPECT_EQ(script_->sent()[1].token, script_->sent()[0].token);
  EXPECT_THAT(script_->sent()[1].columns, ElementsAre("n"));
  EXPECT_TRUE(target_->stats->retries.values().empty()) << "at once, not as a failed attempt";
}

TEST_F(WorkerEncodeTest, ARefusalByATableThatIsAsItWasIsOneOfTheRows) {
  script_->then([] { throw_clickhouse_error(469, "Constraint `c` is violated at row 2."); });
  script_->then([] { throw_clickhouse_error(469, "Constraint `c` is violated at row 1."); });
  deliver({R"({"n":1})", R"({"n":2})"});
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].offset, 1);
}

TEST_F(WorkerEncodeTest, AColumnOfAnUnknownTypeIsNamedAndTheMessagesArePassedOn) {
  script_->facts.columns.push_back({"v", "Variant(String, UInt8)", "", ""});
  deliver({R"({"n":1})", R"({"n":2})"});
  EXPECT_THAT(formats(), ElementsAre("JSONEachRow"));
  EXPECT_EQ(script_->sent()[0].body, "{\"n\":1}\n{\"n\":2}\n");
  EXPECT_EQ(target_->stats->passed_on.values().count("v"), 1u);
  ASSERT_EQ(log_.events().size(), 1u);
  EXPECT_EQ(testing::field(log_.events()[0], "column"), "v");
}

// Whoever says what becomes of a code says it of our refusals, too.
TEST_F(WorkerEncodeTest, ADispositionByCodeHoldsForRowsThatDoNotEncode) {
  policy_.dispositions[117] = Disposition::kDeadLetter;
  policy_.dispositions[72] = Disposition::kWait;
  deliver({R"({"other":1})"});
  ASSERT_EQ(letters_->letters.size(), 1u);
  EXPECT_EQ(letters_->letters[0].code, 117);
}

// As when ClickHouse reads the rows.
TEST_F(WorkerEncodeTest, AFieldWithoutAColumnWaitsForTheColumn) {
  run({R"({"n":1,"other":1})"}, [&] {
    if (lane_->blocked()) script_->add_column({"other", "UInt8", "", ""});
    return lane_->position() == 1;
  });
  EXPECT_TRUE(letters_->letters.empty());
  EXPECT_EQ(target_->stats->retries.values().count("INCORRECT_DATA"), 1u);
  EXPECT_THAT(script_->sent().back().columns, ElementsAre("n", "other"));
}

TEST_F(WorkerEncodeTest, WithoutAPlaceForDeadLettersTheLaneWaits) {
  target_->dead_letters = nullptr;
  run({R"({"n":"x"})"}, [&] { return lane_->blocked(); });
  EXPECT_TRUE(script_->sent().empty());
  EXPECT_EQ(lane_->unfinished(), 1u);
}

}  // namespace
}  // namespace millrace
