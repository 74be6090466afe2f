// Answers that come before the request is whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/transport/transport_rig.h"

namespace millrace::test {
namespace {

using testing::HasSubstr;

const std::string kUnknownTable =
    http_response(404, "Code: 60. DB::Exception: Table d.t does not exist. (UNKNOWN_TABLE)",
                  "X-ClickHouse-Exception-Code: 60\r\n");

void expect_unknown_table(TransportRig& rig) {
  const auto error =
      thrown_by<ClickHouseError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 60);
  EXPECT_EQ(error->details().http_status, 404);
  EXPECT_THAT(error->what(), HasSubstr("Table d.t does not exist"));
  EXPECT_EQ(rig.pool.stats().idle, 0u) << "the rest of the body is still owed on that connection";
  EXPECT_LT(rig.server.wait_ended(0).bytes, big_body().size());
}

TEST(EarlyResponse, OfAServerThatClosesReachesTheCaller) {
  TransportRig rig({[](auto& connection) {
    connection.read_header();
    connection.read_bytes(64u << 10);
    connection.send(kUnknownTable);  // and closes with unread bytes: RST
  }});
  expect_unknown_table(rig);
}

TEST(EarlyResponse, OfAServerThatJustStopsReadingEndsTheUpload) {
  Gate gate;
  std::atomic<bool> client_was_first{false};
  TransportRig rig({[&](auto& connection) {
    connection.read_header();
    connection.read_bytes(64u << 10);
    connection.send(kUnknownTable);
    client_was_first = gate.wait();
    connection.wait_for_close();
  }});
  const auto error =
      thrown_by<ClickHouseError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), 60);
  gate.open();
  EXPECT_LT(rig.server.wait_ended(0).bytes, big_body().size());
  EXPECT_TRUE(client_was_first) << "only the server's giving up ended the upload";
}

TEST(EarlyResponse, ASuccessBeforeTheWholeBodyIsNoSuccess) {
  Gate gate;
  TransportRig rig({[&](auto& connection) {
    connection.read_header();
    connection.send(http_response(200, ""));
    if (gate.wait()) connection.wait_for_close();
  }});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  gate.open();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kProtocol);
  EXPECT_TRUE(error->may_have_been_applied());
}

TEST(EarlyResponse, AnInterimAnswerDoesNotEndTheUpload) {
  TransportRig rig({[](auto& connection) {
    connection.read_header();
    connection.send("HTTP/1.1 100 Continue\r\n\r\n");
    connection.read_bytes(big_body().size());
    connection.send(http_response(200, ""));
    connection.wait_for_close();
  }});
  EXPECT_NO_THROW(rig.client.raw_insert("t", big_body(), with_token()));
  EXPECT_EQ(rig.pool.stats().idle, 1u);
}

TEST(EarlyResponse, AServerThatClosesWithoutAWordIsAnUnknownOutcome) {
  TransportRig rig({[](auto& connection) {
    connection.read_header();
    connection.reset();
  }});
  const auto error =
      thrown_by<NetworkError>([&] { rig.client.raw_insert("t", big_body(), with_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), NetworkError::Kind::kClosed);
  EXPECT_TRUE(error->may_have_been_applied());
}

}  // namespace
}  // namespace millrace::test
