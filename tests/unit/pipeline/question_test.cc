// Answers that are not whole are no answers.
#include "pipeline/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/encode/encode_facts.h"
#include "pipeline/guarantee.h"
#include "pipeline/restart_check.h"
#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMark = "millrace: end of the answer";

// A server that answers all with this.
struct Answering {
  explicit Answering(const std::string& body, ClientOptions options = {})
      : rig(std::vector{answer_all(http_response(200, body))}, std::move(options)) {}
  Client& client() { return rig.client; }
  TransportRig rig;
};

TEST(Question, HasRowsOfUnescapedFields) {
  Answering answering(std::string("a\\tb\t1\n\t\\N\n") + kMark);
  EXPECT_THAT(ask_rows(answering.client(), "SELECT 1", 2),
              ElementsAre(ElementsAre("a\tb", "1"), ElementsAre("", "\\N")));
  Answering none(kMark);
  EXPECT_TRUE(ask_rows(none.client(), "SELECT 1", 2).empty());
  EXPECT_THROW(ask_row(none.client(), "SELECT 1", 2), NetworkError);
}

TEST(Question, IsNotAnsweredWithoutTheMark) {
  for (const char* body : {"", "1\n", "1\n2\nmillrace: end", "<html></html>"}) {
    Answering answering(body, {.trust_status = true});
    const auto error =
        thrown_by<NetworkError>([&] { ask_rows(answering.client(), "SELECT 1", 1); });
    ASSERT_TRUE(error) << body;
    EXPECT_EQ(error->kind(), NetworkError::Kind::kTruncated);
    EXPECT_EQ(error->disposition(), Disposition::kRetry);
    EXPECT_FALSE(error->may_have_been_applied());
    EXPECT_THAT(error->what(), HasSubstr("not whole"));
  }
  for (const char* body : {"1\t2\n", "1"}) {
    Answering answering(std::string(body) + kMark);
    EXPECT_THROW(ask_rows(answering.client(), "SELECT 1", 1), NetworkError) << body;
  }
}

TEST(Question, NothingIsNoNumber) {
  EXPECT_EQ(count_of("17"), 17u);
  EXPECT_EQ(number_of("-1"), -1);
  for (const char* text : {"", "x", "1x", " 1", "\\N", "99999999999999999999"}) {
    EXPECT_THROW(count_of(text), NetworkError) << text;
    EXPECT_THROW(number_of(text), NetworkError) << text;
  }
  EXPECT_THROW(count_of("-1"), NetworkError);
}

// Each question that the pipeline asks, answered with nothing.
TEST(EachQuestion, FailsOnAnEmptyAnswer) {
  Answering answering("");
  Client& client = answering.client();
  TableTarget target;
  target.table = "t";
  target.columns.topic = "t";
  target.columns.partition = "p";
  target.columns.offset = "o";
  const SteadyTime now = std::chrono::steady_clock::now();
  EXPECT_THROW(ask_columns(client, "t"), NetworkError);
  EXPECT_THROW(ask_encode_facts(client, "t", {}), NetworkError);
  EXPECT_THROW(ask_table_facts(client, "t"), NetworkError);
  EXPECT_THROW(ask_granted(client, "INSERT", "t"), NetworkError);
  EXPECT_THROW(exactly_once_guarantees(client, "t", Rows::kCanBeLookedFor), NetworkError);
  EXPECT_THROW(ask_repeat_proof(client, target, now), NetworkError);
  EXPECT_THROW(ask_rows_of_records(client, target, {"group", "topic", 0}, {0, 10}, {}),
               NetworkError);
  EXPECT_THROW(ask_inserts_since(client, "t", now), NetworkError);
}

}  // namespace
}  // namespace millrace::test
