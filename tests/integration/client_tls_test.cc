// TLS, client certificates and proxies between the client and a real server.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>

#include "tests/integration/clickhouse_only.h"
#include "tests/support/forward_proxy.h"
#include "tests/support/millrace_process.h"
#include "tests/support/tls_authority.h"
#include "tests/support/tls_front.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

class ClientTls : public WithClickHouse {
 protected:
  // Through the front, trusting its authority.
  ClientOptions options_of(const TlsFront& front) const {
    ClientOptions options = WithClickHouse::options();
    options.port = front.port();
    options.secure = true;
    options.tls.ca_cert = authority_.certificate();
    return options;
  }

  TestAuthority authority_;
  TlsFront front_{server().port(), {.identity = authority_.issue()}};
};

TEST_F(ClientTls, ServerOfTheGivenAuthorityIsTrusted) {
  Client client(options_of(front_));
  EXPECT_EQ(client.raw_query("SELECT {a:String}", {.parameters = Named{{"a", "b"}}}), "b\n");
  EXPECT_EQ(front_.accepted(), 1u);  // kept, as others are
}

TEST_F(ClientTls, ServerOfAnUnknownAuthorityIsRefused) {
  ClientOptions untrusting = options_of(front_);
  untrusting.tls.ca_cert.clear();
  const auto error = thrown_by<NetworkError>([&] { Client client(untrusting); });
  EXPECT_EQ(error.kind(), NetworkError::Kind::kConnect);
  EXPECT_NE(std::string(error.what()).find("certificate"), std::string::npos) << error.what();
  untrusting.tls.verify = false;
  EXPECT_EQ(Client(untrusting).raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientTls, NameInTheCertificateIsChecked) {
  TlsFront named(server().port(), {.identity = authority_.issue({.names = {"DNS:ch.example"}})});
  ClientOptions options = options_of(named);
  EXPECT_THROW(Client client(options), NetworkError);
  options.tls.server_host_name = "ch.example";
  EXPECT_EQ(Client(options).raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(named.server_name(), "ch.example");
}

TEST_F(ClientTls, ClientCertificateIsPresentedWhereItIsDemanded) {
  TlsFront demanding(server().port(), {.identity = authority_.issue(),
                                       .client_authority = authority_.certificate()});
  ClientOptions options = options_of(demanding);
  EXPECT_THROW(Client client(options), NetworkError);
  const auto identity = authority_.issue_client("millrace");
  options.tls.client_cert = identity.certificate;
  options.tls.client_cert_key = identity.key;
  EXPECT_EQ(Client(options).raw_query("SELECT 1"), "1\n");
}

TEST_F(ClientTls, BigStreamsAndInsertsArriveWhole) {
  make_table("n UInt64, s String");
  Client client(options_of(front_));
  const auto output = file("rows.bin");
  const auto bytes = client
                         .raw_stream(
                             "SELECT number, toString(sipHash64(number)) || repeat('x', 100) "
                             "FROM numbers(400000)",
                             {.format = "RowBinary"})
                         .save_as(output);
  EXPECT_GT(bytes, 50'000'000u);
  const QuerySummary summary = client.raw_insert(name(), output, {.format = "RowBinary"});
  EXPECT_EQ(summary.written_rows, 400'000u);
  EXPECT_EQ(server().query("SELECT count(), sum(n), countIf(s = toString(sipHash64(n)) || "
                           "repeat('x', 100)) FROM " +
                           name()),
            "400000\t79999800000\t400000");
}

TEST_F(ClientTls, FailureOnTheWayIsAnErrorThroughTlsToo) {
  const auto error = thrown_by<ClickHouseError>([this] {
    Client(options_of(front_))
        .raw_stream("SELECT throwIf(number = 1000000) FROM system.numbers",
                    {.accept = Codec::kZstd})
        .save_as(file("half"));
  });
  EXPECT_EQ(error.code(), 395);
  EXPECT_FALSE(std::filesystem::exists(file("half")));
}

TEST_F(ClientTls, DroppedStreamEndsTheQuery) {
  Client client(options_of(front_));
  {
    const RawStream stream =
        client.raw_stream("SELECT number FROM system.numbers", {.query_id = "dropped-tls"});
    ASSERT_TRUE(runs("dropped-tls"));
  }
  EXPECT_TRUE(vanishes("dropped-tls"));
}

TEST_F(ClientTls, HttpsGoesThroughATunnelOfTheProxy) {
  ForwardProxy proxy({.user = "me", .password = "p:w"});
  ClientOptions options = options_of(front_);
  options.https_proxy = proxy.url();
  Client client(options);
  EXPECT_EQ(client.raw_query("SELECT 1"), "1\n");
  EXPECT_EQ(proxy.tunnels(), 1u);
  EXPECT_EQ(proxy.forwarded(), 0u);
  EXPECT_EQ(front_.handshakes(), 1u);
}

TEST_F(ClientTls, HttpGoesThroughTheProxyAsItIs) {
  make_table("n UInt32");
  ForwardProxy proxy;
  ClientOptions options = WithClickHouse::options();
  options.http_proxy = proxy.url();
  Client client(options);
  client.raw_insert(name(), PushSource([](BodyWriter& out) { out.write("1\n2\n"); }),
                    {.format = "TSV", .compress_with = Codec::kLz4});
  EXPECT_EQ(client.raw_query("SELECT sum(n) FROM " + name()), "3\n");
  EXPECT_GE(proxy.forwarded(), 3u);
  EXPECT_EQ(proxy.tunnels(), 0u);
}

TEST_F(ClientTls, CommandLineTakesTheCertificates) {
  const auto query = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{built_program("millrace").string(), "query",
                                       "SELECT 'through TLS'", "--url",
                                       "https://127.0.0.1:" + std::to_string(front_.port())};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, kPatience, sanitizer_environment());
  };
  const ProgramResult trusted = query({"--ca-cert", authority_.certificate()});
  EXPECT_EQ(trusted.exit_code, 0);
  EXPECT_EQ(trusted.output, "through TLS\n");
  EXPECT_EQ(query({"--insecure"}).exit_code, 0);
  const ProgramResult unknown = query({});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.output.find("certificate"), std::string::npos) << unknown.output;
}

}  // namespace
}  // namespace millrace::test
