// No answer is believed without proof: what is not ClickHouse's, and what is not the whole.
#include "transport/answer_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/transport/transport_rig.h"
#include "transport/http_exchange.h"

namespace millrace::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

HttpResponseHead head_of(Headers fields) {
  HttpResponseHead head;
  head.status = 200;
  head.headers = std::move(fields);
  return head;
}

TEST(AnswerProof, IsTheIdOfOurQueryOrASummary) {
  EXPECT_TRUE(is_proven(head_of({{"X-ClickHouse-Query-Id", "a"}}), "a", {}));
  EXPECT_FALSE(is_proven(head_of({{"X-ClickHouse-Query-Id", "b"}}), "a", {}));
  EXPECT_TRUE(is_proven(head_of({{"X-ClickHouse-Query-Id", "b"}}), "", {}));
  EXPECT_TRUE(is_proven(head_of({{"X-ClickHouse-Summary", "{}"}}), "a", {}));
  EXPECT_FALSE(is_proven(head_of({}), "a", {}));
  EXPECT_FALSE(is_proven(head_of({{"X-ClickHouse-Timezone", "UTC"}}), "", {}));
}

TEST(AnswerProof, APageOfClickHousesOwnIsNone) {
  const Headers page{{"X-ClickHouse-Summary", "{}"}, {"Content-Type", "text/html; charset=UTF-8"}};
  EXPECT_FALSE(is_proven(head_of(page), "a", {}));
}

TEST(AnswerProof, CanBeInAnotherField) {
  const ProofRules rules{.header = "ETag"};
  EXPECT_TRUE(is_proven(head_of({{"etag", "W/\"a\""}}), "a", rules));
  EXPECT_FALSE(is_proven(head_of({{"ETag", "b"}}), "a", rules));
  EXPECT_FALSE(is_proven(head_of({{"X-ClickHouse-Query-Id", "a"}}), "a", rules));
}

TEST(AnswerProof, AnUnknownAnswerIsShownOnOneLineOfPrintableCharacters) {
  const auto head = head_of({{"Content-Type", "text/html"}, {"Server", "nginx"}});
  EXPECT_EQ(not_clickhouse_text("http://h:1", head, "<h1>\r\nHi\x1b[2J\xff", {}),
            "what answers at http://h:1 is not ClickHouse: 200 text/html (nginx), "
            "\"<h1>\\nHi\\x1b[2J?\", without our X-ClickHouse-Query-Id");
  EXPECT_THAT(not_clickhouse_text("http://h:1", head_of({}), "", {}),
              HasSubstr("ClickHouse: 200, an empty body"));
  EXPECT_LT(not_clickhouse_text("http://h:1", head, std::string(10'000, 'x'), {}).size(), 400u);
}

std::string missing_of(Headers fields, std::string_view body, bool is_query = true) {
  ResultCheck check(head_of(std::move(fields)), is_query);
  check.received(body);
  return check.missing();
}

TEST(ResultCheck, ComparesRowsWithBytesAndLines) {
  const std::string rows = R"({"result_rows":"2","result_bytes":"9"})";
  const auto with = [&](const char* format) {
    return Headers{{"X-ClickHouse-Summary", rows}, {"X-ClickHouse-Format", format}};
  };
  EXPECT_THAT(missing_of(with("TSV"), ""), HasSubstr("no byte of the 2 rows"));
  EXPECT_THAT(missing_of(with("TabSeparatedRaw"), "1\n2"), HasSubstr("1 lines of the 2 rows"));
  EXPECT_EQ(missing_of(with("TSV"), "1\n2\n"), "");
  EXPECT_EQ(missing_of(with("CSVWithNames"), "a\n1\n2\n"), "");
  EXPECT_THAT(missing_of(with("RowBinary"), ""), HasSubstr("no byte"));
  EXPECT_EQ(missing_of(with("RowBinary"), "x"), "");
  EXPECT_EQ(missing_of(with("Null"), ""), "");
  const Headers insert{{"X-ClickHouse-Summary", rows}};
  EXPECT_EQ(missing_of(insert, "", false), "");
  EXPECT_THAT(missing_of(insert, ""), HasSubstr("no byte"));
  EXPECT_EQ(missing_of({}, ""), "");
}

// What something else than ClickHouse answers for a while.
struct Foreign {
  const char* name;
  std::string response;
};

class AForeignAnswer : public testing::TestWithParam<Foreign> {
 protected:
  TransportRig rig_{std::vector{answer_all(GetParam().response)}};
};

TEST_P(AForeignAnswer, IsNeverASuccess) {
  Client& client = rig_.client;
  const auto refused = [&](const char* call, auto&& what) {
    const auto error = thrown_by<NotClickHouseError>(what);
    ASSERT_TRUE(error) << call;
    EXPECT_THAT(error->what(), AllOf(HasSubstr("what answers at http://127.0.0.1:"),
                                     HasSubstr(" is not ClickHouse: 200")))
        << call;
    EXPECT_EQ(error->name(), "NOT_CLICKHOUSE");
    EXPECT_EQ(error->http_status(), 200);
    EXPECT_EQ(error->disposition(), Disposition::kWait);
    EXPECT_TRUE(error->may_have_been_applied());
  };
  refused("insert", [&] { client.raw_insert("t", "1\n", {.format = "TSV"}); });
  refused("streamed insert",
          [&] { client.raw_insert("t", PushSource([](BodyWriter& out) { out.write("1"); }), {}); });
  refused("query", [&] { client.raw_query("SELECT 1"); });
  refused("stream", [&] { client.raw_stream("SELECT 1"); });
  refused("command", [&] { client.command("CREATE TABLE t (x UInt8) ENGINE = Memory"); });
  refused("describe", [&] { client.describe_table("t"); });
  refused("version", [&] { client.server_version(); });
  EXPECT_FALSE(client.is_alive());
  EXPECT_THROW(client.ping(), NetworkError);
  EXPECT_EQ(rig_.pool.stats().idle, 1u) << "only what answered the last ping whole";
}

INSTANTIATE_TEST_SUITE_P(
    All, AForeignAnswer,
    testing::Values(
        Foreign{"Page",
                foreign_response("<html>maintenance</html>", "Content-Type: text/html\r\n")},
        Foreign{"Empty", foreign_response("")}, Foreign{"Ok", foreign_response("OK")},
        Foreign{"OfAnotherQuery", foreign_response("", "X-ClickHouse-Query-Id: another\r\n")},
        Foreign{"ClickHousesPlayPage", foreign_response("<!DOCTYPE html>",
                                                        "Content-Type: text/html; charset=UTF-8\r\n"
                                                        "X-ClickHouse-Summary: {}\r\n")}),
    [](const auto& each) { return each.param.name; });

TEST(TrustedStatus, BelievesWhatLooksLikeAnAnswer) {
  const ClientOptions trusting{.trust_status = true};
  const auto insert = [](TransportRig& rig) {
    rig.client.raw_insert("t", "1\n", {.format = "TSV"});
  };
  TransportRig empty(std::vector{answer_all(foreign_response(""))}, trusting);
  EXPECT_NO_THROW(insert(empty));
  EXPECT_EQ(empty.client.raw_query("SELECT 1"), "");
  TransportRig ok(std::vector{answer_all(foreign_response("OK"))}, trusting);
  EXPECT_THROW(insert(ok), NotClickHouseError);
  EXPECT_EQ(ok.client.raw_query("SELECT 1"), "OK");
  TransportRig page(std::vector{answer_all(foreign_response("", "Content-Type: text/html\r\n"))},
                    trusting);
  EXPECT_THROW(insert(page), NotClickHouseError);
  EXPECT_THROW(page.client.raw_query("SELECT 1"), NotClickHouseError);
}

TEST(ProofHeader, IsAskedForAndExpected) {
  TransportRig rig(std::vector{answer_all(http_response(200, "", "ETag: mine\r\n"))},
                   {.proof_header = "ETag"});
  rig.client.raw_insert("t", "", {.query_id = "mine"});
  EXPECT_THROW(rig.client.raw_insert("t", "", {.query_id = "other"}), NotClickHouseError);
  EXPECT_THROW(rig.client.raw_query("SELECT 1", {.settings = {{"http_response_headers", "{}"}}}),
               UsageError);
  rig.pool.close_connections();
  EXPECT_EQ(parameter(rig.server.wait_ended(0).headers, "http_response_headers"),
            "%7B%27ETag%27%3A%27mine%27%7D");
  EXPECT_THROW(TransportRig({hold()}, {.proof_header = "a b"}), UsageError);
}

TEST(AResultThatIsCut, IsAnError) {
  const std::string head =
      "X-ClickHouse-Format: TSV\r\nX-ClickHouse-Summary: {\"result_rows\":\"2\"}\r\n";
  for (const char* body : {"", "1\n"}) {
    TransportRig rig(std::vector{answer_all(http_response(200, body, head))});
    const auto truncated = [](const NetworkError& error) {
      return error.kind() == NetworkError::Kind::kTruncated;
    };
    const auto query = thrown_by<NetworkError>([&] { rig.client.raw_query("SELECT 1"); });
    ASSERT_TRUE(query) << body;
    EXPECT_TRUE(truncated(*query)) << query->what();
    const auto stream = thrown_by<NetworkError>([&] {
      RawStream result = rig.client.raw_stream("SELECT 1");
      while (result.next_chunk()) {
      }
    });
    ASSERT_TRUE(stream) << body;
    EXPECT_TRUE(truncated(*stream)) << stream->what();
  }
}

TEST(ADescriptionThatIsCut, IsNoTableWithoutColumns) {
  for (const char* body : {"", "a\tUInt8\t\t\n\n", "a\tUInt8\t\t\nb\tUI", "<html>\n"}) {
    TransportRig rig(std::vector{answer_all(http_response(200, body))});
    EXPECT_THROW(rig.client.describe_table("t"), NetworkError) << body;
  }
}

TEST(AQuery, IsBufferedInTheServersMemoryOnly) {
  const auto sent = [](ClientOptions options, Settings settings = {}) {
    TransportRig rig(std::vector{answer_all(http_response(200, ""))}, std::move(options));
    rig.client.raw_query("SELECT 1", {.settings = std::move(settings)});
    rig.pool.close_connections();
    return rig.server.wait_ended(0).headers;
  };
  const std::string usual = sent({});
  EXPECT_EQ(parameter(usual, "wait_end_of_query"), "1");
  EXPECT_EQ(parameter(usual, "buffer_size"), "67108865");
  const std::string small = sent({.max_response_bytes = 1000});
  EXPECT_EQ(parameter(small, "wait_end_of_query"), "1");
  EXPECT_EQ(parameter(small, "buffer_size"), "1001");
  const std::string large = sent({.max_response_bytes = 1u << 30});
  EXPECT_EQ(parameter(large, "wait_end_of_query"), "0");
  EXPECT_EQ(parameter(large, "buffer_size"), "67108865");
  const std::string own = sent({}, {{"http_response_buffer_size", "7"}});
  EXPECT_EQ(parameter(own, "buffer_size"), "");
}

}  // namespace
}  // namespace millrace::test
