// https: who is trusted, what a kept connection shows, and how it ends.
#include "transport/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <future>
#include <stop_token>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/support/tls_authority.h"
#include "tests/support/tls_front.h"
#include "tests/unit/transport/connect_rig.h"
#include "transport/client.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using Kind = NetworkError::Kind;
using Reason = HttpSessionCloseReason;

const std::string kOk = http_response(200, "fine");

HttpSessionPoolOptions trusting(const std::string& ca_cert) {
  HttpSessionPoolOptions options;
  options.tls.ca_cert = ca_cert;
  return options;
}

// A scripted server behind TLS, and a pool that trusts it.
class Tls : public testing::Test {
 protected:
  void serve(ScriptedServer::Script script, TlsFrontOptions options = {}) {
    if (options.identity.certificate.empty()) options.identity = authority_.issue();
    server_.emplace(std::vector{std::move(script)});
    front_.emplace(server_->endpoint().port, std::move(options));
  }
  TlsFrontOptions with_names(std::vector<std::string> names) {
    return {.identity = authority_.issue({.names = std::move(names)})};
  }
  HttpSessionPoolOptions trusting() const {
    return millrace::test::trusting(authority_.certificate());
  }
  HttpSessionPoolOptions presenting(const TestAuthority::Identity& identity) const {
    HttpSessionPoolOptions options = trusting();
    options.tls.client_cert = identity.certificate;
    options.tls.client_cert_key = identity.key;
    return options;
  }

  TestAuthority authority_;
  std::optional<ScriptedServer> server_;
  std::optional<TlsFront> front_;
};

TEST_F(Tls, AServerOfTheGivenAuthorityIsTrusted) {
  for (const bool tls_1_2 : {false, true}) {
    serve(answer_all(kOk), {.identity = authority_.issue(), .tls_1_2 = tls_1_2});
    HttpSessionPool pool(trusting());
    EXPECT_EQ(request(pool, front_->endpoint("localhost")).body, "fine");
    EXPECT_EQ(request(pool, front_->endpoint("127.0.0.1")).body, "fine");
    EXPECT_EQ(pool.stats().created, 2u);
  }
}

TEST_F(Tls, AServerOfAnotherAuthorityIsRefused) {
  serve(answer_all(kOk));
  const TestAuthority another("another authority");
  HttpSessionPool wrong(millrace::test::trusting(another.certificate()));
  EXPECT_THAT(error_text(wrong, front_->endpoint()), HasSubstr("certificate"));
  HttpSessionPool of_the_system;
  EXPECT_THAT(error_text(of_the_system, front_->endpoint()), HasSubstr("certificate"));
  EXPECT_EQ(front_->handshakes(), 0u);
  EXPECT_EQ(server_->accepted(), 0u);
  EXPECT_EQ(wrong.stats().connect_failures, 1u);
}

TEST_F(Tls, ACertificateOfAnotherNameIsRefused) {
  serve(answer_all(kOk), with_names({"DNS:db.example.com"}));
  HttpSessionPool pool(trusting());
  EXPECT_THAT(error_text(pool, front_->endpoint("localhost")), HasSubstr("hostname mismatch"));
  EXPECT_THAT(error_text(pool, front_->endpoint("localhost")),
              HasSubstr(front_->endpoint("localhost").authority()));
  EXPECT_THAT(error_text(pool, front_->endpoint("127.0.0.1")), HasSubstr("IP address mismatch"));
}

TEST_F(Tls, AnAddressMustStandInTheCertificateAsAnAddress) {
  serve(answer_all(kOk), with_names({"DNS:localhost", "DNS:127.0.0.1"}));
  HttpSessionPool pool(trusting());
  EXPECT_NO_THROW(pool.acquire(front_->endpoint("localhost"), soon()));
  EXPECT_FALSE(error_text(pool, front_->endpoint("127.0.0.1")).empty());
}

TEST_F(Tls, TheGivenServerNameIsAskedForAndChecked) {
  serve(answer_all(kOk), with_names({"DNS:db.example.com"}));
  HttpSessionPoolOptions options = trusting();
  options.tls.server_host_name = "db.example.com";
  HttpSessionPool pool(options);
  EXPECT_EQ(request(pool, front_->endpoint()).body, "fine");
  EXPECT_EQ(front_->server_name(), "db.example.com");
  EndpointList endpoints({front_->endpoint()});
  EXPECT_EQ(Client({}, endpoints, pool).raw_query("SELECT 1"), "fine");
  options.tls.server_host_name = "another.example.com";
  pool.set_options(options);
  EXPECT_THAT(error_text(pool, front_->endpoint()), HasSubstr("hostname mismatch"));
  pool.close_connections();
  EXPECT_THAT(server_->wait_ended(0).headers, HasSubstr("Host: db.example.com\r\n"));
}

TEST_F(Tls, AnExpiredCertificateIsRefused) {
  serve(answer_all(kOk), {.identity = authority_.issue({.expired = true})});
  HttpSessionPool pool(trusting());
  EXPECT_THAT(error_text(pool, front_->endpoint()), HasSubstr("expired"));
}

TEST_F(Tls, WithoutVerificationEveryCertificateWillDo) {
  serve(answer_all(kOk),
        {.identity = authority_.issue({.names = {"DNS:db.example.com"}, .expired = true})});
  HttpSessionPoolOptions options;
  options.tls.verify = false;
  HttpSessionPool pool(options);
  EXPECT_EQ(request(pool, front_->endpoint()).body, "fine");
}

TEST_F(Tls, ThePoolKnowsWhenCertificatesEnd) {
  using std::chrono::hours;
  const auto from_now = [](const std::optional<CertificateEnd>& end) {
    return std::chrono::round<hours>(end.value() - std::chrono::system_clock::now());
  };
  HttpSessionPoolOptions options = presenting(authority_.issue_client("alice"));
  options.tls.verify = false;
  HttpSessionPool pool(options);
  EXPECT_FALSE(pool.stats().server_certificate_end);
  EXPECT_EQ(from_now(pool.stats().client_certificate_end), hours(24));
  serve(answer_all(kOk));
  request(pool, front_->endpoint());
  EXPECT_EQ(from_now(pool.stats().server_certificate_end), hours(24));

  serve(answer_all(kOk), {.identity = authority_.issue({.expired = true})});
  request(pool, front_->endpoint());
  EXPECT_EQ(from_now(pool.stats().server_certificate_end), hours(-1));
  EXPECT_FALSE(HttpSessionPool(HttpSessionPoolOptions{}).stats().client_certificate_end);
}

TEST_F(Tls, AClientCertificateIsPresented) {
  serve(answer_all(kOk),
        {.identity = authority_.issue(), .client_authority = authority_.certificate()});
  HttpSessionPool pool(presenting(authority_.issue_client("alice")));
  EXPECT_EQ(request(pool, front_->endpoint()).body, "fine");
}

// With TLS 1.3 the client has shaken hands before the server has seen its certificate.
TEST_F(Tls, AMissingClientCertificateIsNamedInTheError) {
  for (const bool tls_1_2 : {false, true}) {
    serve(answer_all(kOk), {.identity = authority_.issue(),
                            .client_authority = authority_.certificate(),
                            .tls_1_2 = tls_1_2});
    HttpSessionPool pool(trusting());
    try {
      request(pool, front_->endpoint());
      ADD_FAILURE() << "accepted";
    } catch (const NetworkError& e) {
      EXPECT_THAT(e.what(), AnyOf(HasSubstr("certificate required"), HasSubstr("handshake fail")));
      EXPECT_EQ(e.kind(), tls_1_2 ? Kind::kConnect : Kind::kClosed);
    }
    EXPECT_EQ(server_->accepted(), 0u);
    EXPECT_EQ(pool.stats().open, 0u);
  }
}

TEST_F(Tls, FilesThatCannotBeUsedAreNamed) {
  const auto refusal = [&](auto change) {
    HttpSessionPoolOptions options = presenting(authority_.issue_client("alice"));
    change(options.tls);
    try {
      HttpSessionPool pool(options);
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  const auto other = authority_.issue_client("bob");
  EXPECT_EQ(refusal([](TlsOptions&) {}), "accepted");
  EXPECT_THAT(refusal([](auto& tls) { tls.ca_cert = "/no/ca.pem"; }),
              AllOf(HasSubstr("/no/ca.pem"), HasSubstr("No such file")));
  EXPECT_THAT(refusal([&](auto& tls) { tls.ca_cert = other.key; }), HasSubstr(other.key));
  EXPECT_THAT(refusal([](auto& tls) { tls.client_cert = "/no/cert.pem"; }),
              HasSubstr("/no/cert.pem"));
  EXPECT_THAT(refusal([&](auto& tls) { tls.client_cert_key = other.key; }),
              AllOf(HasSubstr(other.key), HasSubstr("mismatch")));
  EXPECT_THAT(refusal([](auto& tls) { tls.client_cert.clear(); }), HasSubstr("client_cert"));
}

TEST_F(Tls, ASilentServerIsGivenUpAtTheConnectTimeout) {
  const ScriptedServer silent({hold()});
  HttpSessionPoolOptions options = trusting();
  options.connect_timeout = milliseconds(50);
  HttpSessionPool pool(options);
  Endpoint endpoint = silent.endpoint();
  endpoint.secure = true;
  EXPECT_THAT(error_text(pool, endpoint), HasSubstr("time left"));
}

TEST_F(Tls, AServerWithoutTlsIsAnErrorThatNamesIt) {
  const ScriptedServer plain({[](auto& connection) { connection.send(kOk); }});
  HttpSessionPool pool(trusting());
  Endpoint endpoint = plain.endpoint();
  endpoint.secure = true;
  EXPECT_THAT(error_text(pool, endpoint), HasSubstr(endpoint.authority()));
}

TEST_F(Tls, UnreadTicketsDoNotMakeAConnectionStale) {
  serve(answer_all(kOk));
  HttpSessionPool pool(trusting());
  {
    auto lease = pool.acquire(front_->endpoint(), soon());
    ASSERT_NE(poll_until(lease.session().fd(), POLLIN, soon()), 0) << "TLS 1.3 sends tickets";
    std::move(lease).keep();
  }
  EXPECT_TRUE(pool.acquire(front_->endpoint(), soon()).reused());
  EXPECT_EQ(closed(pool, Reason::kStale), 0u);
}

TEST_F(Tls, TicketsAreNoAnswerToAnUnfinishedRequest) {
  serve([](auto& connection) {
    connection.read_request();
    connection.send(kOk);
  });
  HttpSessionPool pool(trusting());
  const std::string body(32u << 20, 'x');
  EXPECT_EQ(request(pool, front_->endpoint(), body).body, "fine");
  EXPECT_GT(server_->wait_ended(0).bytes, body.size());
}

TEST_F(Tls, AnAnswerEndsTheUpload) {
  serve([](auto& connection) {
    connection.read_header();
    connection.send(http_response(413, "too much"));
    connection.wait_for_close();
  });
  HttpSessionPool pool(trusting());
  const std::string body(64u << 20, 'x');
  const HttpResponse response = request(pool, front_->endpoint(), body);
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.body, "too much");
  EXPECT_FALSE(response.reusable);
  EXPECT_LT(server_->wait_ended(0).bytes, body.size());
}

TEST_F(Tls, AConnectionThatTheServerEndedIsNotReused) {
  for (const bool cut : {false, true}) {
    serve(
        [](auto& connection) {
          connection.read_request();
          connection.send(kOk);
        },
        {.identity = authority_.issue(), .cut = cut});
    HttpSessionPool pool(trusting());
    EXPECT_TRUE(request(pool, front_->endpoint()).reusable);
    EXPECT_TRUE(eventually(
        [&] {
          pool.acquire(front_->endpoint(), soon()).keep();
          return closed(pool, Reason::kStale) == 1;
        },
        kPatience, "the end to be seen", milliseconds(1)));
  }
}

TEST_F(Tls, AnUnaskedAnswerIsNotTakenForTheNextOne) {
  std::promise<void> first_was_read;
  auto go_on = first_was_read.get_future();
  serve([&](auto& connection) {
    connection.read_request();
    connection.send(kOk);
    go_on.wait_for(kScriptPatience);
    connection.send(http_response(408, "too slow"));
    connection.wait_for_close();
  });
  HttpSessionPool pool(trusting());
  auto lease = pool.acquire(front_->endpoint(), soon());
  EXPECT_TRUE(post(lease.session(), {}).reusable);
  first_was_read.set_value();
  ASSERT_TRUE(eventually([&] { return !lease.session().silent(); }, kPatience, "the second answer",
                         milliseconds(1)));
  std::move(lease).keep();
  EXPECT_FALSE(pool.acquire(front_->endpoint(), soon()).reused());
  EXPECT_EQ(closed(pool, Reason::kStale), 1u);
}

TEST_F(Tls, ACutConnectionIsNoCleanEnd) {
  serve(
      [](auto& connection) {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\n\r\nall there is");
      },
      {.identity = authority_.issue(), .cut = true});
  HttpSessionPool pool(trusting());
  const HttpResponse response = request(pool, front_->endpoint());
  EXPECT_EQ(response.body, "all there is");
  ASSERT_TRUE(response.body_error);
  EXPECT_EQ(response.body_error->kind(), Kind::kTruncated);
  EXPECT_THAT(response.body_error->what(), HasSubstr("close_notify"));
}

TEST_F(Tls, ACutBeforeTheAnswerIsAClosedConnection) {
  serve([](auto& connection) { connection.read_request(); },
        {.identity = authority_.issue(), .cut = true});
  HttpSessionPool pool(trusting());
  try {
    request(pool, front_->endpoint());
    ADD_FAILURE() << "answered";
  } catch (const NetworkError& e) {
    EXPECT_EQ(e.kind(), Kind::kClosed);
    EXPECT_THAT(e.what(), HasSubstr("close_notify"));
  }
}

// Sends the body of a request back.
void echo(int fd) {
  std::string bytes;
  std::size_t header = std::string::npos, length = 0;
  while (header == std::string::npos || bytes.size() < header + 4 + length) {
    const std::string more = receive_some(fd);
    if (more.empty()) return;
    bytes += more;
    if (header != std::string::npos) continue;
    header = bytes.find("\r\n\r\n");
    const auto at = bytes.find("Content-Length: ");
    if (header != std::string::npos) length = std::stoul(bytes.substr(at + 16));
  }
  send_all(fd, http_response(200, bytes.substr(header + 4)));
}

TEST_F(Tls, ABigBodyOfManyPiecesArrivesUnchangedBothWays) {
  std::string body(8u << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 + i / 977);
  std::vector<std::string_view> pieces;
  for (std::string_view rest = body; !rest.empty();) {
    constexpr std::array<std::size_t, 6> kSizes{1, 5'000, 16'384, 100, 3u << 20, 16'385};
    pieces.push_back(rest.substr(0, kSizes[pieces.size() % kSizes.size()]));
    rest.remove_prefix(pieces.back().size());
  }
  LocalListener server(echo);
  TlsFront front(server.port(), {.identity = authority_.issue()});
  HttpSessionPool pool(trusting());
  EXPECT_TRUE(request(pool, front.endpoint(), pieces).body == body);
}

TEST_F(Tls, AConnectionIsClosedWithAGoodbye) {
  serve(answer_all(kOk));
  HttpSessionPool pool(trusting());
  request(pool, front_->endpoint());
  pool.close_connections();
  EXPECT_TRUE(eventually([&] { return front_->goodbyes() == 1; }, kPatience, "close_notify",
                         milliseconds(1)));
}

TEST_F(Tls, OtherTlsOptionsAreForNewConnections) {
  serve(answer_all(kOk));
  HttpSessionPool pool(trusting());
  request(pool, front_->endpoint());
  pool.set_options(trusting());
  EXPECT_EQ(pool.stats().idle, 1u) << "nothing has changed";
  const TestAuthority another;
  pool.set_options(millrace::test::trusting(another.certificate()));
  EXPECT_EQ(closed(pool, Reason::kDrained), 1u);
  EXPECT_THAT(error_text(pool, front_->endpoint()), HasSubstr("certificate"));
  HttpSessionPoolOptions broken;
  broken.tls.ca_cert = "/no/ca.pem";
  EXPECT_THROW(pool.set_options(broken), UsageError);
  EXPECT_EQ(pool.options().tls.ca_cert, another.certificate());
}

TEST_F(Tls, HttpAndHttpsToOnePortAreDifferentEndpoints) {
  serve(answer_all(kOk));
  HttpSessionPool pool(trusting());
  request(pool, front_->endpoint());
  Endpoint plain = front_->endpoint();
  plain.secure = false;
  EXPECT_FALSE(pool.acquire(plain, soon()).reused());
  EXPECT_EQ(pool.stats().hosts, 2u);
}

TEST_F(Tls, AStopAndAnAbortEndTheHandshake) {
  ScriptedServer silent({hold()});
  Endpoint endpoint = silent.endpoint();
  endpoint.secure = true;
  HttpSessionPoolOptions options = trusting();
  options.connect_timeout = seconds(60);
  for (const bool abort : {false, true}) {
    HttpSessionPool pool(options);
    std::stop_source stop;
    const std::size_t before = silent.accepted();
    auto ended = std::async(std::launch::async, [&] {
      const auto deadline = std::chrono::steady_clock::now() + seconds(60);
      EXPECT_THROW(pool.acquire(endpoint, deadline, false, stop.get_token()), AbortedError);
    });
    EXPECT_TRUE(eventually([&] { return silent.accepted() > before; }, kPatience, "a connection",
                           milliseconds(1)));
    if (abort) {
      pool.abort();
    } else {
      stop.request_stop();
    }
    EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
    ended.get();
    EXPECT_EQ(pool.stats().open, 0u);
    EXPECT_EQ(pool.stats().connect_failures, 0u);
  }
}

TEST_F(Tls, ShuttingASessionDownEndsItsOwnersWait) {
  serve(hold());
  HttpSessionPool pool(trusting());
  auto lease = pool.acquire(front_->endpoint(), soon());
  auto ended = std::async(std::launch::async,
                          [&] { EXPECT_THROW(post(lease.session(), {}), NetworkError); });
  EXPECT_TRUE(eventually([&] { return server_->accepted() == 1; }, kPatience, "a connection",
                         milliseconds(1)));
  lease.session().shut_down();
  EXPECT_EQ(ended.wait_for(seconds(30)), std::future_status::ready);
  ended.get();
  std::move(lease).keep();
  EXPECT_EQ(closed(pool, Reason::kFailed), 1u) << "it is not for anybody else";
}

}  // namespace
}  // namespace millrace::test
